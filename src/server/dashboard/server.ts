import { createHash } from 'node:crypto'
import http from 'node:http'
import { isIPv4 } from 'node:net'
import { canonicalHostname } from '../../net/hostname.ts'
import type { GatewayStatus } from '../status.ts'
import { statusPage } from './page.ts'
import { style } from './style.ts'

export interface DashboardOptions {
  readonly status: () => GatewayStatus
  /** Names the page may be asked for by, canonical; `localhost` and loopback addresses always may. */
  readonly allowedHosts: readonly string[]
}

/**
 * The owner's pages: `/` for people, `/api/v1/status` for programs, `/healthz` for supervisors. They
 * only tell; nothing can be changed through them. Not listening yet; whoever made it closes it.
 *
 * It is meant for loopback, and there the Host header is what keeps strangers out: a page from
 * elsewhere can have its own name resolve to 127.0.0.1 and then read what is here (DNS rebinding),
 * but its requests still carry that name.
 */
export function createDashboardServer({ status, allowedHosts }: DashboardOptions): http.Server {
  const allowed = new Set([...allowedHosts, 'localhost'])
  const server = http.createServer(TIMEOUTS, (request, response) => {
    try {
      send(request, response, answer(request))
    } catch {
      send(request, response, text(500, 'The status could not be read.'))
    }
  })
  server.maxHeadersCount = 0 // Node's limit hides lines instead of refusing them
  return server

  function answer(request: http.IncomingMessage): Answer {
    if (!isAllowedHost(request, allowed)) {
      return text(403, 'This page answers to the names of its gateway and to localhost.')
    }
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
    const page = PAGES[path]
    if (page === undefined) return text(404, 'There is no such page.')
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return { ...text(405, 'This page can only be read.'), allow: 'GET, HEAD' }
    }
    return page(status())
  }
}

interface Answer {
  readonly code: number
  readonly type: string
  readonly body: string
  readonly allow?: string
}

const PAGES: Readonly<Record<string, ((status: GatewayStatus) => Answer) | undefined>> = {
  __proto__: null as never, // `/constructor` is a path like any other
  '/': (status) => ({
    code: 200,
    type: 'text/html; charset=utf-8',
    body: statusPage(status, Date.now()),
  }),
  '/api/v1/status': (status) => ({
    code: 200,
    type: 'application/json',
    body: `${JSON.stringify(status)}\n`,
  }),
  '/healthz': ({ gateway }) => (gateway.isClosing ? text(503, 'closing') : text(200, 'ok')),
}

const TIMEOUTS: http.ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000, // by default the two above are looked at every 30 s
}

const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': [
    "default-src 'none'",
    `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
    'img-src data:', // the icon
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

function text(code: number, sentence: string): Answer {
  return { code, type: 'text/plain; charset=utf-8', body: `${sentence}\n` }
}

function send(request: http.IncomingMessage, response: http.ServerResponse, answer: Answer): void {
  const { code, type, body, allow } = answer
  response.writeHead(code, {
    ...HEADERS,
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    ...(allow && { allow }),
    // Nobody waits here for the body of what was not asked for.
    ...(code >= 400 && code !== 404 && { connection: 'close' }),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

function isAllowedHost(request: http.IncomingMessage, allowed: ReadonlySet<string>): boolean {
  const lines = request.rawHeaders.filter((name, at) => at % 2 === 0 && /^host$/i.test(name))
  const host = request.headers.host
  if (lines.length !== 1 || host === undefined) return false
  const name = canonicalHostname(host)
  if (name !== undefined) return allowed.has(name)
  if (/^\[::1\](?::[0-9]{1,5})?$/.test(host)) return true
  const [, address = ''] = /^([0-9.]+)(?::[0-9]{1,5})?$/.exec(host) ?? []
  return isIPv4(address) && address.startsWith('127.')
}
