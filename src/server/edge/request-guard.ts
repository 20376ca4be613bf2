/*
 * What is well-formed, and all the same not clear: two Host lines, a Host that is none, a target that
 * names another host, `#` in the target, a length and chunks, HTTP/1.0 with chunks. Two readers of such
 * a message may disagree about where it is meant to go or where it ends, so it goes nowhere.
 */

import { requestFraming } from '../../http1/framing.ts'
import { methodForm } from '../../http1/head.ts'
import { canonicalHostname } from '../../net/hostname.ts'
import { type EdgeError, edgeErrors } from './error-page.ts'
import { type Framing, valuesOf } from './headers.ts'
import type { RequestHead } from './visits/visit.ts'

/** What is left to know of a request that passed. */
export interface CheckedRequest {
  /** Canonical. */
  readonly host: string
  /** The Host line's value, as sent. */
  readonly hostText: string
  /** Origin form, or `*`. */
  readonly target: string
  readonly framing: Framing
  /** The protocol to switch to. */
  readonly upgrade: string | undefined
}

export interface GuardOptions {
  /** Canonical: the name the TLS connection is for. */
  readonly serverName: string
  /** Whether a connection for that name may be used for this host as well. */
  readonly isShared: (host: string) => boolean
  readonly headerLines: number
}

/** What the request is, or how to refuse it. */
export function checkRequest(
  request: RequestHead,
  { serverName, isShared, headerLines }: GuardOptions,
): CheckedRequest | EdgeError {
  const { rawHeaders, method, url, httpVersion } = request
  if (rawHeaders.length > 2 * headerLines) return edgeErrors.headerTooLarge
  if (method === 'CONNECT') return edgeErrors.methodRefused
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return edgeErrors.badRequest
  if (!methodForm.test(method)) return edgeErrors.badRequest

  const hosts = valuesOf(rawHeaders, 'host')
  const hostText = hosts[0] ?? ''
  const host = hostText === serverName ? serverName : canonicalHostname(hostText)
  if (hosts.length !== 1 || host === undefined) return edgeErrors.badHost
  const target = originForm(method, url, host)
  const framing = framingOf(request)
  if (target === undefined || framing === undefined) return edgeErrors.badRequest
  if (host !== serverName && !isShared(host)) return edgeErrors.hostMismatch
  const upgrade = upgradeOf(rawHeaders)
  // What follows would be body to one reader, and the new protocol to another.
  if (upgrade !== undefined && hasBody(framing, rawHeaders)) return edgeErrors.badRequest
  return { host, hostText, target, framing, upgrade }
}

/** RFC 9112 §3.2: origin form, absolute form of the same host, or the `*` of OPTIONS. */
function originForm(method: string, url: string, host: string): string | undefined {
  if (url.includes('#')) return undefined
  if (url.startsWith('/') || (url === '*' && method === 'OPTIONS')) return url
  const absolute = /^https:\/\/([^/?]*)(.*)$/i.exec(url)
  if (absolute === null || canonicalHostname(absolute[1] ?? '') !== host) return undefined
  const rest = absolute[2] ?? ''
  return rest.startsWith('/') ? rest : `/${rest}`
}

function framingOf({ rawHeaders, httpVersion, method }: RequestHead): Framing | undefined {
  const kind = requestFraming(rawHeaders, httpVersion)?.kind
  if (kind !== 'none') return kind
  if (valuesOf(rawHeaders, 'content-length').length > 0) return 'length'
  return usuallyBodyless.has(method) ? 'none' : 'empty'
}

function hasBody(framing: Framing, rawHeaders: readonly string[]): boolean {
  if (framing === 'length') return Number(valuesOf(rawHeaders, 'content-length')[0]) > 0
  return framing === 'chunked'
}

/** The protocol asked for, if both lines ask; h2c is none that we pass on: it would hide requests from us. */
function upgradeOf(rawHeaders: readonly string[]): string | undefined {
  const isAsked = valuesOf(rawHeaders, 'connection').some((value) =>
    value.split(',').some((token) => token.trim().toLowerCase() === 'upgrade'),
  )
  const protocol = valuesOf(rawHeaders, 'upgrade').join(', ')
  return isAsked && protocol !== '' && !/\bh2c\b/i.test(protocol) ? protocol : undefined
}

// To others a body is so usual that its absence is said (RFC 9110 §8.6), and Node's client would
// send chunks for them otherwise.
const usuallyBodyless: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])
