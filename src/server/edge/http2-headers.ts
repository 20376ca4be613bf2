/*
 * Header lines between HTTP/2's form and HTTP/1.1's, which all of the edge works with: flat lists,
 * name before value. Pseudo-headers come and go here (RFC 9113 §8.3).
 */

import { randomBytes } from 'node:crypto'
import type { OutgoingHttpHeaders } from 'node:http2'
import { valuesOf } from './headers.ts'
import type { RequestHead } from './visits/visit.ts'

/**
 * A visitor's request as HTTP/1.1 would have it. What HTTP/1.1 cannot say, or would say otherwise,
 * comes out as something that `checkRequest` refuses.
 */
export function requestHead(rawHeaders: readonly string[], hasBody: boolean): RequestHead {
  const pseudo = pseudoHeaders(rawHeaders)
  const { method = '', path = '', scheme = '', authority, protocol } = pseudo
  const lines: string[] = authority === undefined ? [] : ['Host', authority]
  addFromHttp2(lines, rawHeaders, authority)
  const isSwitch = method === 'CONNECT' && protocol !== undefined
  if (isSwitch) addSwitchLines(lines, protocol)
  else if (hasBody && valuesOf(lines, 'content-length').length === 0) {
    lines.push('Transfer-Encoding', 'chunked')
  }
  return {
    method: isSwitch ? 'GET' : method,
    // A path that is a whole URL would be read as one.
    url: scheme === 'https' && /^(?:\/|\*$)/.test(path) ? path : `${scheme}:${path}`,
    httpVersion: '1.1',
    rawHeaders: lines,
  }
}

/** RFC 8441 §4 and RFC 6455 §4.1: the key proves nothing here, but servers insist on one. */
function addSwitchLines(lines: string[], protocol: string): void {
  lines.push('Connection', 'Upgrade', 'Upgrade', protocol)
  if (protocol === 'websocket') lines.push('Sec-WebSocket-Key', randomBytes(16).toString('base64'))
}

/** Without pseudo-headers, and with one line for all cookies (RFC 9113 §8.2.3). */
export function fromHttp2(rawHeaders: readonly string[]): string[] {
  const lines: string[] = []
  addFromHttp2(lines, rawHeaders)
  return lines
}

/** Without a Host, too, that says what has been said; another one is kept, to be refused. */
function addFromHttp2(lines: string[], rawHeaders: readonly string[], authority?: string): void {
  let cookies: string | undefined
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string
    const value = rawHeaders[index + 1] as string
    if (name === 'cookie') cookies = cookies === undefined ? value : `${cookies}; ${value}`
    else if (!name.startsWith(':') && !(name === 'host' && value === authority)) {
      lines.push(name, value)
    }
  }
  if (cookies !== undefined) lines.push('cookie', cookies)
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

function pseudoHeaders(rawHeaders: readonly string[]): Pseudo {
  const found: { -readonly [Name in keyof Pseudo]: Pseudo[Name] } = {}
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const value = rawHeaders[index + 1] as string
    switch (rawHeaders[index]) {
      case ':method':
        found.method = value
        break
      case ':path':
        found.path = value
        break
      case ':scheme':
        found.scheme = value
        break
      case ':authority':
        found.authority = value
        break
      case ':protocol':
        found.protocol = value
    }
  }
  return found
}

interface Pseudo {
  readonly method?: string
  readonly path?: string
  readonly scheme?: string
  readonly authority?: string
  readonly protocol?: string
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
