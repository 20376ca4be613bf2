import { isIPv4, isIPv6 } from 'node:net'
import {
  type Addresses,
  addressBytes,
  addressPair,
  addressText,
  hasAddresses,
} from './addresses.ts'
import { ProtocolError } from './errors.ts'

// PROXY protocol, version 1 (HAProxy's proxy-protocol.txt, §2.1): one line of text.
//
//   PROXY TCP4 192.0.2.1 203.0.113.7 54321 443\r\n
//   PROXY UNKNOWN\r\n

const prefix = Buffer.from('PROXY ')

/** The longest line there can be, its end included (§2.1). */
const lineLimitBytes = 107

const carriageReturn = 0x0d
const lineFeed = 0x0a

/** What stands at the start of a connection from a proxy. */
export type ProxyRead =
  /** Too few bytes to tell, or to the end of the header. */
  | { readonly kind: 'partial' }
  /** No PROXY header, of either version. */
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed'; readonly reason: string }
  /** Without addresses the proxy speaks for itself (LOCAL), or knows of none (UNKNOWN). */
  | { readonly kind: 'header'; readonly addresses?: Addresses; readonly lengthBytes: number }

/**
 * The header as a line; without addresses it says UNKNOWN. Which family it names is as in version 2.
 * @throws ProtocolError PROTOCOL_BAD_PREAMBLE when an address is none.
 */
export function encodeProxyLine(addresses: Addresses | undefined): Buffer {
  if (addresses === undefined) return Buffer.from('PROXY UNKNOWN\r\n')
  if (!hasAddresses(addresses)) {
    throw new ProtocolError(
      'PROTOCOL_BAD_PREAMBLE',
      'bad PROXY header: an address is no IP address',
    )
  }
  const { isIPv4, source, destination } = addressPair(addresses)
  const ends = `${addressText(source)} ${addressText(destination)}`
  const ports = `${addresses.remotePort} ${addresses.localPort}`
  return Buffer.from(`PROXY ${isIPv4 ? 'TCP4' : 'TCP6'} ${ends} ${ports}\r\n`)
}

/** Whether the bytes, as far as they go, begin a line of version 1. */
export function isProxyLine(bytes: Buffer): boolean {
  const seen = Math.min(bytes.length, prefix.length)
  return bytes.compare(prefix, 0, seen, 0, seen) === 0
}

/** Reads what `isProxyLine` has seen the start of; to the letter as the specification has it. */
export function readProxyLine(bytes: Buffer): ProxyRead {
  const head = bytes.subarray(0, lineLimitBytes)
  const end = head.findIndex((byte) => byte < 0x20 || byte > 0x7e)
  if (end === -1) {
    return head.length < lineLimitBytes
      ? { kind: 'partial' }
      : malformed(`its line is longer than ${lineLimitBytes} bytes`)
  }
  if (head[end] !== carriageReturn) return malformed('its line does not end with CR and LF')
  if (end + 1 === lineLimitBytes) {
    return malformed(`its line is longer than ${lineLimitBytes} bytes`)
  }
  if (head.length === end + 1) return { kind: 'partial' }
  if (head[end + 1] !== lineFeed) return malformed('its line does not end with CR and LF')
  return readWords(head.toString('latin1', prefix.length, end).split(' '), end + 2)
}

function readWords(words: readonly string[], lengthBytes: number): ProxyRead {
  const [family, source = '', destination = '', sourcePort = '', destinationPort = ''] = words
  // §2.1: "the receiver must ignore anything presented before the CRLF is found"
  if (family === 'UNKNOWN') return { kind: 'header', lengthBytes }
  if (family !== 'TCP4' && family !== 'TCP6') return malformed('it is not TCP4, TCP6 or UNKNOWN')
  if (words.length !== 5)
    return malformed(`it has ${words.length - 1} words behind ${family}, not 4`)
  const isAddress = family === 'TCP4' ? isIPv4 : isPlainIPv6
  if (!isAddress(source) || !isAddress(destination)) {
    return malformed(`an address is not of ${family}`)
  }
  if (!isPort(sourcePort) || !isPort(destinationPort)) return malformed('a port is none')
  const addresses = {
    remoteAddress: shortest(source),
    remotePort: Number(sourcePort),
    localAddress: shortest(destination),
    localPort: Number(destinationPort),
  }
  return { kind: 'header', addresses, lengthBytes }
}

/** No zone: only the sender would know what it means. */
function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%')
}

function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535
}

function shortest(address: string): string {
  return isIPv4(address) ? address : addressText(addressBytes(address))
}

function malformed(problem: string): ProxyRead {
  return { kind: 'malformed', reason: `bad PROXY header: ${problem}` }
}
