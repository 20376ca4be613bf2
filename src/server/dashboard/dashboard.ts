import type { Logger } from '../../log.ts'
import type { ScrapedMetrics } from '../../metrics/scraped.ts'
import { Access, type Caller, isOwnForm } from './access.ts'
import * as api from './api.ts'
import { script, style } from './assets.ts'
import {
  type Answer,
  type DashboardRequest,
  headerOf,
  isOwnHost,
  json,
  jsonError,
  page,
  redirect,
  text,
  withHeaders,
} from './exchange.ts'
import { PageFeed } from './feed.ts'
import { certificatesPage } from './pages/certificates.ts'
import { renderPage } from './pages/layout.ts'
import { loginPage } from './pages/login.ts'
import { overviewPage } from './pages/overview.ts'
import { requestPage, requestsPage } from './pages/requests.ts'
import { sessionsPage } from './pages/sessions.ts'
import { tunnelsPage } from './pages/tunnels.ts'
import { type Page, View } from './pages/view.ts'
import { find, type Handler, type Methods, type Paths, perform } from './paths.ts'
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

/** Open pages that are live, of all browsers together. */
const feedLimit = 50
/** How often an open page is looked at anew. */
const lookMs = 2_000
const busyLookMs = 1_000

/** What the owner sees of the gateway, and what machines read: which path leads where, and who may go there. */
export class Dashboard {
  readonly #options: DashboardOptions
  readonly #snapshots: SnapshotSource
  readonly #access: Access
  readonly #feeds = new Set<PageFeed>()
  /** For anybody, by any name: supervisors and load balancers go by address. */
  readonly #probes: Paths
  /** For anybody who knows our name. */
  readonly #open: Paths
  /** For those who may see the dashboard. */
  readonly #closed: Paths
  /** From when somebody asks: prom-client takes 12 MB. */
  #metrics: ScrapedMetrics | undefined

  constructor(options: DashboardOptions) {
    const { gateway, password, log } = options
    this.#options = options
    this.#snapshots = new SnapshotSource(gateway)
    this.#access = new Access({ password, log })
    this.#probes = probes(gateway)
    this.#open = this.#entrance()
    this.#closed = { ...this.#pages(), ...this.#actions(), ...this.#machines() }
  }

