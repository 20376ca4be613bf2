/*
 * TLS for many names on one port, without Node's SNICallback: the ClientHello is read first, and the
 * connection then goes to a tls.Server of its name. Tried on Node 20 with one server and a callback:
 * a session ticket from `a.test` resumes as `b.test` and the callback is not even asked (TLS 1.3), a
 * resumed connection has lost its name (TLS 1.2), clients without SNI never reach the callback, and
 * a callback that throws kills the process. With a server a name, ticket keys are the name's own.
 */
import { constants } from 'node:crypto'
import { Server, type Socket } from 'node:net'
import * as tls from 'node:tls'
import { type ClientHello, type Hello, readClientHello } from '../net/client-hello.ts'
import { canonicalHostname } from '../net/hostname.ts'
import { ignoreErrors } from '../net/ignore-errors.ts'
import { peek } from '../net/peek.ts'
import { socketUnder } from '../net/reset.ts'
import { TransportError, type TransportErrorCode } from './errors.ts'

export interface TlsAcceptorOptions {
  /** The pair to show for a canonical hostname; `undefined` where there is none. May take its time. */
  readonly certificateFor: (hostname: string) => Promise<KeyAndChain | undefined>
  /** The name meant by clients that send none. */
  readonly defaultName: string
  /**
   * The protocol to speak, one of those that the client offered; `undefined` refuses the connection.
   * Asked only where the client offers any. Without this function, ALPN is not answered.
   */
  readonly alpn?: (hostname: string, offered: readonly string[]) => string | undefined
  /** For the ClientHello to come, and again for the handshake after it; not for `certificateFor`. */
  readonly handshakeTimeoutMs?: number
  /**
   * A completed handshake, with the canonical name whose certificate was shown: go by it, not by the
   * socket's `servername`. The owner attaches its `error` listener at once.
   */
  readonly onConnection: (socket: tls.TLSSocket, hostname: string) => void
  /** Who is at the other end, where the socket does not know: a proxy stands between. */
  readonly remoteAddressOf?: (socket: Socket) => string
  /** A connection that failed before that; it is closed already. */
  readonly onError: (error: TransportError, remoteAddress: string) => void
}

/** Both PEM; the leaf comes first. */
export interface KeyAndChain {
  readonly key: string
  readonly chain: string
}

/**
 * A server that completes TLS handshakes (1.2 or better). It listens where its owner tells it to, or
 * takes connections accepted elsewhere: by `emit('connection', socket)`, or by `accept`, with all that was
 * read of the socket unshifted, and `allowHalfOpen` set where half-closed connections are to survive.
 * Closing it accepts no more; handshakes in progress end by themselves, at their deadlines at the latest.
 */
export class TlsAcceptor extends Server {
  readonly #options: TlsAcceptorOptions
  readonly #servers: NamedServers

  constructor(options: TlsAcceptorOptions) {
    super({ allowHalfOpen: true, noDelay: true })
    this.#options = options
    this.#servers = new NamedServers(options)
    this.on('connection', (socket: Socket) => this.accept(socket))
  }

  /** `hello`: what the connection begins with, where that is known already. */
  accept(socket: Socket, hello?: Hello): void {
    const remoteAddress = addressOf(socket, this.#options)
    // Nobody else listens while we wait for a certificate.
    ignoreErrors(socket)
    this.#handshake(socket, hello).catch((error) => {
      if (error instanceof Refusal) socket.end(error.alert, () => socket.destroy())
      else socket.destroy()
      this.#options.onError(toTransportError(error), remoteAddress)
    })
  }

  async #handshake(socket: Socket, known: Hello | undefined): Promise<void> {
    const { defaultName } = this.#options
    const { serverName = defaultName } = known ?? (await this.#readHello(socket))
    const hostname = asked(serverName)
    const server = await this.#serverFor(hostname)
    if (server === undefined) {
      const text = `no certificate for ${hostname}, and none may be made`
      throw new Refusal(UNRECOGNIZED_NAME, 'TRANSPORT_NAME_UNKNOWN', text)
    }
    // Whoever has gone meanwhile did not fail: the wait was ours.
    if (socket.destroyed) return
    // Nor does half a connection make a handshake; but whoever is through with it may end a half.
    const { allowHalfOpen } = socket
    socket.allowHalfOpen = false
    server.emit('connection', socket)
    socket.allowHalfOpen = allowHalfOpen
  }

  async #readHello(socket: Socket): Promise<Hello> {
    const timeoutMs = this.#options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS
    const hello = await peek(socket, wholeHello, { limitBytes: HELLO_LIMIT_BYTES, timeoutMs })
    if (hello.kind === 'hello') return hello
    const problem = hello.kind === 'malformed' ? `malformed ClientHello: ${hello.reason}` : 'no TLS'
    throw new TransportError('TRANSPORT_HANDSHAKE_FAILED', problem)
  }

  async #serverFor(hostname: string): Promise<tls.Server | undefined> {
    try {
      const pair = await this.#options.certificateFor(hostname)
      return pair && this.#servers.get(hostname, pair)
    } catch (cause) {
      const text = `no certificate for ${hostname}: ${message(cause)}`
      throw new Refusal(INTERNAL_ERROR, 'TRANSPORT_NO_CERTIFICATE', text, cause)
    }
  }
}

