import type { Socket } from 'node:net'
import { Http1Error } from '../../../http1/errors.ts'
import { type EdgeError, edgeErrors, errorText } from '../error-page.ts'
import { plainResponse, sayAndClose } from '../farewell.ts'
import { requestIdOf } from '../request-id.ts'
import { Http1Connection } from './http1-connection.ts'
import type { Origin, VisitServer, VisitServerOptions } from './visit-server.ts'

/** How often deadlines are looked at. */
const sweepMs = 1_000

/** Visits over HTTP/1.1, on sockets that others accepted. */
export class Http1Server implements VisitServer {
  readonly #options: VisitServerOptions
  readonly #connections = new Set<Http1Connection>()
  readonly #keepingLines: string
  readonly #sweep: NodeJS.Timeout

  constructor(options: VisitServerOptions) {
    this.#options = options
    const keptSec = Math.floor(options.timeouts.idleMs / 1000)
    this.#keepingLines = `Connection: keep-alive\r\nKeep-Alive: timeout=${keptSec}\r\n`
    this.#sweep = setInterval(() => this.#checkDeadlines(), sweepMs).unref()
  }

  accept(socket: Socket, origin: Origin): void {
    const { headerBytes, timeouts, isSingle = false, serve } = this.#options
    const connection: Http1Connection = new Http1Connection(socket, {
      ...{ headerBytes, ...timeouts, isSingle, keepingLines: this.#keepingLines },
      serve: (visit) => serve(visit, origin),
      onUnreadable: (error) => this.#refuse(socket, origin, unreadable(error)),
    })
    this.#connections.add(connection)
    socket.once('close', () => this.#connections.delete(connection))
  }

  drain(): void {
    for (const connection of this.#connections) connection.drain()
  }

  close(): void {
    this.drain()
    clearInterval(this.#sweep)
    for (const { socket } of this.#connections) socket.destroy()
  }

  #checkDeadlines(): void {
    const nowMs = performance.now()
    for (const connection of this.#connections) connection.checkDeadline(nowMs)
  }

  /** For what is no request that could be answered in turn. */
  #refuse(socket: Socket, origin: Origin, error: EdgeError): void {
    if (socket.destroyed || socket.writableEnded) return
    const requestId = requestIdOf([])
    this.#options.onUnreadable(error, requestId, origin)
    sayAndClose(socket, plainResponse(error.status, errorText(error, requestId)))
  }
}

function unreadable(error: Error | 'timeout'): EdgeError {
  if (error === 'timeout') return edgeErrors.requestTimeout
  const isTooLarge = error instanceof Http1Error && error.code === 'HTTP1_TOO_LARGE'
  return isTooLarge ? edgeErrors.headerTooLarge : edgeErrors.badRequest
}
