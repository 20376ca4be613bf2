import { isIPv4, isIPv6 } from 'node:net'
import { ProtocolError } from './errors.ts'

// PROXY protocol, version 2 (HAProxy's proxy-protocol.txt, §2.2), as sender and as receiver:
//
//   signature 12 · version and command u8 · family and protocol u8 · length u16 BE
//   then `length` bytes: addresses as the family has them, then TLVs: type u8 · length u16 BE · value

export const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

/** What one segment carries even at the smallest MTU: the most a receiver has to expect (§2.2). */
export const proxyHeaderLimitBytes = 536

const headBytes = 16

const Command = {
  Local: 0x20, // nobody is forwarded: the sender speaks for itself
  Proxy: 0x21,
} as const

const Family = {
  Unspecified: 0x00, // addresses, if any, are to be ignored
  Tcp4: 0x11, // source 4 · destination 4 · source port u16 · destination port u16
  Tcp6: 0x21, // source 16 · destination 16 · source port u16 · destination port u16
} as const

const Tlv = {
  Authority: 0x02, // PP2_TYPE_AUTHORITY: the host name the visitor asked for, UTF-8
} as const

/** The two ends of a visitor's connection, as the gateway's socket names them. */
export interface Addresses {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
}

export interface ProxyHeader {
  /** Without them the header says LOCAL, and carries nothing else. */
  readonly addresses?: Addresses
  readonly authority?: string
}

/** Whether an address pair can be written down: a socket that is gone has none. */
export function hasAddresses(addresses: Addresses): boolean {
  return [addresses.remoteAddress, addresses.localAddress].every(
    (text) => isIPv4(text) || isIPv6(text),
  )
}

/**
 * The header as bytes. An IPv4 address written as IPv6 (`::ffff:192.0.2.1`, which is how a dual-stack
 * listener sees it) goes out as IPv4 if both ends are; a zone (`%eth0`) is left out.
 * @throws ProtocolError PROTOCOL_BAD_PREAMBLE when it does not fit into 536 bytes, or an address is none.
 */
export function encodeProxyHeader(header: ProxyHeader): Buffer {
  if (header.addresses === undefined) return join(Command.Local, Family.Unspecified, [])
  const { addresses, authority } = header
  if (!hasAddresses(addresses)) throw badHeader('an address is no IP address')
  const source = addressBytes(addresses.remoteAddress)
  const destination = addressBytes(addresses.localAddress)
  const isIPv4Pair = isMapped(source) && isMapped(destination)
  return join(Command.Proxy, isIPv4Pair ? Family.Tcp4 : Family.Tcp6, [
    ...[source, destination].map((bytes) => (isIPv4Pair ? bytes.subarray(12) : bytes)),
    uint16(addresses.remotePort),
    uint16(addresses.localPort),
    ...(authority === undefined ? [] : [tlv(Tlv.Authority, Buffer.from(authority))]),
  ])
}

/**
 * The header at the start of `bytes`, and how long it is; `undefined` while more bytes are needed,
 * of which it never waits for more than 536. TLVs of other types are skipped. LOCAL and an
 * unspecified family give an empty header, whatever else is in it (§2.2: "must … discard").
 * @throws ProtocolError PROTOCOL_BAD_PREAMBLE at the first byte that cannot belong to a header.
 */
export function decodeProxyHeader(
  bytes: Buffer,
): { header: ProxyHeader; lengthBytes: number } | undefined {
  const seen = Math.min(bytes.length, signature.length)
  if (bytes.compare(signature, 0, seen, 0, seen) !== 0) throw badHeader('the signature is wrong')
  const command = bytes[12]
  const family = bytes[13]
  if (command !== undefined && command !== Command.Local && command !== Command.Proxy) {
    throw badHeader(`version and command are ${hex(command)}, not 0x20 or 0x21`)
  }
  if (family !== undefined && command === Command.Proxy && !isKnownFamily(family)) {
    throw badHeader(`family ${hex(family)} is neither TCP over IPv4 nor over IPv6`)
  }
  if (bytes.length < headBytes) return undefined
  const lengthBytes = headBytes + bytes.readUInt16BE(14)
  if (lengthBytes > proxyHeaderLimitBytes) {
    throw badHeader(`it says to be ${lengthBytes} bytes long, more than ${proxyHeaderLimitBytes}`)
  }
  if (bytes.length < lengthBytes) return undefined
  if (command === Command.Local || family === Family.Unspecified) {
    return { header: {}, lengthBytes }
  }
  return { header: decodeBody(family, bytes.subarray(headBytes, lengthBytes)), lengthBytes }
}

function decodeBody(family: number | undefined, body: Buffer): ProxyHeader {
  const size = family === Family.Tcp4 ? 4 : 16
  const tlvStart = 2 * size + 4
  if (body.length < tlvStart) throw badHeader('it ends within its addresses')
  const addresses: Addresses = {
    remoteAddress: addressText(body.subarray(0, size)),
    localAddress: addressText(body.subarray(size, 2 * size)),
    remotePort: body.readUInt16BE(2 * size),
    localPort: body.readUInt16BE(2 * size + 2),
  }
  const authority = decodeAuthority(body.subarray(tlvStart))
  return authority === undefined ? { addresses } : { addresses, authority }
}

function decodeAuthority(tlvs: Buffer): string | undefined {
  let authority: string | undefined
  for (let start = 0; start < tlvs.length; ) {
    if (tlvs.length - start < 3) throw badHeader('it ends within a TLV')
    const end = start + 3 + tlvs.readUInt16BE(start + 1)
    if (end > tlvs.length) throw badHeader('a TLV is longer than the header it is in')
    if (tlvs[start] === Tlv.Authority) {
      // Of two names one reader would take the first and another the last.
      if (authority !== undefined) throw badHeader('it has two authorities')
      authority = tlvs.toString('utf8', start + 3, end)
    }
    start = end
  }
  return authority
}

function isKnownFamily(family: number): boolean {
  return family === Family.Tcp4 || family === Family.Tcp6 || family === Family.Unspecified
}

function join(command: number, family: number, body: readonly Buffer[]): Buffer {
  const length = body.reduce((sum, part) => sum + part.length, 0)
  if (headBytes + length > proxyHeaderLimitBytes) {
    throw badHeader(`it would be ${headBytes + length} bytes long, more than 536`)
  }
  return Buffer.concat([signature, Buffer.from([command, family]), uint16(length), ...body])
}

function tlv(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type]), uint16(value.length), value])
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}

/** An address that `hasAddresses` let through as 16 bytes; IPv4 in its mapped form (RFC 4291 §2.5.5.2). */
function addressBytes(text: string): Buffer {
  const bytes = Buffer.alloc(16)
  text = text.replace(/%.*$/s, '')
  const tail = text.slice(text.lastIndexOf(':') + 1)
  if (isIPv4(text)) text = `::ffff:${text}`
  if (isIPv4(tail)) {
    const [a = 0, b = 0, c = 0, d = 0] = tail.split('.').map(Number)
    const groups = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
    text = text.slice(0, -tail.length) + groups
  }
  const [left = '', right] = text.split('::')
  writeGroups(bytes, 0, left)
  if (right) writeGroups(bytes, 16 - 2 * right.split(':').length, right)
  return bytes
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
function addressText(bytes: Buffer): string {
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

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`
}

function badHeader(problem: string): ProtocolError {
  return new ProtocolError('PROTOCOL_BAD_PREAMBLE', `bad PROXY header: ${problem}`)
}
