import type { Logger } from '../../log.ts'
import type { ScrapedMetrics } from '../../metrics/scraped.ts'
import { Access, type Caller, isFromOwnPage } from './access.ts'
import * as api from './api.ts'
import {
  type Answer,
  type DashboardRequest,
  headerOf,
  isOwnHost,
  json,
  jsonError,
  page,
  text,
  withHeaders,
} from './exchange.ts'
import { gatewayMetrics } from './metrics.ts'
import { statusPage } from './page.ts'
import { securityHeaders } from './security.ts'
import { type DashboardGateway, SnapshotSource } from './source.ts'

export interface DashboardOptions {
  readonly gateway: DashboardGateway
  /** Canonical. */
  readonly gatewayHost: string
  /** Undefined: whoever reaches it may see it. */
  readonly password?: string | undefined
  readonly log: Logger
}

interface Asking {
  readonly request: DashboardRequest
  readonly caller: Caller
  /** What stands in the place of `:id`. */
  readonly id: string
}

type Handler = (asking: Asking) => Answer | Promise<Answer>
type Methods = Partial<Record<'GET' | 'POST' | 'DELETE', Handler>>

/** What the owner sees of the gateway, and what machines read: which path leads where, and who may go there. */
export class Dashboard {
  readonly #options: DashboardOptions
  readonly #snapshots: SnapshotSource
  readonly #access: Access
  /** For anybody, by any name. */
  readonly #probes: Readonly<Record<string, Methods>>
  /** For those who may see the dashboard. */
  readonly #closed: Readonly<Record<string, Methods>>
  #metrics: ScrapedMetrics | undefined

  constructor(options: DashboardOptions) {
    const { gateway, password, log } = options
    this.#options = options
    this.#snapshots = new SnapshotSource(gateway)
    this.#access = new Access({ password, log })
    this.#probes = probes(gateway)
    this.#closed = { ...this.#pages(), ...this.#machines() }
  }

  /** Never fails. */
  async answer(request: DashboardRequest): Promise<Answer> {
    let answer: Answer
    try {
      answer = await this.#route(request)
    } catch (error) {
      this.#options.log.error('the dashboard could not answer', { error, path: request.path })
      answer = text(500, 'The status could not be read.')
    }
    return withHeaders(answer, { ...securityHeaders, ...answer.headers })
  }

  /** All paths with their methods, `:id` for any one part of a path. */
  get paths(): Readonly<Record<string, readonly string[]>> {
    const all = Object.entries({ ...this.#probes, ...this.#closed })
    return Object.fromEntries(all.map(([path, methods]) => [path, Object.keys(methods)]))
  }

  async #route(request: DashboardRequest): Promise<Answer> {
    const probe = find(this.#probes, request)
    if (probe !== undefined) return call(probe, request, nobody)
    if (!isOwnHost(headerOf(request, 'host'), this.#options.gatewayHost)) {
      return text(403, 'This page answers to the names of its gateway and to localhost.')
    }
    const caller = await this.#access.identify(request)
    if (caller === undefined) return unknownCaller(request)
    const closed = find(this.#closed, request)
    return closed === undefined
      ? text(404, 'There is no such page.')
      : call(closed, request, caller)
  }

  #pages(): Record<string, Methods> {
    return { '/': { GET: () => page(statusPage(this.#snapshots.fresh().status, Date.now())) } }
  }

  #machines(): Record<string, Methods> {
    const { telemetry, disconnect } = this.#options.gateway
    const { requests } = telemetry
    const snapshots = this.#snapshots
    return {
      '/metrics': { GET: () => this.#scrape() },
      '/api/v1/status': { GET: () => api.statusAnswer(snapshots.fresh()) },
      '/api/v1/sessions': { GET: () => api.sessionsAnswer(snapshots.fresh()) },
      '/api/v1/sessions/:id': { DELETE: ({ id }) => api.disconnectAnswer(disconnect(id)) },
      '/api/v1/tunnels': { GET: () => api.tunnelsAnswer(snapshots.fresh()) },
      '/api/v1/certificates': { GET: () => api.certificatesAnswer(snapshots.fresh()) },
      '/api/v1/history': { GET: () => api.historyAnswer(telemetry) },
      '/api/v1/requests': { GET: ({ request }) => api.requestsAnswer(requests, request.query) },
      '/api/v1/requests/:id': { GET: ({ id }) => api.requestAnswer(requests, id) },
    }
  }

  async #scrape(): Promise<Answer> {
    this.#metrics ??= gatewayMetrics(this.#options.gateway, this.#snapshots)
    const body = await this.#metrics.text()
    return { status: 200, headers: { 'content-type': this.#metrics.contentType }, body }
  }
}

/** For supervisors and load balancers, which go by address, and learn nothing that a stranger may not. */
function probes({ readiness }: DashboardGateway): Record<string, Methods> {
  return {
    '/healthz': { GET: () => text(200, 'ok') },
    '/readyz': {
      GET: () => {
        const state = readiness()
        return json(state, state.isReady ? 200 : 503)
      },
    },
  }
}

interface Found {
  readonly methods: Methods
  readonly id: string
}

function find(
  paths: Readonly<Record<string, Methods>>,
  { path }: DashboardRequest,
): Found | undefined {
  if (Object.hasOwn(paths, path) && !path.includes(':')) {
    return { methods: paths[path] as Methods, id: '' }
  }
  for (const [pattern, methods] of Object.entries(paths)) {
    const [before = '', after] = pattern.split(':id')
    if (after === undefined || !path.startsWith(before) || !path.endsWith(after)) continue
    const id = path.slice(before.length, path.length - after.length)
    if (/^[\w-]{1,64}$/.test(id)) return { methods, id }
  }
  return undefined
}

async function call(
  { methods, id }: Found,
  request: DashboardRequest,
  caller: Caller,
): Promise<Answer> {
  const method = request.method === 'HEAD' ? 'GET' : request.method
  const handler = Object.hasOwn(methods, method) ? methods[method as keyof Methods] : undefined
  if (handler === undefined) {
    const allow = Object.keys(methods).flatMap((name) => (name === 'GET' ? [name, 'HEAD'] : name))
    return withHeaders(text(405, 'This cannot be done here.'), { allow: allow.join(', ') })
  }
  if (method !== 'GET' && !isFromOwnPage(request)) {
    return text(403, 'This was sent by a page from elsewhere.')
  }
  return handler({ request, caller, id })
}

function unknownCaller({ path, method }: DashboardRequest): Answer {
  const challenge = { 'www-authenticate': 'Bearer realm="gotunnel"' }
  if (path.startsWith('/api/') || path === '/metrics' || method !== 'GET') {
    return withHeaders(
      jsonError(401, 'Authorization: Bearer DASHBOARD_PASSWORD is needed'),
      challenge,
    )
  }
  return text(401, 'Log in first.')
}

const nobody: Caller = { formToken: '', canLogOut: false, isWelcome: () => false }
