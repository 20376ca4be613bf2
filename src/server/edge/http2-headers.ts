/*
 * Header lines between HTTP/2's form and HTTP/1.1's, which all of the edge works with: flat lists,
 * name before value. Pseudo-headers come and go here (RFC 9113 §8.3).
 */

import { randomBytes } from 'node:crypto'
import type { OutgoingHttpHeaders } from 'node:http2'
import type { RequestHead } from './visit.ts'

/**
 * A visitor's request as HTTP/1.1 would have it. What HTTP/1.1 cannot say, or would say otherwise,
 * comes out as something that `checkRequest` refuses.
 */
export function requestHead(rawHeaders: readonly string[], hasBody: boolean): RequestHead {
  const pseudo = pseudoHeaders(rawHeaders)
  const { method = '', path = '', scheme = '', authority, protocol } = pseudo
  // Host may be there too, if it says the same; a second one is kept, to be refused.
  const lines = filtered(
    fromHttp2(rawHeaders),
    (name, value) => name !== 'host' || value !== authority,
  )
  const isSwitch = method === 'CONNECT' && protocol !== undefined
  return {
    method: isSwitch ? 'GET' : method,
    // A path that is a whole URL would be read as one.
    url: scheme === 'https' && /^(?:\/|\*$)/.test(path) ? path : `${scheme}:${path}`,
    httpVersion: '1.1',
    rawHeaders: [
      ...(authority === undefined ? [] : ['Host', authority]),
      ...lines,
      ...(isSwitch ? switchLines(protocol) : bodyLines(lines, hasBody)),
    ],
  }
}

/** RFC 8441 §4 and RFC 6455 §4.1: the key proves nothing here, but servers insist on one. */
function switchLines(protocol: string): string[] {
  const lines = ['Connection', 'Upgrade', 'Upgrade', protocol]
  if (protocol === 'websocket') lines.push('Sec-WebSocket-Key', randomBytes(16).toString('base64'))
  return lines
}

function bodyLines(lines: readonly string[], hasBody: boolean): string[] {
  const hasLength = lines.some((text, index) => index % 2 === 0 && text === 'content-length')
  return hasBody && !hasLength ? ['Transfer-Encoding', 'chunked'] : []
}

/** Without pseudo-headers, and with one line for all cookies (RFC 9113 §8.2.3). */
export function fromHttp2(rawHeaders: readonly string[]): string[] {
  const cookies: string[] = []
  const lines = filtered(rawHeaders, (name, value) => {
    if (name === 'cookie') cookies.push(value)
    return name !== 'cookie' && !name.startsWith(':')
  })
  if (cookies.length > 0) lines.push('cookie', cookies.join('; '))
  return lines
}

/** Lines for node:http2, which takes them by name. */
export function toHttp2(lines: readonly string[]): OutgoingHttpHeaders {
  const headers: Record<string, string | string[]> = Object.create(null)
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const name = (lines[index] as string).toLowerCase()
    const value = lines[index + 1] as string
    if (connectionSpecific.has(name)) continue
    const before = headers[name]
    if (before === undefined) headers[name] = value
    else headers[name] = single.has(name) ? joined(before, value) : [before, value].flat()
  }
  return headers
}

/** The same as two lines (RFC 9110 §5.3); node:http2 refuses those. */
function joined(before: string | string[], value: string): string {
  return before === value ? value : `${before}, ${value}`
}

function pseudoHeaders(rawHeaders: readonly string[]): Partial<Record<Pseudo, string>> {
  const found: Partial<Record<string, string>> = Object.create(null)
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string
    if (name.startsWith(':')) found[name.slice(1)] = rawHeaders[index + 1] as string
  }
  return found
}

type Pseudo = 'method' | 'path' | 'scheme' | 'authority' | 'protocol'

function filtered(
  lines: readonly string[],
  isKept: (name: string, value: string) => boolean,
): string[] {
  const kept: string[] = []
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const name = lines[index] as string
    const value = lines[index + 1] as string
    if (isKept(name, value)) kept.push(name, value)
  }
  return kept
}

// RFC 9113 §8.2.2. `te` may say `trailers`, and after `requestHeaders` says nothing else.
const connectionSpecific: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
])

/** Those that node:http2 takes only once (`kSingleValueHeaders`). */
const single: ReadonlySet<string> = new Set([
  ...['access-control-allow-credentials', 'access-control-max-age'],
  ...['access-control-request-method', 'age', 'authorization', 'content-encoding'],
  ...['content-language', 'content-length', 'content-location', 'content-md5', 'content-range'],
  ...['content-type', 'date', 'dnt', 'etag', 'expires', 'from', 'host', 'if-match'],
  ...['if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since', 'last-modified'],
  ...['location', 'max-forwards', 'proxy-authorization', 'range', 'referer', 'retry-after', 'tk'],
  ...['upgrade-insecure-requests', 'user-agent', 'x-content-type-options'],
])
