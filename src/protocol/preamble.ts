import { ProtocolError } from './errors.ts'
import {
  type Addresses,
  decodeProxyHeader,
  encodeProxyHeader,
  hasAddresses,
  proxyHeaderLimitBytes,
  signature,
} from './proxy-protocol.ts'

// The head of a data stream: which route it is for. The first byte tells the versions apart.
//
//   1:     version u8 = 1 · length u16 BE · hostname          as the Go program has it
//   2:     a PROXY protocol v2 header, its authority the hostname; to agents with `proxy-preamble`

/**
 * The longest hostname in a preamble: 253, and room for the trailing dot and the `:65535` that a route
 * key may have. A path behind it has to fit in as well. The Go program allows 65 535, but no name that resolves is longer than this.
 */
export const hostnameLimitBytes = 260

const version1 = 1
const version1HeadBytes = 3

export interface Preamble {
  readonly version: 1 | 2
  /** The route's key, to the letter as the agent registered it. */
  readonly hostname: string
  /** Whose connection it is; known in version 2 only. */
  readonly addresses?: Addresses | undefined
}

/**
 * The preamble for a route key: version 2 if there are addresses, else version 1. Addresses that
 * are no IP addresses (a visitor's socket that is gone has none) are left out.
 * @throws ProtocolError PROTOCOL_BAD_PREAMBLE for a hostname that is empty or longer than 260 bytes.
 */
export function encodePreamble({ hostname, addresses }: Omit<Preamble, 'version'>): Buffer {
  const name = Buffer.from(hostname)
  checkHostnameLength(name.length)
  if (addresses !== undefined && hasAddresses(addresses)) {
    return encodeProxyHeader({ addresses, authority: hostname })
  }
  return Buffer.concat([Buffer.from([version1, name.length >> 8, name.length & 0xff]), name])
}

/** Reads one preamble of either version, however it is cut. Holds 536 bytes at most. */
export class PreambleDecoder {
  #held = Buffer.alloc(0)

  /**
   * The preamble, once it is complete, and the bytes of this chunk that come after it; push no more
   * after that. `undefined` while more bytes are needed.
   * @throws ProtocolError PROTOCOL_BAD_PREAMBLE, as soon as the bytes can become no preamble.
   */
  push(chunk: Buffer): (Preamble & { rest: Buffer }) | undefined {
    const heldBytes = this.#held.length
    const bytes = Buffer.concat([this.#held, chunk.subarray(0, proxyHeaderLimitBytes - heldBytes)])
    const decoded = decodePreamble(bytes)
    if (decoded === undefined) {
      this.#held = bytes
      return undefined
    }
    return { ...decoded.preamble, rest: chunk.subarray(decoded.lengthBytes - heldBytes) }
  }
}

interface Decoded {
  readonly preamble: Preamble
  readonly lengthBytes: number
}

function decodePreamble(bytes: Buffer): Decoded | undefined {
  if (bytes.length === 0) return undefined
  if (bytes[0] === version1) return decodeVersion1(bytes)
  if (bytes[0] === signature[0]) return decodeVersion2(bytes)
  throw badPreamble(`unsupported version ${bytes[0]}`)
}

function decodeVersion1(bytes: Buffer): Decoded | undefined {
  if (bytes.length < version1HeadBytes) return undefined
  const lengthBytes = version1HeadBytes + bytes.readUInt16BE(1)
  checkHostnameLength(lengthBytes - version1HeadBytes)
  if (bytes.length < lengthBytes) return undefined
  const hostname = bytes.toString('utf8', version1HeadBytes, lengthBytes)
  return { preamble: { version: 1, hostname }, lengthBytes }
}

function decodeVersion2(bytes: Buffer): Decoded | undefined {
  const decoded = decodeProxyHeader(bytes)
  if (decoded === undefined) return undefined
  const { addresses, authority: hostname = '' } = decoded.header
  checkHostnameLength(Buffer.byteLength(hostname))
  const preamble: Preamble = { version: 2, hostname, ...(addresses && { addresses }) }
  return { preamble, lengthBytes: decoded.lengthBytes }
}

// The texts are the Go program's, to the letter.
function checkHostnameLength(bytes: number): void {
  if (bytes === 0) throw badPreamble('empty hostname')
  if (bytes > hostnameLimitBytes) throw badPreamble('invalid hostname length')
}

function badPreamble(problem: string): ProtocolError {
  return new ProtocolError('PROTOCOL_BAD_PREAMBLE', problem)
}
