import { type Addresses, addressPair, addressText, hasAddresses } from './addresses.ts'
import { ProtocolError } from './errors.ts'
import { isProxyLine, type ProxyRead, readProxyLine } from './proxy-line.ts'

export { type Addresses, hasAddresses } from './addresses.ts'
export { encodeProxyLine, type ProxyRead } from './proxy-line.ts'

// PROXY protocol, version 2 (HAProxy's proxy-protocol.txt, §2.2), as sender and as receiver; version 1
// is in proxy-line.ts.
//
//   signature 12 · version and command u8 · family and protocol u8 · length u16 BE
//   then `length` bytes: addresses as the family has them, then TLVs: type u8 · length u16 BE · value

export const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

/** What one segment carries even at the smallest MTU: the most a receiver has to expect (§2.2). */
export const proxyHeaderLimitBytes = 536

const headBytes = 16
const tlvHeadBytes = 3

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

export interface ProxyHeader {
  /** Without them the header says LOCAL, and carries nothing else. */
  readonly addresses?: Addresses
  readonly authority?: string
}

/**
 * The header as bytes. An IPv4 address written as IPv6 (`::ffff:192.0.2.1`, which is how a dual-stack
 * listener sees it) goes out as IPv4 if both ends are; a zone (`%eth0`) is left out.
 * @throws ProtocolError PROTOCOL_BAD_PREAMBLE when it does not fit into 536 bytes, or an address is none.
 */
export function encodeProxyHeader({ addresses, authority }: ProxyHeader): Buffer {
  if (addresses === undefined) return emptyHeader(Command.Local, Family.Unspecified, 0)
  if (!hasAddresses(addresses)) throw badHeader('an address is no IP address')
  const { isIPv4, source, destination } = addressPair(addresses)
  const name = authority === undefined ? undefined : Buffer.from(authority)
  const bodyBytes = 2 * source.length + 4 + (name === undefined ? 0 : tlvHeadBytes + name.length)
  const bytes = emptyHeader(Command.Proxy, isIPv4 ? Family.Tcp4 : Family.Tcp6, bodyBytes)
  let at = headBytes
  at += source.copy(bytes, at)
  at += destination.copy(bytes, at)
  at = bytes.writeUInt16BE(addresses.remotePort, at)
  at = bytes.writeUInt16BE(addresses.localPort, at)
  if (name === undefined) return bytes
  at = bytes.writeUInt8(Tlv.Authority, at)
  at = bytes.writeUInt16BE(name.length, at)
  name.copy(bytes, at)
  return bytes
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

/**
 * Looks for a PROXY header of version 1 or 2 at the start of `bytes`, of which it needs 536 at most.
 * Whether one may be there at all is the caller's to know: whoever sends one says who he is.
 */
export function readProxyHeader(bytes: Buffer): ProxyRead {
  if (bytes.length === 0) return { kind: 'partial' }
  if (isProxyLine(bytes)) return readProxyLine(bytes)
  const seen = Math.min(bytes.length, signature.length)
  if (bytes.compare(signature, 0, seen, 0, seen) !== 0) return { kind: 'none' }
  try {
    const decoded = decodeProxyHeader(bytes)
    if (decoded === undefined) return { kind: 'partial' }
    const { addresses } = decoded.header
    return { kind: 'header', lengthBytes: decoded.lengthBytes, ...(addresses && { addresses }) }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return { kind: 'malformed', reason: error.message }
  }
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
    if (tlvs.length - start < tlvHeadBytes) throw badHeader('it ends within a TLV')
    const end = start + tlvHeadBytes + tlvs.readUInt16BE(start + 1)
    if (end > tlvs.length) throw badHeader('a TLV is longer than the header it is in')
    if (tlvs[start] === Tlv.Authority) {
      // Of two names one reader would take the first and another the last.
      if (authority !== undefined) throw badHeader('it has two authorities')
      authority = tlvs.toString('utf8', start + tlvHeadBytes, end)
    }
    start = end
  }
  return authority
}

function isKnownFamily(family: number): boolean {
  return family === Family.Tcp4 || family === Family.Tcp6 || family === Family.Unspecified
}

/** With room for so many bytes behind its head. */
function emptyHeader(command: number, family: number, bodyBytes: number): Buffer {
  const bytes = Buffer.alloc(headBytes + bodyBytes)
  if (bytes.length > proxyHeaderLimitBytes) {
    throw badHeader(`it would be ${bytes.length} bytes long, more than ${proxyHeaderLimitBytes}`)
  }
  signature.copy(bytes)
  bytes.writeUInt8(command, 12)
  bytes.writeUInt8(family, 13)
  bytes.writeUInt16BE(bodyBytes, 14)
  return bytes
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`
}

function badHeader(problem: string): ProtocolError {
  return new ProtocolError('PROTOCOL_BAD_PREAMBLE', `bad PROXY header: ${problem}`)
}
