/**
 * What the first bytes of a connection say.
 *
 * - `partial`: a ClientHello so far, with more to come; ask again with all the bytes.
 * - `not-tls`: some other protocol.
 * - `malformed`: TLS, but no ClientHello that a TLS stack would take.
 * - `hello`: `serverName` and `alpn` as they were sent, byte for byte (latin1): not yet to be trusted.
 */
export type ClientHello =
  | { readonly kind: 'partial' }
  | { readonly kind: 'not-tls' }
  | { readonly kind: 'malformed'; readonly reason: string }
  | Hello

export interface Hello {
  readonly kind: 'hello'
  readonly serverName?: string
  readonly alpn: readonly string[]
}

/**
 * Reads a TLS ClientHello (RFC 8446 §4.1.2, the same since TLS 1.0), also one that is spread over
 * several records. Never throws. As strict as OpenSSL where a second reading would give a second
 * name: one host_name, one server_name extension, every length exact. How long to go on with
 * `partial` is the caller's to bound; what claims more than a TLS stack takes is `malformed` at once.
 */
export function readClientHello(bytes: Buffer): ClientHello {
  const message = readMessage(bytes)
  return Buffer.isBuffer(message) ? readBody(new Cursor(message)) : message
}

//  record      type u8 = 22 · version u16 = 3.x · length u16 · fragment          RFC 8446 §5.1
//  handshake   type u8 = 1 · length u24 · body                                   RFC 8446 §4
//  body        version u16 · random 32 · session id ‹u8› · cipher suites ‹u16› · compression ‹u8›
//              · extensions ‹u16› of { type u16 · data ‹u16› }                   RFC 8446 §4.1.2
//  ‹u16›: as many bytes as a length of that size before them says

const RECORD_HEADER = 5
const HANDSHAKE_HEADER = 4
const HANDSHAKE_RECORD = 22
const CLIENT_HELLO = 1
const LONGEST_FRAGMENT = 2 ** 14
const LONGEST_MESSAGE = 2 ** 16 // as Go's crypto/tls has it (maxHandshake); OpenSSL takes twice that

const VERSION_AND_RANDOM = 2 + 32
const LONGEST_SESSION_ID = 32
const SERVER_NAME = 0 // extension, RFC 6066 §3
const HOST_NAME = 0 // type of a name in it
const LONGEST_SERVER_NAME = 255 // as OpenSSL has it (TLSEXT_MAXLEN_host_name)
const ALPN = 16 // extension, RFC 7301 §3.1
const NOTHING = Buffer.alloc(0)

/** The ClientHello's body, put together from its records. */
function readMessage(bytes: Buffer): Buffer | ClientHello {
  const isRecord = bytes[0] === HANDSHAKE_RECORD && (bytes[1] === 3 || bytes.length < 2)
  if (!isRecord && bytes.length > 0) return { kind: 'not-tls' }
  const fragments: Buffer[] = []
  let held = 0
  let wanted: number | undefined // known once its header is whole
  for (let at = 0; at + RECORD_HEADER <= bytes.length; ) {
    const length = bytes.readUInt16BE(at + 3)
    if (bytes[at] !== HANDSHAKE_RECORD || bytes[at + 1] !== 3) {
      return malformed(`a record of type ${bytes[at]} within the ClientHello`)
    }
    if (length === 0 || length > LONGEST_FRAGMENT) return malformed(`a record of ${length} bytes`)
    at += RECORD_HEADER
    const fragment = bytes.subarray(at, at + length) // shorter where the rest is still to come
    at += length
    fragments.push(fragment)
    held += fragment.length
    if (wanted === undefined && held >= HANDSHAKE_HEADER) {
      const header = Buffer.concat(fragments, HANDSHAKE_HEADER)
      if (header[0] !== CLIENT_HELLO) return malformed(`handshake message ${header[0]} comes first`)
      wanted = HANDSHAKE_HEADER + header.readUIntBE(1, 3)
      if (wanted > LONGEST_MESSAGE) return malformed(`a ClientHello of ${wanted} bytes`)
    }
    if (wanted !== undefined && held >= wanted) {
      const [first = fragment] = fragments
      const message = fragments.length === 1 ? first : Buffer.concat(fragments, wanted)
      return message.subarray(HANDSHAKE_HEADER, wanted)
    }
  }
  return { kind: 'partial' }
}

