import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Logger } from '../../log.ts'
import type { Registry } from '../../registry/registry.ts'
import type { Route } from '../upstream.ts'
import type { Counters } from './counters.ts'
import { type EdgeError, edgeErrors, sendError } from './error-page.ts'
import { plainResponse, sayAndClose } from './farewell.ts'
import { type ExchangeOutcome, HttpExchange } from './forward-http.ts'
import { checkRequest } from './request-guard.ts'
import { UpstreamPool } from './upstream-pool.ts'
import { VisitorConnection } from './visitor-connection.ts'

export interface HttpsOptions {
  readonly registry: Registry<Route>
  /** Canonical: where the gateway's own page is. */
  readonly gatewayHost: string
  readonly headerBytes: number
  readonly headerLines: number
  /** The port that visitors reach us at; known when listening. */
  readonly publicPort: () => number
  readonly timeouts?: Partial<HttpsTimeouts>
  readonly counters: Counters
  readonly log: Logger
}

export interface HttpsTimeouts {
  /** For a request's header, from its first byte; on a new connection from the handshake on. */
  readonly headerMs: number
  /** For a connection on which nothing moves, between requests and within them. */
  readonly idleMs: number
}

const defaultTimeouts: HttpsTimeouts = { headerMs: 10_000, idleMs: 120_000 }

/**
 * Requests of visitors, over TLS connections that others accepted (`accept`): refuses what is
 * ambiguous, finds the route, and hands the rest to an exchange. HTTP/1.1 only; an HTTP/2 server would
 * stand beside `#server` and share everything from `#serve` on.
 */
export class HttpsEdge {
  readonly #options: HttpsOptions
  readonly #server: Server
  readonly #pool = new UpstreamPool()
  readonly #connections = new Map<object, VisitorConnection>()
  #isClosing = false

