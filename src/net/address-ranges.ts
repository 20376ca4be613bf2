import { BlockList, isIP, SocketAddress } from 'node:net'

/** One address, or those that begin with the same bits: CIDR. */
export interface AddressRange {
  readonly address: string
  readonly family: 'ipv4' | 'ipv6'
  readonly prefixBits: number
}

/** A list of addresses and ranges, such as those of load balancers. */
export class AddressRanges {
  readonly ranges: readonly AddressRange[]
  // "Block" is what most use them for; they only match. One each, as a list of both finds 192.0.2.1 in ::/0.
  readonly #lists = { ipv4: new BlockList(), ipv6: new BlockList() }

  constructor(ranges: readonly AddressRange[]) {
    this.ranges = ranges
    for (const { address, family, prefixBits } of ranges) {
      this.#lists[family].addSubnet(address, prefixBits, family)
    }
  }

  /**
   * Whether the address is in one of the ranges. An IPv4 address counts as one however it is written
   * (`::ffff:192.0.2.1` is how a dual-stack listener sees it), and is in no range of IPv6. A zone is
   * left out. What is no address, as that of a socket that is gone, is in none.
   */
  matches(address: string | undefined): boolean {
    if (this.ranges.length === 0) return false // asked for each connection, and mostly empty
    const plain = canonical(address?.replace(/%.*$/s, '') ?? '')
    return plain !== undefined && this.#lists[plain.family].check(plain.address, plain.family)
  }

  toString(): string {
    return this.ranges
      .map(({ address, family, prefixBits }) =>
        prefixBits === (family === 'ipv4' ? 32 : 128) ? address : `${address}/${prefixBits}`,
      )
      .join(',')
  }
}

/** `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`; `undefined` for anything else. */
export function parseAddressRange(text: string): AddressRange | undefined {
  const [, typed = '', bits] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const plain = canonical(typed)
  if (plain === undefined) return undefined
  const { address, family } = plain
  const unwritten = family === 'ipv4' && isIP(typed) === 6 ? mappedBits : 0
  const longest = family === 'ipv4' ? 32 : 128
  const prefixBits = bits === undefined ? longest : Number(bits) - unwritten
  return prefixBits >= 0 && prefixBits <= longest ? { address, family, prefixBits } : undefined
}

/** Of `::ffff:192.0.2.1`, before the part that is IPv4 (RFC 4291 §2.5.5.2). */
const mappedBits = 96

function canonical(text: string): Omit<AddressRange, 'prefixBits'> | undefined {
  const version = isIP(text)
  if (version === 0) return undefined
  const { address } = new SocketAddress({ address: text, family: version === 4 ? 'ipv4' : 'ipv6' })
  const tail = address.replace(/^::ffff:/, '')
  return isIP(tail) === 4 ? { address: tail, family: 'ipv4' } : { address, family: 'ipv6' }
}