function wholeHello(bytes: Buffer): Exclude<ClientHello, { kind: 'partial' }> | undefined {
  const hello = readClientHello(bytes)
  return hello.kind === 'partial' ? undefined : hello
}

function asked(serverName: string): string {
  // RFC 6066 §3: no port in it. canonicalHostname would take one off.
  const hostname = serverName.includes(':') ? undefined : canonicalHostname(serverName)
  if (hostname !== undefined) return hostname
  const text = `not a hostname: '${serverName.slice(0, 80).replace(/[^!-~]/g, '?')}'`
  throw new Refusal(UNRECOGNIZED_NAME, 'TRANSPORT_NAME_UNKNOWN', text)
}

/** A tls.Server for each name that was asked for lately, made anew when its certificate changes. */
class NamedServers {
  readonly #options: TlsAcceptorOptions
  /** In the order of their last use. */
  readonly #byName = new Map<string, { pair: KeyAndChain; server: tls.Server }>()

  constructor(options: TlsAcceptorOptions) {
    this.#options = options
  }

  get(hostname: string, pair: KeyAndChain): tls.Server {
    const found = this.#byName.get(hostname)
    const entry = found?.pair === pair ? found : { pair, server: this.#create(hostname, pair) }
    this.#byName.delete(hostname)
    this.#byName.set(hostname, entry)
    for (const oldest of this.#byName.keys()) {
      if (this.#byName.size <= SERVER_LIMIT) break
      this.#byName.delete(oldest)
    }
    return entry.server
  }

  #create(hostname: string, { key, chain }: KeyAndChain): tls.Server {
    const { alpn, handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS, ...owner } = this.#options
    const server = tls.createServer({
      key,
      cert: chain,
      minVersion: 'TLSv1.2',
      // TLS 1.2 lets a client ask for one handshake after the other on one connection.
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      handshakeTimeout: handshakeTimeoutMs,
      ...(alpn && { ALPNCallback: ({ protocols }: Offer) => choose(alpn, hostname, protocols) }),
    })
    server.on('secureConnection', (socket) => {
      socket.allowHalfOpen = socketUnder(socket)?.allowHalfOpen ?? false
      owner.onConnection(socket, hostname)
    })
    server.on('tlsClientError', (error, socket) => {
      // The socket under a TLS socket still knows its address once it is closed.
      const remoteAddress = addressOf(socketUnder(socket) ?? socket, this.#options)
      socket.destroy()
      owner.onError(toTransportError(error, hostname), remoteAddress)
    })
    return server
  }
}

function addressOf(socket: Socket, { remoteAddressOf }: TlsAcceptorOptions): string {
  return remoteAddressOf?.(socket) || socket.remoteAddress || 'unknown'
}

type Offer = { protocols: string[] }

// What Node does not expect here ends the process: an exception, a protocol that was not offered.
function choose(
  alpn: NonNullable<TlsAcceptorOptions['alpn']>,
  hostname: string,
  offered: string[],
): string | undefined {
  try {
    const chosen = alpn(hostname, offered)
    return chosen !== undefined && offered.includes(chosen) ? chosen : undefined
  } catch {
    return undefined
  }
}

/** A connection that is told why it ends, by a TLS alert (RFC 8446 §6). */
class Refusal extends TransportError {
  readonly alert: Buffer

  constructor(description: number, code: TransportErrorCode, text: string, cause?: unknown) {
    super(code, text, { cause })
    // Content type alert, record version 1.2, two bytes: fatal, and why.
    this.alert = Buffer.from([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, description])
  }
}

const INTERNAL_ERROR = 80
const UNRECOGNIZED_NAME = 112

const HANDSHAKE_TIMEOUT_MS = 10_000
// A ClientHello with post-quantum key shares has under 2 KiB, and a record 16 KiB at most.
const HELLO_LIMIT_BYTES = 16 * 1024
const SERVER_LIMIT = 1000

function toTransportError(error: unknown, hostname?: string): TransportError {
  if (error instanceof TransportError) return error
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const late = code === 'ERR_TLS_HANDSHAKE_TIMEOUT' || code === 'NET_PEEK_TIMEOUT'
  const what = hostname === undefined ? 'before its ClientHello' : `for ${hostname}`
  const text = `TLS handshake failed ${what}: ${message(error)}`
  return new TransportError(late ? 'TRANSPORT_TIMEOUT' : 'TRANSPORT_HANDSHAKE_FAILED', text, {
    cause: error,
  })
}

function message(error: unknown): string {
  // OpenSSL's end in a line break.
  return error instanceof Error ? error.message.trim() : String(error)
}
