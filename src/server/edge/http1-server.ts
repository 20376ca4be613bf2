import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { type EdgeError, edgeErrors, errorText } from './error-page.ts'
import { plainResponse, sayAndClose } from './farewell.ts'
import { Http1Visit } from './http1-visit.ts'
import { requestIdOf } from './request-id.ts'
import type { Origin, VisitServer, VisitServerOptions } from './visit-server.ts'
import { VisitorConnection } from './visitor-connection.ts'

/** Visits over HTTP/1.1, read by node:http. */
export class Http1Server implements VisitServer {
  readonly #options: VisitServerOptions
  readonly #server: Server
  readonly #connections = new Map<object, VisitorConnection>()
  #isClosing = false

  constructor(options: VisitServerOptions) {
    this.#options = options
    const { headerMs, idleMs } = options.timeouts
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
    server.on('connect', (_request, socket) => this.#refuse(socket, edgeErrors.methodRefused))
    server.on('clientError', (error, socket) => this.#refuse(socket, clientErrorOf(error)))
    server.on('timeout', (socket) => this.#connections.get(socket)?.onIdle())
    // This server listens nowhere. Node begins to watch over header timeouts at this event.
    server.emit('listening')
  }

  accept(socket: TLSSocket, origin: Origin): void {
    this.#connections.set(socket, new VisitorConnection(socket, origin))
    socket.once('close', () => this.#connections.delete(socket))
    this.#server.emit('connection', socket)
  }

  drain(): void {
    this.#isClosing = true
    for (const connection of this.#connections.values()) {
      if (!connection.isBusy) connection.socket.destroySoon()
    }
  }

  close(): void {
    this.drain()
    for (const connection of this.#connections.values()) connection.socket.destroy()
    this.#server.close()
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#connections.get(request.socket)
    if (connection === undefined) request.socket.destroy()
    else this.#enqueue(connection, request, response)
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
    this.#enqueue(connection, request, response, head)
  }

  #enqueue(
    connection: VisitorConnection,
    request: IncomingMessage,
    response: ServerResponse,
    head?: Buffer,
  ): void {
    const { socket, origin } = connection
    connection.enqueue({
      make: () => {
        const onDone = () => {
          connection.done()
          if (this.#isClosing) socket.destroySoon()
        }
        return new Http1Visit({ request, response, switching: head && { socket, head }, onDone })
      },
      serve: (visit) => {
        if (this.#isClosing) response.shouldKeepAlive = false
        this.#options.serve(visit, origin)
      },
    })
  }

  /** For what is no request that could be answered in turn. */
  #refuse(socket: Duplex, error: EdgeError | undefined): void {
    const connection = this.#connections.get(socket)
    if (socket.destroyed || socket.writableEnded) return
    if (connection === undefined || connection.isBusy || error === undefined) {
      socket.destroy()
      return
    }
    const requestId = requestIdOf([])
    this.#options.onUnreadable(error, requestId, connection.origin)
    sayAndClose(connection.socket, plainResponse(error.status, errorText(error, requestId)))
  }
}

/** What the parser, or Node's watch over timeouts, found. Undefined: the connection is gone, or not worth a word. */
function clientErrorOf({ code = '' }: NodeJS.ErrnoException): EdgeError | undefined {
  if (code === 'HPE_HEADER_OVERFLOW') return edgeErrors.headerTooLarge
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return edgeErrors.requestTimeout
  return code.startsWith('HPE_') ? edgeErrors.badRequest : undefined
}