  constructor(options: HttpsOptions) {
    this.#options = options
    const { headerMs, idleMs } = { ...defaultTimeouts, ...options.timeouts }
    this.#server = createServer({
      maxHeaderSize: options.headerBytes,
      headersTimeout: headerMs,
      requestTimeout: 0, // uploads take as long as they move
      keepAliveTimeout: idleMs,
      connectionsCheckingInterval: 1_000,
      insecureHTTPParser: false,
    })
    const server = this.#server
    server.maxHeadersCount = 0 // Node's limit hides lines instead of refusing them
    server.timeout = idleMs
    server.on('request', (request, response) => this.#receive(request, response))
    server.on('checkContinue', (request, response) => this.#receive(request, response))
    server.on('upgrade', (request, socket, head) => this.#receiveUpgrade(request, socket, head))
    server.on('connect', (_request, socket) => this.#refuseRaw(socket, edgeErrors.methodRefused))
    server.on('clientError', (error, socket) => this.#refuseRaw(socket, clientErrorOf(error)))
    server.on('timeout', (socket) => this.#connections.get(socket)?.onIdle())
    options.registry.on('release', this.#onRelease)
    // This server listens nowhere. Node begins to watch over header timeouts at this event.
    server.emit('listening')
  }

  /** Takes a connection after its handshake. `serverName`, canonical, is the one name it may be used for. */
  accept(socket: TLSSocket, serverName: string): void {
    if (this.#isClosing) {
      socket.destroy()
      return
    }
    socket.on('error', () => {}) // its close says the same
    this.#connections.set(socket, new VisitorConnection(socket, serverName))
    socket.once('close', () => this.#connections.delete(socket))
    this.#server.emit('connection', socket)
  }

  /** No requests after those that are being served; connections close as they become idle. */
  drain(): void {
    this.#isClosing = true
    this.#pool.close()
    for (const connection of this.#connections.values()) {
      if (!connection.isBusy) connection.socket.destroySoon()
    }
  }

  /** The end; what is still being served is broken off. */
  close(): void {
    this.drain()
    this.#options.registry.off('release', this.#onRelease)
    for (const connection of this.#connections.values()) connection.socket.destroy()
    this.#server.close()
  }

  readonly #onRelease = (route: Route) => this.#pool.release(route)

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#connections.get(request.socket)
    if (connection === undefined) request.socket.destroy()
    else connection.enqueue(() => this.#serveGuarded(connection, request, response))
  }

  /** Node has let go of the connection; the response that it does not make here is ours to make. */
  #receiveUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const connection = this.#connections.get(socket)
    if (connection === undefined || connection.isBusy) {
      socket.destroy() // requests before this one are unanswered: who may write next?
      return
    }
    const response = new ServerResponse(request)
    connection.socket.on('timeout', () => connection.onIdle())
    response.shouldKeepAlive = false
    response.assignSocket(connection.socket)
    response.once('finish', () => connection.socket.destroySoon())
    socket.on('drain', () => response.emit('drain'))
    connection.enqueue(() => this.#serveGuarded(connection, request, response, head))
  }

  /** A bug of ours in one request costs that connection, not the process. */
  #serveGuarded(connection: VisitorConnection, ...request: Served): void {
    try {
      this.#serve(connection, ...request)
    } catch (error) {
      connection.socket.destroy()
      this.#options.log.error('a request could not be served', { error })
    }
  }

  #serve(connection: VisitorConnection, ...[request, response, head]: Served): void {
    const { serverName, socket, visitor } = connection
    const { registry, gatewayHost, headerLines, headerBytes } = this.#options
    const done = this.#begin(connection, request, response)
    if (this.#isClosing) response.shouldKeepAlive = false
    const checked = checkRequest(request, { serverName, headerLines })
    if ('status' in checked) {
      refuse(request, response, checked, done)
      return
    }
    if (checked.host === gatewayHost) {
      sendOwnPage(request, response, done)
      return
    }
    const route = registry.lookup(checked.host)
    if (route?.mode !== 'http') {
      refuse(request, response, edgeErrors.hostUnknown, done)
      return
    }
    const exchange = new HttpExchange({
      ...{ request, response, checked, route, visitor, headerBytes },
      publicPort: this.#options.publicPort(),
      pool: this.#pool,
      switching: head && { socket, head },
      onDone: (outcome) => done(outcome, route.holder.id),
    })
    connection.occupy(exchange)
    exchange.start()
  }

  /** Counts and times a request; what it gives ends both, and makes its access line. */
  #begin(connection: VisitorConnection, request: IncomingMessage, response: ServerResponse): Done {
    const { counters, log } = this.#options
    const { socket, visitor, serverName } = connection
    const startMs = performance.now()
    const { bytesRead, bytesWritten } = socket
    counters.requests += 1
    counters.openRequests += 1
    return (outcome, session) => {
      counters.openRequests -= 1
      if (outcome === 'refused' || outcome === 'broken') counters.failedRequests += 1
      log.info('request', {
        host: serverName,
        method: request.method,
        path: request.url?.split('?', 1)[0]?.slice(0, longestPath),
        status: outcome === 'switched' ? 101 : response.statusCode,
        ...(outcome !== 'whole' && { outcome }),
        durationMs: Math.round(performance.now() - startMs),
        bytesIn: socket.bytesRead - bytesRead,
        bytesOut: socket.bytesWritten - bytesWritten,
        remoteAddress: visitor.remoteAddress,
        session,
      })
      connection.done()
      if (this.#isClosing) socket.destroySoon()
    }
  }

  /** For what is no request that could be answered in turn. */
  #refuseRaw(socket: Duplex, error: EdgeError | undefined): void {
    const connection = this.#connections.get(socket)
    if (socket.destroyed || socket.writableEnded) return
    if (connection === undefined || connection.isBusy || error === undefined) {
      socket.destroy()
      return
    }
    const { visitor, serverName } = connection
    const { counters, log } = this.#options
    counters.requests += 1
    counters.failedRequests += 1
    const { status, code } = error
    log.info('request', { host: serverName, status, code, remoteAddress: visitor.remoteAddress })
    sayAndClose(connection.socket, plainResponse(status, `${error.text} (${code})\n`))
  }
}

type Served = [request: IncomingMessage, response: ServerResponse, head?: Buffer]

type Done = (outcome: ExchangeOutcome, session?: string) => void

/** For the log: a path is a visitor's text. The query is left out, since it may hold secrets. */
const longestPath = 200

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  error: EdgeError,
  done: Done,
): void {
  response.once('close', () => done('refused'))
  response.on('error', () => {})
  if (error.status === 400 || error.status === 431) response.shouldKeepAlive = false
  sendError(request, response, error)
}

function sendOwnPage(request: IncomingMessage, response: ServerResponse, done: Done): void {
  const isRead = request.method === 'GET' || request.method === 'HEAD'
  if (!isRead || request.url?.split('?', 1)[0] !== '/') {
    refuse(request, response, edgeErrors.notFound, done)
    return
  }
  response.once('close', () => done('whole'))
  response.writeHead(200, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(ownPage),
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(request.method === 'HEAD' ? undefined : ownPage)
}

const ownPage = `This is a gotunnel gateway.

It makes private services reachable at public names. Nothing is served at this name itself.
`

/** What the parser, or Node's watch over timeouts, found. Undefined: the connection is gone, or not worth a word. */
function clientErrorOf({ code = '' }: NodeJS.ErrnoException): EdgeError | undefined {
  if (code === 'HPE_HEADER_OVERFLOW') return edgeErrors.headerTooLarge
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return edgeErrors.requestTimeout
  return code.startsWith('HPE_') ? edgeErrors.badRequest : undefined
}
