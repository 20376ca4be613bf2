import type { TLSSocket } from 'node:tls'
import type { Logger } from '../../log.ts'
import type { Registry } from '../../registry/registry.ts'
import type { Route } from '../upstream.ts'
import type { Counters } from './counters.ts'
import { type EdgeError, edgeErrors, sendError } from './error-page.ts'
import { type ExchangeOutcome, HttpExchange } from './forward-http.ts'
import { Http1Server } from './http1-server.ts'
import { checkRequest } from './request-guard.ts'
import { UpstreamPool } from './upstream-pool.ts'
import type { Visit } from './visit.ts'
import type { Origin, VisitServer, VisitTimeouts } from './visit-server.ts'
import { visitorOf } from './visitor.ts'

export interface HttpsOptions {
  readonly registry: Registry<Route>
  /** Canonical: where the gateway's own page is. */
  readonly gatewayHost: string
  readonly headerBytes: number
  readonly headerLines: number
  /** The port that visitors reach us at; known when listening. */
  readonly publicPort: () => number
  readonly timeouts?: Partial<VisitTimeouts>
  readonly counters: Counters
  readonly log: Logger
}

const defaultTimeouts: VisitTimeouts = { headerMs: 10_000, idleMs: 120_000 }

/**
 * Requests of visitors, over TLS connections that others accepted (`accept`). Servers read them, one for
 * each version of HTTP; what they have read is a `Visit`. Here it is refused if it is ambiguous, its
 * route is found, and the rest is an exchange's.
 */
export class HttpsEdge {
  readonly #options: HttpsOptions
  readonly #http1: VisitServer
  readonly #pool = new UpstreamPool()
  #isClosing = false

  constructor(options: HttpsOptions) {
    this.#options = options
    this.#http1 = new Http1Server({
      headerBytes: options.headerBytes,
      timeouts: { ...defaultTimeouts, ...options.timeouts },
      serve: (visit, origin) => this.#serveGuarded(visit, origin),
      onUnreadable: (error, origin) => this.#logUnreadable(error, origin),
    })
    options.registry.on('release', this.#onRelease)
  }

  /** Takes a connection after its handshake. `serverName`, canonical, is the one name it may be used for. */
  accept(socket: TLSSocket, serverName: string): void {
    if (this.#isClosing) {
      socket.destroy()
      return
    }
    socket.on('error', () => {}) // its close says the same
    this.#http1.accept(socket, { serverName, visitor: visitorOf(socket) })
  }

  /** No requests after those that are being served; connections close as they become idle. */
  drain(): void {
    this.#isClosing = true
    this.#pool.close()
    this.#http1.drain()
  }

  /** The end; what is still being served is broken off. */
  close(): void {
    this.drain()
    this.#options.registry.off('release', this.#onRelease)
    this.#http1.close()
  }

  readonly #onRelease = (route: Route) => this.#pool.release(route)

  /** A bug of ours in one request costs that connection, not the process. */
  #serveGuarded(visit: Visit, origin: Origin): void {
    try {
      this.#serve(visit, origin)
    } catch (error) {
      visit.break()
      this.#options.log.error('a request could not be served', { error })
    }
  }

  #serve(visit: Visit, origin: Origin): void {
    const { registry, gatewayHost, headerLines, headerBytes } = this.#options
    const { serverName, visitor } = origin
    const done = this.#begin(visit, origin)
    const checked = checkRequest(visit.head, { serverName, headerLines })
    if ('status' in checked) {
      refuse(visit, checked, done)
      return
    }
    if (checked.host === gatewayHost) {
      sendOwnPage(visit, done)
      return
    }
    const route = registry.lookup(checked.host)
    if (route?.mode !== 'http') {
      refuse(visit, edgeErrors.hostUnknown, done)
      return
    }
    const exchange = new HttpExchange({
      ...{ visit, checked, route, visitor, headerBytes },
      publicPort: this.#options.publicPort(),
      pool: this.#pool,
      onDone: (outcome) => done(outcome, route.holder.id),
    })
    exchange.start()
  }

  /** Counts and times a request; what it gives ends both, and makes its access line. */
  #begin(visit: Visit, { visitor, serverName }: Origin): Done {
    const { counters, log } = this.#options
    const startMs = performance.now()
    counters.requests += 1
    counters.openRequests += 1
    return (outcome, session) => {
      counters.openRequests -= 1
      if (outcome === 'refused' || outcome === 'broken') counters.failedRequests += 1
      const { method, url } = visit.head
      log.info('request', {
        host: serverName,
        method,
        path: url.split('?', 1)[0]?.slice(0, longestPath),
        http: visit.protocol,
        status: outcome === 'switched' ? 101 : visit.status,
        ...(outcome !== 'whole' && { outcome }),
        durationMs: Math.round(performance.now() - startMs),
        bytesIn: visit.bytesIn,
        bytesOut: visit.bytesOut,
        remoteAddress: visitor.remoteAddress,
        session,
      })
      visit.done()
    }
  }

  #logUnreadable({ status, code }: EdgeError, { visitor, serverName }: Origin): void {
    const { counters, log } = this.#options
    counters.requests += 1
    counters.failedRequests += 1
    log.info('request', { host: serverName, status, code, remoteAddress: visitor.remoteAddress })
  }
}

type Done = (outcome: ExchangeOutcome, session?: string) => void

/** For the log: a path is a visitor's text. The query is left out, since it may hold secrets. */
const longestPath = 200

function refuse(visit: Visit, error: EdgeError, done: Done): void {
  visit.response.once('close', () => done('refused'))
  sendError(visit, error)
}

function sendOwnPage(visit: Visit, done: Done): void {
  const { method, url } = visit.head
  if ((method !== 'GET' && method !== 'HEAD') || url.split('?', 1)[0] !== '/') {
    refuse(visit, edgeErrors.notFound, done)
    return
  }
  visit.response.once('close', () => done('whole'))
  const lines = [
    ...['Content-Type', 'text/plain; charset=utf-8'],
    ...['Content-Length', String(Buffer.byteLength(ownPage))],
    ...['X-Content-Type-Options', 'nosniff'],
  ]
  visit.respond({ status: 200, lines })
  if (method !== 'HEAD') visit.response.write(ownPage)
  visit.end()
}

const ownPage = `This is a gotunnel gateway.

It makes private services reachable at public names. Nothing is served at this name itself.
`
