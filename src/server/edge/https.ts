import type { TLSSocket } from 'node:tls'
import type { Logger } from '../../log.ts'
import { ignoreErrors } from '../../net/ignore-errors.ts'
import { pathRouteKey } from '../../protocol/offers.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { Route, Visitor } from '../upstream.ts'
import { AccessLog, type Departure, type Outcome } from './access-log.ts'
import { type EdgeError, sendError } from './error-page.ts'
import { HttpExchange } from './forward-http.ts'
import { Gate, type GateOptions } from './gate.ts'
import { type OwnPages, wordOnly } from './own-page.ts'
import { provenanceOf, type TrustedProxies } from './provenance.ts'
import { checkRequest } from './request-guard.ts'
import { requestIdOf } from './request-id.ts'
import { SharedConnection } from './shared-connection.ts'
import { Targets } from './targets/targets.ts'
import { Http1Server } from './visits/http1-server.ts'
import { Http2Server } from './visits/http2-server.ts'
import type { Visit } from './visits/visit.ts'
import type {
  Origin,
  VisitServer,
  VisitServerOptions,
  VisitTimeouts,
} from './visits/visit-server.ts'

export interface HttpsOptions extends GateOptions {
  /** Canonical: where the gateway's own page is. */
  readonly gatewayHost: string
  /** What is there; default: a word on what this is. */
  readonly ownPages?: OwnPages | undefined
  readonly headerBytes: number
  readonly headerLines: number
  readonly minUploadRate: number
  /** Whether visitors may have HTTP/2 (by ALPN), and how many requests at once on a connection. */
  readonly http2: boolean
  readonly streamsPerConnection: number
  /** The port that visitors reach us at; known when listening. */
  readonly publicPort: () => number
  readonly timeouts?: Partial<HttpsTimeouts>
  /** Whose word on who the visitor is counts. */
  readonly trustedProxies: TrustedProxies
  /** Whether the access log has queries. */
  readonly logQuery: boolean
  readonly telemetry: Telemetry
  readonly log: Logger
}

export interface HttpsTimeouts extends VisitTimeouts {
  /** For a target's answer to begin, where its route says nothing of it; 0: as long as it takes. */
  readonly responseMs: number
}

/** `curl --http1.0` offers nothing but the latter. */
const http1Protocols = ['http/1.1', 'http/1.0']

const defaultTimeouts: HttpsTimeouts = { headerMs: 10_000, idleMs: 120_000, responseMs: 60_000 }

/**
 * Requests of visitors, over TLS connections that others accepted (`accept`). Servers read them, one for
 * each version of HTTP; what they have read is a `Visit`. Here it is refused if it is ambiguous, its
 * route is found, and the rest is an exchange's.
 */
export class HttpsEdge {
  readonly #options: HttpsOptions
  readonly #http1: VisitServer
  readonly #http2: VisitServer | undefined
  readonly #accessLog: AccessLog
  readonly #targets = new Targets()
  readonly #timeouts: HttpsTimeouts
  readonly #gate: Gate
  #isClosing = false

