import { preferredType } from './accept.ts'
import { valuesOf } from './headers.ts'
import type { Visit } from './visits/visit.ts'

/** An answer of the gateway's own: to a request that it cannot, or will not, pass on. */
export interface EdgeError {
  readonly status: number
  /** Stable, for programs and for search engines; on the page and in the `Gotunnel-Error` header. */
  readonly code: string
  readonly text: string
  /** After how long another try may be worth it. */
  readonly retryAfterSec?: number
  /** Header lines of its own. */
  readonly lines?: readonly string[]
}

const basicChallenge = ['WWW-Authenticate', 'Basic realm="gotunnel", charset="UTF-8"']

export const edgeErrors = {
  badRequest: {
    status: 400,
    code: 'BAD_REQUEST',
    text: 'the request is malformed or ambiguous',
  },
  badHost: {
    status: 400,
    code: 'BAD_HOST',
    text: 'the request needs one Host header, with a hostname in it',
  },
  loginRequired: {
    status: 401,
    code: 'LOGIN_REQUIRED',
    text: 'this host asks for a user and a password',
    lines: basicChallenge,
  },
  loginFailed: {
    status: 401,
    code: 'LOGIN_FAILED',
    text: 'the user or the password is wrong',
    lines: basicChallenge,
  },
  forbidden: {
    status: 403,
    code: 'ADDRESS_FORBIDDEN',
    text: 'this host is not for visitors from your address',
  },
  hostUnknown: { status: 404, code: 'HOST_UNKNOWN', text: 'no tunnel for host' },
  pathUnknown: { status: 404, code: 'PATH_UNKNOWN', text: 'no tunnel for this path' },
  notFound: { status: 404, code: 'NOT_FOUND', text: 'there is nothing here' },
  methodRefused: {
    status: 405,
    code: 'METHOD_REFUSED',
    text: 'this is no proxy for other hosts',
  },
  requestTimeout: {
    status: 408,
    code: 'REQUEST_TIMEOUT',
    text: 'the request did not arrive in time',
  },
  hostMismatch: {
    status: 421,
    code: 'HOST_MISMATCH',
    text: 'this connection was made for another host',
  },
  tooManyLogins: {
    status: 429,
    code: 'TOO_MANY_LOGINS',
    text: 'too many are logging in at the moment; try again in a few seconds',
    retryAfterSec: 5,
  },
  headerTooLarge: {
    status: 431,
    code: 'HEADER_TOO_LARGE',
    text: 'the header has too many lines, or too long ones',
  },
  targetUnreachable: {
    status: 502,
    code: 'TARGET_UNREACHABLE',
    text: 'the service behind this host closed the connection without an answer',
  },
  targetBroken: {
    status: 502,
    code: 'TARGET_BAD_RESPONSE',
    text: 'the service behind this host gave an answer that is not HTTP',
  },
  agentAway: {
    status: 503,
    code: 'AGENT_AWAY',
    text: 'the agent that serves this host is not connected; try again in a few seconds',
    retryAfterSec: 5,
  },
  agentBusy: {
    status: 503,
    code: 'AGENT_BUSY',
    text: 'the agent that serves this host has too many connections waiting',
    retryAfterSec: 2,
  },
  targetTimeout: {
    status: 504,
    code: 'TARGET_TIMEOUT',
    text: 'the service behind this host did not answer in time',
  },
} as const satisfies Record<string, EdgeError>

/** Answers with the error's page: HTML for browsers, JSON or a line of text for others. */
export function sendError(visit: Visit, error: EdgeError, requestId?: string): void {
  const { method, rawHeaders } = visit.head
  const { status, code, retryAfterSec, lines: own = [] } = error
  const { type, body } = pageOf(error, valuesOf(rawHeaders, 'accept').join(), requestId)
  const lines = [
    ...['Content-Type', type, 'Content-Length', String(Buffer.byteLength(body))],
    ...['Cache-Control', 'no-store', 'Vary', 'Accept'],
    ...['Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'"],
    ...['X-Content-Type-Options', 'nosniff'],
    ...['Gotunnel-Error', code, ...own],
    ...(requestId === undefined ? [] : ['X-Request-Id', requestId]),
    ...(retryAfterSec === undefined ? [] : ['Retry-After', String(retryAfterSec)]),
    ...(status === 405 ? ['Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'] : []),
  ]
  visit.respond({ status, lines, isLast: isLast(visit, error) })
  if (method !== 'HEAD') visit.write(Buffer.from(body))
  visit.end()
}

/** The error in one line. */
export function errorText({ text, code }: EdgeError, requestId: string | undefined): string {
  return `${text} (${code}${requestId === undefined ? '' : `, request ${requestId}`})\n`
}

/** Where the next request would begin is not known, or not for us to say. */
function isLast({ head, hasUpload }: Visit, { status }: EdgeError): boolean {
  if (status === 400 || status === 431) return true
  // Whether the body comes or not, after a final response in place of the 100, only the visitor knows.
  return hasUpload && valuesOf(head.rawHeaders, 'expect').length > 0
}

/** Nothing of the request is repeated but its id, which is letters, digits and a few signs. */
function pageOf(error: EdgeError, accept: string, requestId: string | undefined) {
  const { status, code, text } = error
  switch (preferredType(accept, ['text/html', 'application/json', 'text/plain'])) {
    case 'text/html':
      return { type: 'text/html; charset=utf-8', body: htmlPage(error, requestId) }
    case 'application/json': {
      const body = JSON.stringify({ error: { status, code, message: text, requestId } })
      return { type: 'application/json', body: `${body}\n` }
    }
    default:
      return { type: 'text/plain; charset=utf-8', body: errorText(error, requestId) }
  }
}

function htmlPage({ status, code, text }: EdgeError, requestId: string | undefined): string {
  const facts = [String(status), code, requestId && `request ${requestId}`, 'gotunnel']
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${status} – ${text}</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 20vh auto 0; padding: 0 1rem }
  @media (prefers-color-scheme: dark) { body { background: #111; color: #ddd } }
  h1 { font-size: 1.25rem } p { color: gray; overflow-wrap: anywhere }
</style>
<h1>${text}</h1>
<p>${facts.filter(Boolean).join(' · ')}</p>
`
}
