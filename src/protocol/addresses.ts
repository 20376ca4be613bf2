import { isIP } from 'node:net'

/** The two ends of a visitor's connection, as the gateway's socket names them. */
export interface Addresses {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
}

/** Whether an address pair can be written down: a socket that is gone has none. */
export function hasAddresses({ remoteAddress, localAddress }: Addresses): boolean {
  return isIP(remoteAddress) !== 0 && isIP(localAddress) !== 0
}

/**
 * Both ends as bytes, 4 each or 16 each: an IPv4 address written as IPv6 (`::ffff:192.0.2.1`, which is
 * how a dual-stack listener sees it) counts as IPv4 if both ends are. A zone (`%eth0`) is left out.
 */
export function addressPair(addresses: Addresses): {
  readonly isIPv4: boolean
  readonly source: Buffer
  readonly destination: Buffer
} {
  const source = addressBytes(addresses.remoteAddress)
  const destination = addressBytes(addresses.localAddress)
  if (!isMapped(source) || !isMapped(destination)) return { isIPv4: false, source, destination }
  return { isIPv4: true, source: source.subarray(12), destination: destination.subarray(12) }
}

/** An address that `hasAddresses` let through as 16 bytes; IPv4 in its mapped form (RFC 4291 §2.5.5.2). */
export function addressBytes(text: string): Buffer {
  const bytes = Buffer.alloc(16)
  const [address = ''] = text.split('%', 1)
  const tail = address.slice(address.lastIndexOf(':') + 1)
  const isDotted = tail.includes('.')
  if (tail === address) bytes.writeUInt16BE(0xffff, 10)
  else writeHex(bytes, isDotted ? `${address.slice(0, -tail.length)}0:0` : address)
  if (isDotted) bytes.set(tail.split('.').map(Number), 12)
  return bytes
}

function writeHex(bytes: Buffer, address: string): void {
  const [left = '', right] = address.split('::')
  writeGroups(bytes, 0, left)
  if (right) writeGroups(bytes, 16 - 2 * right.split(':').length, right)
}

function writeGroups(bytes: Buffer, offset: number, groups: string): void {
  if (groups === '') return
  for (const [index, group] of groups.split(':').entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), offset + 2 * index)
  }
}

function isMapped(bytes: Buffer): boolean {
  return bytes.readUIntBE(0, 6) === 0 && bytes.readUIntBE(6, 6) === 0xffff
}

/** RFC 5952: the longest run of zeros, of two or more, becomes `::`. */
export function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  if (isMapped(bytes)) return `::ffff:${bytes.subarray(12).join('.')}`
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16))
  const text = groups.join(':')
  const runs = [...text.matchAll(/(?<=^|:)0(?::0)+(?=$|:)/g)]
  const longest = runs.reduce((best, run) => (run[0].length > best.length ? run[0] : best), '')
  if (longest === '') return text
  const start = runs.find((run) => run[0] === longest)?.index ?? 0
  const left = text.slice(0, start).replace(/:$/, '')
  const right = text.slice(start + longest.length).replace(/^:/, '')
  return `${left}::${right}`
}