function readBody(body: Cursor): ClientHello {
  body.take(VERSION_AND_RANDOM) // the version is a fixed 0x0303 since TLS 1.3, and to be ignored
  const sessionId = body.vector(1)
  const suites = body.vector(2)
  const compression = body.vector(1)
  const hasExtensions = body.left > 0 // RFC 5246 §7.4.1.2: a client may send none
  const extensions = hasExtensions ? body.vector(2) : NOTHING
  if (!body.isRead) return malformed('lengths that do not add up')
  if (sessionId.length > LONGEST_SESSION_ID) return malformed('a long session id')
  if (suites.length === 0 || suites.length % 2 !== 0) return malformed('no list of cipher suites')
  if (compression.length === 0) return malformed('no list of compression methods')
  return readExtensions(new Cursor(extensions))
}

function readExtensions(extensions: Cursor): ClientHello {
  let serverName: string | undefined
  let alpn: string[] | undefined
  while (extensions.left > 0) {
    const type = extensions.number(2)
    const data = new Cursor(extensions.vector(2))
    if (type === SERVER_NAME) {
      if (serverName !== undefined) return malformed('two server_name extensions')
      serverName = readServerName(data)
      if (serverName === undefined) return malformed('a server_name that is not one host_name')
    } else if (type === ALPN) {
      if (alpn !== undefined) return malformed('two ALPN extensions')
      alpn = readProtocols(data)
      if (alpn === undefined) return malformed('an ALPN that is no list of names')
    }
  }
  if (!extensions.isRead) return malformed('an extension that is longer than its place')
  return { kind: 'hello', ...(serverName !== undefined && { serverName }), alpn: alpn ?? [] }
}

/** RFC 6066 §3 allows for other types of names, but none came; OpenSSL takes one host_name only. */
function readServerName(data: Cursor): string | undefined {
  const list = new Cursor(data.vector(2))
  const type = list.number(1)
  const name = list.vector(2)
  if (!data.isRead || !list.isRead || type !== HOST_NAME) return undefined
  const isSound = name.length > 0 && name.length <= LONGEST_SERVER_NAME && !name.includes(0)
  return isSound ? name.toString('latin1') : undefined
}

function readProtocols(data: Cursor): string[] | undefined {
  const list = new Cursor(data.vector(2))
  const names: string[] = []
  while (list.left > 0) names.push(list.vector(1).toString('latin1'))
  return data.isRead && list.isRead && names.length > 0 && !names.includes('') ? names : undefined
}

function malformed(reason: string): ClientHello {
  return { kind: 'malformed', reason }
}

/** Reads on to the end. Where that comes too soon it gives nothing more, and is never `isRead`. */
class Cursor {
  readonly #bytes: Buffer
  #at = 0
  #isShort = false

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  /** Whether every byte was read, and no more. */
  get isRead(): boolean {
    return this.left === 0 && !this.#isShort
  }

  number(size: 1 | 2): number {
    const at = this.#at
    if (!this.#skip(size)) return 0
    const first = this.#bytes[at] as number
    return size === 1 ? first : (first << 8) | (this.#bytes[at + 1] as number)
  }

  vector(lengthSize: 1 | 2): Buffer {
    return this.take(this.number(lengthSize))
  }

  take(length: number): Buffer {
    const at = this.#at
    return this.#skip(length) ? this.#bytes.subarray(at, this.#at) : NOTHING
  }

  /** Says whether there were so many, now and before. */
  #skip(length: number): boolean {
    if (length > this.left) this.#isShort = true
    this.#at = this.#isShort ? this.#bytes.length : this.#at + length
    return !this.#isShort
  }
}
