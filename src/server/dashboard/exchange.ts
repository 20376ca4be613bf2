import { isIPv4 } from 'node:net'
import type { Writable } from 'node:stream'
import { canonicalHostname } from '../../net/hostname.ts'

/** A request to the dashboard, by whatever listener it came. */
export interface DashboardRequest {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: URLSearchParams
  /** A flat list, name before value. */
  readonly rawHeaders: readonly string[]
  readonly remoteAddress: string
  /** Whether it came over TLS. */
  readonly isSecure: boolean
  /** The body as text; undefined where it is longer than any of ours. */
  body(): Promise<string | undefined>
}

export interface Answer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Text, or what goes on for as long as the visitor listens. */
  readonly body: string | Feed
}

/** Writes to a response until one of the two ends; returns how to end it from our side. */
export type Feed = (response: Writable) => () => void

/** The one line of that name; undefined where there is none, or more than one. */
export function headerOf({ rawHeaders }: DashboardRequest, name: string): string | undefined {
  let found: string | undefined
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() !== name) continue
    if (found !== undefined) return undefined
    found = rawHeaders[index + 1]
  }
  return found
}

export function text(status: number, sentence: string): Answer {
  const type = 'text/plain; charset=utf-8'
  return { status, headers: { 'content-type': type }, body: `${sentence}\n` }
}

export function json(value: unknown, status = 200): Answer {
  const type = 'application/json'
  return { status, headers: { 'content-type': type }, body: `${JSON.stringify(value)}\n` }
}

/** As the API says that something is wrong. */
export function jsonError(status: number, error: string): Answer {
  return json({ error }, status)
}

export function page(body: string, status = 200): Answer {
  return { status, headers: { 'content-type': 'text/html; charset=utf-8' }, body }
}

/** 303: whatever it was, the next one is a GET. */
export function redirect(location: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { ...text(303, `See ${location}`), headers: { ...headers, location } }
}

export function withHeaders(answer: Answer, headers: Readonly<Record<string, string>>): Answer {
  return { ...answer, headers: { ...answer.headers, ...headers } }
}

/**
 * Whether the dashboard goes by that name: the gateway's own, `localhost`, a loopback address. A page from
 * elsewhere can have its own name resolve to us and then read what is here (DNS rebinding), but its
 * requests still carry that name.
 */
export function isOwnHost(host: string | undefined, gatewayHost: string): boolean {
  if (host === undefined) return false
  const name = canonicalHostname(host)
  if (name !== undefined) return name === gatewayHost || name === 'localhost'
  if (/^\[::1\](?::[0-9]{1,5})?$/.test(host)) return true
  const [, address = ''] = /^([0-9.]+)(?::[0-9]{1,5})?$/.exec(host) ?? []
  return isIPv4(address) && address.startsWith('127.')
}
