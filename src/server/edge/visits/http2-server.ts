import {
  constants,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { defaultFloodLimits, Http2FloodGuard } from './http2-flood.ts'
import { Http2Visit } from './http2-visit.ts'
import type { Origin, VisitServer, VisitServerOptions } from './visit-server.ts'

export interface Http2ServerOptions extends VisitServerOptions {
  /** Of one connection, at once. */
  readonly concurrentStreams: number
  readonly headerLines: number
}

/** What a stream, and a connection, may send ahead of who reads it. */
const streamWindowBytes = 256 * 1024
const connectionWindowBytes = 1024 * 1024
/** Pseudo-headers, and cookies that come one by one and count as one line. */
const morePairs = 200
/** Frames that break the protocol, and streams beyond those that may be, until the connection ends. */
const maxInvalidFrames = 100
const maxRejectedStreams = 100

/** Visits over HTTP/2 (RFC 9113), read by node:http2: as many of a connection at once as may be. */
export class Http2Server implements VisitServer {
  readonly #options: Http2ServerOptions
  readonly #connections = new Set<Http2Connection>()

  constructor(options: Http2ServerOptions) {
    this.#options = options
  }

  accept(socket: TLSSocket, origin: Origin): void {
    const connection = new Http2Connection(socket, origin, this.#options)
    this.#connections.add(connection)
    connection.session.once('close', () => this.#connections.delete(connection))
  }

  drain(): void {
    for (const { session } of this.#connections) session.close() // GOAWAY
  }

  close(): void {
    for (const { session } of this.#connections) session.destroy()
  }
}

class Http2Connection {
  readonly session: ServerHttp2Session
  readonly #origin: Origin
  readonly #options: Http2ServerOptions
  readonly #flood = new Http2FloodGuard(defaultFloodLimits)
  #visits = 0
  /** Until the first words of the client, then whenever nothing is asked. */
  #deadline: NodeJS.Timeout

  constructor(socket: TLSSocket, origin: Origin, options: Http2ServerOptions) {
    this.#origin = origin
    this.#options = options
    const { headerBytes, headerLines, concurrentStreams, timeouts } = options
    const session = performServerHandshake(socket, {
      maxHeaderListPairs: headerLines + morePairs,
      maxSessionInvalidFrames: maxInvalidFrames,
      maxSessionRejectedStreams: maxRejectedStreams,
      settings: {
        maxConcurrentStreams: concurrentStreams,
        maxHeaderListSize: headerBytes,
        initialWindowSize: streamWindowBytes,
        enableConnectProtocol: true,
      },
    })
    this.session = session
    session.setLocalWindowSize(connectionWindowBytes)
    this.#deadline = setTimeout(() => session.destroy(), timeouts.headerMs)
    session.once('remoteSettings', () => this.#waitForVisits())
    session.on('remoteSettings', () => this.#control())
    session.on('ping', () => this.#control())
    // Node waits: our half may stay open. But nobody is left to open a window, or to ask.
    socket.once('end', () => session.destroy())
    session.on('error', () => {}) // its close says the same
    session.once('close', () => clearTimeout(this.#deadline))
    session.on('stream', (stream, _headers, _flags, ...[rawHeaders]: [string[]?]) => {
      this.#serve(stream, rawHeaders ?? [])
    })
  }

  #serve(stream: ServerHttp2Stream, rawHeaders: readonly string[]): void {
    clearTimeout(this.#deadline)
    this.#visits += 1
    const { idleMs } = this.#options.timeouts
    const onDone = () => this.#visitDone()
    const visit = new Http2Visit({ stream, rawHeaders, idleMs, onDone })
    stream.once('aborted', () => this.#aborted(visit))
    this.#options.serve(visit, this.#origin)
  }

  #visitDone(): void {
    this.#visits -= 1
    this.#waitForVisits()
  }

  /** Whatever else it sends: a connection is kept for requests. */
  #waitForVisits(): void {
    if (this.#visits > 0 || this.session.destroyed) return
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => this.session.close(), this.#options.timeouts.idleMs)
  }

  #control(): void {
    if (this.#flood.exceeds('controls')) this.#calmDown()
  }

  #aborted({ wasBroken }: Http2Visit): void {
    if (!wasBroken && this.#flood.exceeds('resets')) this.#calmDown()
  }

  #calmDown(): void {
    if (!this.session.destroyed)
      this.session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }
}
