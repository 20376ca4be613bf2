/*
 * What a proxy does to header lines (RFC 9110 §7.6), on Node's `rawHeaders`: a flat list, name before
 * value, as they came. Order, case and duplicates stay.
 */

import { type LineChanges, plainName, type RouteRules } from '../rules.ts'

/** How a request's body ends: by its Content-Length line, chunked, or it has none. `empty` says so in a line. */
export type Framing = 'length' | 'chunked' | 'none' | 'empty'

export interface RequestLines {
  /** Told by us: who the visitor is, and what the request is called. */
  readonly added: readonly string[]
  readonly framing: Framing
  /** For a request to switch to this protocol. */
  readonly upgrade?: string | undefined
  /** The tunnel's. */
  readonly rules?: RouteRules | undefined
}

/** The header lines of a request for its target. */
export function requestHeaders(
  rawHeaders: readonly string[],
  { added, framing, upgrade, rules }: RequestLines,
): string[] {
  // A password that we have checked is none of the target's business.
  const isChecked = (name: string) => rules?.passwords !== undefined && name === 'authorization'
  const kept = endToEnd(rawHeaders, (name) => isOursInRequests(name) || isChecked(name))
  if (rules?.hostHeader !== undefined) setHost(kept, rules.hostHeader)
  kept.push(...added)
  const lines = changed(kept, rules?.requestHeaders)
  if (framing === 'empty') lines.push('Content-Length', '0')
  if (framing === 'chunked') {
    lines.push('Transfer-Encoding', 'chunked')
    pushTrailerNames(lines, rawHeaders)
  }
  if (acceptsTrailers(rawHeaders)) lines.push('TE', 'trailers')
  if (upgrade !== undefined) lines.push('Connection', 'Upgrade', 'Upgrade', upgrade)
  return lines
}

export interface ResponseLines {
  readonly status: number
  readonly requestId: string
  readonly hasTrailers?: boolean
  readonly rules?: RouteRules | undefined
  /** The protocol that was switched to. */
  readonly upgrade?: string
}

/** The header lines of a response for the visitor. */
export function responseHeaders(
  rawHeaders: readonly string[],
  { status, requestId, hasTrailers, upgrade, rules }: ResponseLines,
): string[] {
  let mayHaveLength = isLengthAllowed(status, rawHeaders)
  const kept = endToEnd(rawHeaders, (name) => {
    if (name !== 'content-length') return oursInResponses.has(name)
    const isDropped = !mayHaveLength
    mayHaveLength = false // the same once more
    return isDropped
  })
  const lines = changed(kept, rules?.responseHeaders)
  lines.push('X-Request-Id', requestId)
  if (hasTrailers) pushTrailerNames(lines, rawHeaders)
  if (upgrade !== undefined) lines.push('Connection', 'Upgrade', 'Upgrade', upgrade)
  return lines
}

/** RFC 9110 §8.6, and RFC 9112 §6.3 of a length beside chunks. */
function isLengthAllowed(status: number, rawHeaders: readonly string[]): boolean {
  if (status < 200 || status === 204) return false
  return valuesOf(rawHeaders, 'transfer-encoding').length === 0
}

/** Trailers that may travel on, as pairs: none that a recipient could take for more than it is (RFC 9110 §6.5.1). */
export function trailerPairs(
  rawTrailers: readonly string[],
  { dropped }: Partial<LineChanges> = {},
): [string, string][] {
  const pairs: [string, string][] = []
  for (let index = 0; index + 1 < rawTrailers.length; index += 2) {
    const name = (rawTrailers[index] as string).toLowerCase()
    if (hopByHop.has(name) || isOursInRequests(name) || notInTrailers.has(name)) continue
    if (dropped?.has(plainName(name))) continue
    pairs.push([rawTrailers[index] as string, rawTrailers[index + 1] as string])
  }
  return pairs
}

/** All values of a header, in order. The name in lower case. */
export function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = []
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const candidate = rawHeaders[index] as string
    if (candidate.length === name.length && candidate.toLowerCase() === name) {
      values.push(rawHeaders[index + 1] as string)
    }
  }
  return values
}

/**
 * Without the hop-by-hop lines: the known ones, and those that Connection names. A request cannot
 * strip what keeps it one request, nor what we add afterwards.
 */
function endToEnd(rawHeaders: readonly string[], isDropped: (name: string) => boolean): string[] {
  const named = namedByConnection(rawHeaders)
  const lines: string[] = []
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] as string).toLowerCase()
    if (hopByHop.has(name) || isDropped(name)) continue
    if (named?.has(name) && !notOptional.has(name)) continue
    lines.push(rawHeaders[index] as string, rawHeaders[index + 1] as string)
  }
  return lines
}

/** In lower case; undefined where it is only what most requests say. */
function namedByConnection(rawHeaders: readonly string[]): ReadonlySet<string> | undefined {
  const values = valuesOf(rawHeaders, 'connection')
  if (values.every((value) => usual.has(value))) return undefined
  const tokens = values.flatMap((value) => value.split(','))
  return new Set(tokens.map((token) => token.trim().toLowerCase()))
}

const usual: ReadonlySet<string> = new Set(['keep-alive', 'Keep-Alive', 'close'])

function setHost(lines: string[], host: string): void {
  for (let index = 0; index < lines.length; index += 2) {
    if (lines[index]?.toLowerCase() === 'host') lines[index + 1] = host
  }
}

function changed(lines: string[], changes: LineChanges | undefined): string[] {
  if (changes === undefined) return lines
  const kept: string[] = []
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const [name = '', value = ''] = lines.slice(index, index + 2)
    if (!changes.dropped.has(plainName(name))) kept.push(name, value)
  }
  return [...kept, ...changes.lines]
}

function pushTrailerNames(lines: string[], rawHeaders: readonly string[]): void {
  for (const value of valuesOf(rawHeaders, 'trailer')) lines.push('Trailer', value)
}

function acceptsTrailers(rawHeaders: readonly string[]): boolean {
  return valuesOf(rawHeaders, 'te').some((value) => /(?:^|[\s,])trailers(?:$|[\s,;])/i.test(value))
}

// RFC 9110 §7.6.1, and what older software sends. TE, Trailer and Transfer-Encoding are made anew.
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

// Names under which targets look for the visitor's address; CGI and WSGI read `_` as `-`. And
// `Proxy`, which CGI programs take for their own HTTP_PROXY (CVE-2016-5385).
const oursInRequests =
  /^(?:x[-_]forwarded(?:[-_].*)?|forwarded|x[-_]real[-_]ip|x[-_]request[-_]id|proxy)$/

function isOursInRequests(name: string): boolean {
  const first = name.charCodeAt(0)
  return (first === X || first === F || first === P) && oursInRequests.test(name)
}

const [X, F, P] = Buffer.from('xfp') as Iterable<number> as [number, number, number]

/** `gotunnel-error` is on our own pages alone: docs/errors.md. */
const oursInResponses: ReadonlySet<string> = new Set(['x-request-id', 'gotunnel-error'])

const notOptional: ReadonlySet<string> = new Set(['host', 'content-length'])

const notInTrailers: ReadonlySet<string> = new Set([
  'authorization',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'host',
  'set-cookie',
])