  /** All paths with their methods, `:id` for any one part of a path. */
  get paths(): Readonly<Record<string, readonly string[]>> {
    const all = Object.entries({ ...this.#probes, ...this.#open, ...this.#closed })
    return Object.fromEntries(all.map(([path, methods]) => [path, Object.keys(methods)]))
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

  /** Ends what is live; whoever asks is still answered. */
  close(): void {
    for (const feed of this.#feeds) feed.end()
  }

  async #route(request: DashboardRequest): Promise<Answer> {
    const probe = find(this.#probes, request)
    if (probe !== undefined) return perform(probe, request)
    if (!isOwnHost(headerOf(request, 'host'), this.#options.gatewayHost)) {
      return text(403, 'This page answers to the names of its gateway and to localhost.')
    }
    const open = find(this.#open, request)
    if (open !== undefined) return perform(open, request)
    const caller = await this.#access.identify(request)
    if (caller === undefined) return unknownCaller(request)
    const closed = find(this.#closed, request)
    if (closed === undefined) return text(404, 'There is no such page.')
    return perform(closed, request, caller)
  }

  #entrance(): Paths {
    return {
      '/assets/style.css': { GET: () => style.answer },
      '/assets/live.js': { GET: () => script.answer },
      '/login': {
        GET: ({ request }) =>
          this.#access.needsLogin ? this.#loginForm(request.query.get('next')) : redirect('/'),
        POST: ({ request }) => this.#logIn(request),
      },
    }
  }

  #loginForm(next: string | null, wrong?: string): Answer {
    const { gatewayHost } = this.#options
    return page(loginPage(gatewayHost, ownPath(next), wrong), wrong === undefined ? 200 : 401)
  }

  async #logIn(request: DashboardRequest): Promise<Answer> {
    const form = await formOf(request)
    const next = ownPath(form?.get('next') ?? null)
    const cookie = await this.#access.logIn(form?.get('password') ?? '', request)
    if (cookie === undefined) return this.#loginForm(next, 'That is not the password.')
    return redirect(next, { 'set-cookie': cookie })
  }

  #pages(): Paths {
    const { requests } = this.#options.gateway.telemetry
    return {
      '/': this.#live(overviewPage, lookMs),
      '/sessions': this.#live(sessionsPage, lookMs),
      '/tunnels': this.#live(tunnelsPage, lookMs),
      '/requests': this.#live(requestsPage, busyLookMs),
      '/certificates': this.#live(certificatesPage, lookMs),
      '/requests/:id': {
        GET: ({ request, caller, id }) => {
          const record = requests.find(Number(id))
          if (record === undefined)
            return text(404, 'This request is not, or no longer, remembered.')
          return page(renderPage(requestPage(record), this.#view(request, caller), false))
        },
      },
    }
  }

  /** The page; and, for whoever asks for events, what changes on it. */
  #live(one: Page, intervalMs: number): Methods {
    const show: Handler = ({ request, caller }) => {
      const isFeed = headerOf(request, 'accept')?.includes('text/event-stream')
      if (isFeed) return this.#follow(one, intervalMs, request, caller)
      return withHeaders(page(renderPage(one, this.#view(request, caller))), { vary: 'accept' })
    }
    return { GET: show }
  }

  #view({ query }: DashboardRequest, caller: Caller): View {
    return new View({ snapshot: this.#snapshots.fresh(), caller, query })
  }

  #follow(one: Page, intervalMs: number, { query }: DashboardRequest, caller: Caller): Answer {
    if (this.#feeds.size >= feedLimit) return text(503, 'Too many pages are open.')
    const look = () => {
      if (!caller.isWelcome()) return undefined
      const view = new View({ snapshot: this.#snapshots.shared(), caller, query })
      renderPage(one, view)
      return view
    }
    const headers = { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' }
    return {
      status: 200,
      headers: { ...headers, vary: 'accept' },
      body: (response) => {
        const feed = new PageFeed(response, { look, intervalMs }, () => this.#feeds.delete(feed))
        this.#feeds.add(feed)
        return () => feed.end()
      },
    }
  }

  #actions(): Paths {
    return {
      '/logout': {
        POST: this.#action(({ request }) =>
          redirect('/login', { 'set-cookie': this.#access.logOut(request) }),
        ),
      },
      '/sessions/:id/disconnect': {
        POST: this.#action(({ id, request }) => {
          this.#disconnect(id, request)
          return redirect('/sessions')
        }),
      },
    }
  }

  /** What a form does: only if we made it, for this caller. */
  #action(handler: Handler): Handler {
    return async (asking) => {
      const form = await formOf(asking.request)
      if (form !== undefined && isOwnForm(form, asking.caller)) return handler(asking)
      return text(403, 'This form is out of date: go back, load the page again, and try once more.')
    }
  }

  #disconnect(session: string, { remoteAddress }: DashboardRequest): boolean {
    const isDone = this.#options.gateway.disconnect(session)
    if (isDone)
      this.#options.log.info('agent disconnected by its owner', { session, remoteAddress })
    return isDone
  }

  #machines(): Paths {
    const { telemetry } = this.#options.gateway
    const { requests } = telemetry
    const snapshots = this.#snapshots
    return {
      '/metrics': { GET: () => this.#scrape() },
      '/api/v1/status': { GET: () => api.statusAnswer(snapshots.fresh()) },
      '/api/v1/sessions': { GET: () => api.sessionsAnswer(snapshots.fresh()) },
      '/api/v1/sessions/:id': {
        DELETE: ({ id, request }) => api.disconnectAnswer(this.#disconnect(id, request)),
      },
      '/api/v1/tunnels': { GET: () => api.tunnelsAnswer(snapshots.fresh()) },
      '/api/v1/certificates': { GET: () => api.certificatesAnswer(snapshots.fresh()) },
      '/api/v1/history': { GET: () => api.historyAnswer(telemetry) },
      '/api/v1/requests': { GET: ({ request }) => api.requestsAnswer(requests, request.query) },
      '/api/v1/requests/:id': { GET: ({ id }) => api.requestAnswer(requests, id) },
    }
  }

  async #scrape(): Promise<Answer> {
    const { gatewayMetrics } = await import('./metrics.ts')
    this.#metrics ??= gatewayMetrics(this.#options.gateway, this.#snapshots)
    const body = await this.#metrics.text()
    return { status: 200, headers: { 'content-type': this.#metrics.contentType }, body }
  }
}

/** They learn nothing that a stranger may not. */
function probes({ readiness }: DashboardGateway): Paths {
  const ready = () => {
    const state = readiness()
    return json(state, state.isReady ? 200 : 503)
  }
  return { '/healthz': { GET: () => text(200, 'ok') }, '/readyz': { GET: ready } }
}

function unknownCaller({ path, query, method }: DashboardRequest): Answer {
  const isForPeople = method === 'GET' && !path.startsWith('/api/') && path !== '/metrics'
  if (isForPeople) {
    const next = query.size === 0 ? path : `${path}?${query}`
    return redirect(`/login?${new URLSearchParams({ next })}`)
  }
  const answer = jsonError(401, 'Authorization: Bearer DASHBOARD_PASSWORD is needed')
  return withHeaders(answer, { 'www-authenticate': 'Bearer realm="gotunnel"' })
}

/** Where to go after the login: nowhere but here. */
function ownPath(next: string | null): string {
  return next !== null && /^\/(?![/\\])[\w\-./?=&%+*:~]*$/.test(next) ? next : '/'
}

async function formOf(request: DashboardRequest): Promise<URLSearchParams | undefined> {
  const body = await request.body()
  return body === undefined ? undefined : new URLSearchParams(body)
}