  constructor(options: HttpsOptions) {
    this.#options = options
    this.#gate = new Gate(options)
    const { telemetry, log, logQuery: hasQuery } = options
    this.#accessLog = new AccessLog({ telemetry, log, hasQuery })
    const { headerBytes, headerLines, streamsPerConnection: concurrentStreams } = options
    this.#timeouts = { ...defaultTimeouts, ...options.timeouts }
    const serverOptions: VisitServerOptions = {
      headerBytes,
      timeouts: this.#timeouts,
      serve: (visit, origin) => this.#serveGuarded(visit, origin),
      onUnreadable: (...refused) => this.#logUnreadable(...refused),
    }
    this.#http1 = new Http1Server(serverOptions)
    if (options.http2) {
      this.#http2 = new Http2Server({ ...serverOptions, headerLines, concurrentStreams })
    }
    options.registry.on('release', this.#onRelease)
  }

  /** What to agree on by ALPN, of what a visitor offers. */
  chooseProtocol(offered: readonly string[]): string | undefined {
    if (this.#http2 !== undefined && offered.includes('h2')) return 'h2'
    return http1Protocols.find((protocol) => offered.includes(protocol))
  }

  /** Takes a connection after its handshake. `serverName`, canonical, is the name it was made for. */
  accept(socket: TLSSocket, serverName: string, visitor: Visitor): void {
    if (this.#isClosing) {
      socket.destroy()
      return
    }
    ignoreErrors(socket) // its close says the same
    const shared = new SharedConnection(socket, serverName, this.#options.registry)
    const isShared = (host: string) => shared.isFor(host)
    const server = socket.alpnProtocol === 'h2' && this.#http2 ? this.#http2 : this.#http1
    server.accept(socket, { serverName, isShared, visitor })
  }

  /** No requests after those that are being served; connections close as they become idle. */
  drain(): void {
    this.#isClosing = true
    this.#targets.close()
    for (const server of [this.#http1, this.#http2]) server?.drain()
  }

  /** The end; what is still being served is broken off. */
  close(): void {
    this.drain()
    this.#options.registry.off('release', this.#onRelease)
    for (const server of [this.#http1, this.#http2]) server?.close()
  }

  readonly #onRelease = (claim: Route) => {
    for (const route of claim.routes?.values() ?? [claim]) this.#targets.release(route)
  }

  /** A bug of ours in one request costs that connection, not the process. */
  #serveGuarded(visit: Visit, origin: Origin): void {
    try {
      this.#serve(visit, origin)
    } catch (error) {
      this.#failed(visit, error)
    }
  }

  #failed(visit: Visit, error: unknown): void {
    visit.break()
    this.#options.log.error('a request could not be served', { error })
  }

  #serve(visit: Visit, origin: Origin): void {
    const { gatewayHost, headerLines, headerBytes } = this.#options
    const { trustedProxies, minUploadRate } = this.#options
    const { serverName, isShared, visitor } = origin
    const { rawHeaders } = visit.head
    const checked = checkRequest(visit.head, { serverName, isShared, headerLines })
    const from = provenanceOf(rawHeaders, visitor.remoteAddress, trustedProxies)
    const requestId = requestIdOf(rawHeaders)
    const host = 'status' in checked ? serverName : checked.host
    const done = this.#begin(visit, requestId, host, from.address)
    const refuse: Refuse = (error) => {
      visit.handler = { onClose: () => done('refused', error) }
      sendError(visit, error, requestId)
    }
    if ('status' in checked) {
      refuse(checked)
      return
    }
    if (checked.host === gatewayHost) {
      const { ownPages = wordOnly } = this.#options
      ownPages(visit, { remoteAddress: from.address, requestId, onDone: done })
      return
    }
    const route = this.#gate.routeOf(checked, from.address)
    if ('status' in route) {
      refuse(route)
      return
    }
    const forward = (user?: string) => {
      const name = pathRouteKey(route.name, route.path ?? '')
      this.#options.telemetry.routeRequest(name)
      // Here, and wherever a request passes, field by field: to spread objects takes ten times as long.
      const exchange: HttpExchange = new HttpExchange({
        visit,
        checked,
        route,
        visitor,
        from,
        requestId,
        user,
        headerBytes,
        minUploadRate,
        publicPort: this.#options.publicPort(),
        responseTimeoutMs: route.responseTimeoutMs ?? this.#timeouts.responseMs,
        targets: this.#targets,
        onDone: (outcome, error) => {
          const { id: session, agentName: agent } = route.holder
          done(outcome, error, { name, session, agent, answer: exchange.answered })
        },
      })
      exchange.start()
    }
    if (route.rules?.passwords === undefined) forward()
    else {
      const login = this.#gate.userOf(route, rawHeaders, from.address)
      this.#logIn(visit, login, { forward, refuse, done })
    }
  }

  /** The visitor may leave meanwhile. */
  #logIn(
    visit: Visit,
    login: Promise<string | EdgeError>,
    { forward, refuse, done }: { forward: (user: string) => void; refuse: Refuse; done: Done },
  ): void {
    visit.handler = { onClose: () => done('aborted') }
    login
      .then((user) => {
        if (visit.isClosed) return
        if (typeof user === 'string') forward(user)
        else refuse(user)
      })
      .catch((error) => this.#failed(visit, error))
  }

  /** What it gives ends the request, and makes its access line. */
  #begin(visit: Visit, requestId: string, host: string, remoteAddress: string): Done {
    const { head, protocol: http } = visit
    const { method, url: target, rawHeaders } = head
    const arrival = { requestId, host, remoteAddress, http, method, target, rawHeaders }
    const end = this.#accessLog.begin(arrival)
    return (outcome, error, whereTo) => {
      end({
        outcome,
        status: outcome === 'switched' ? 101 : visit.status,
        code: error?.code,
        bytesIn: visit.bytesIn,
        bytesOut: visit.bytesOut,
        name: whereTo?.name,
        session: whereTo?.session,
        agent: whereTo?.agent,
        answer: whereTo?.answer,
      })
      visit.done()
    }
  }

  #logUnreadable({ status, code }: EdgeError, requestId: string, origin: Origin): void {
    const { visitor, serverName: host } = origin
    this.#accessLog.refused({ requestId, host, remoteAddress: visitor.remoteAddress }, status, code)
  }
}

type Done = (
  outcome: Outcome,
  error?: EdgeError,
  whereTo?: Pick<Departure, 'name' | 'session' | 'agent' | 'answer'>,
) => void
type Refuse = (error: EdgeError) => void
