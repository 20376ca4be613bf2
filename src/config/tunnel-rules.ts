/** What a gateway does for a tunnel beside passing it on: who may come in, and what is changed on the way. */
import { formatHostPort, parseHostPort } from '../net/address.ts'
import { parseAddressRange } from '../net/address-ranges.ts'
import { headerNameProblem, isHeaderValue } from '../net/header-lines.ts'
import { canonicalPrefix } from '../net/path-prefix.ts'
import type { Problems } from './errors.ts'
import {
  complain,
  type Field,
  type Kind,
  type MapSource,
  optional,
  readFields,
  type Source,
  type Values,
  withDefault,
} from './field.ts'
import { flag, listOf } from './parse.ts'
import type { Target } from './target.ts'

export interface TunnelRules {
  /** What targets see as Host. In http mode only, as all but the addresses. */
  readonly hostHeader?: string
  readonly requestHeaders?: HeaderChanges
  readonly responseHeaders?: HeaderChanges
  /** Whether the target sees paths without the tunnel's own. */
  readonly stripPrefix?: true
  /** `user:hash` */
  readonly basicAuth?: readonly string[]
  readonly allowIps?: readonly string[]
  readonly denyIps?: readonly string[]
}

/** Lines to write, in place of those that there are, and to leave out. */
export interface HeaderChanges {
  readonly set: ReadonlyMap<string, string>
  readonly remove: readonly string[]
}

/** `/` is for everything, as no path is. */
const prefix: Kind<string> = {
  allowed: 'a path such as /api: letters, digits and signs, no escapes',
  parse: (text) => canonicalPrefix(text),
}

const targetsOwn = 'target'

const hostHeader: Kind<string> = {
  allowed: `${targetsOwn}, or a host with or without a port, such as app.internal:8080`,
  parse(text) {
    if (text.toLowerCase() === targetsOwn) return targetsOwn
    return parseHostPort(text, { defaultPort: 80 }) && text
  },
}

const logins: Kind<readonly string[]> = {
  ...listOf(
    'lines that gotunnel-agent hash-password has printed, no user twice',
    (text) => (/^[!-+\--9;-~]{1,100}:scrypt:[!-~]+$/.test(text) ? text : undefined),
    (entries) => (hasTwice(entries.map((entry) => entry.split(':', 1)[0])) ? undefined : entries),
  ),
  isSecret: true,
}

const ranges = listOf(
  'IP addresses and ranges of them, such as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32',
  (text) => parseAddressRange(text) && text,
  (texts) => texts,
)

const headerNames = listOf(
  'names of headers, none of those that are between one program and the next',
  (text) => (headerNameProblem(text) === undefined ? text : undefined),
  (names) => names,
)

const typedFields = {
  path: optional(
    'path',
    prefix,
    'Only for what is beneath this path; tunnels of one agent may share a hostname, and the longest path wins. Mode http.',
  ),
  stripPrefix: withDefault(
    'strip_prefix',
    flag,
    'false',
    'Take `path` off before the target sees it; it is told by `X-Forwarded-Prefix`. Mode http.',
  ),
  hostHeader: optional(
    'host_header',
    hostHeader,
    "The `Host` that the target sees: `target` for its own, or a fixed one. Not set: the visitor's. Mode http.",
  ),
  basicAuth: optional(
    'basic_auth',
    logins,
    'Who may come in, by user and password: a list. The target is told by `X-Forwarded-User`, and not given the password. Mode http.',
  ),
  allowIps: optional('allow_ips', ranges, 'Visitors from elsewhere are turned away. A list.'),
  denyIps: optional('deny_ips', ranges, 'Visitors from there are turned away. A list.'),
}

/** Maps, which the table only tells of: see `readHeaderChanges`. */
const headerFields = {
  requestHeaders: changesOf('request_headers', 'Header lines of requests, for the target'),
  responseHeaders: changesOf('response_headers', 'Header lines of responses, for the visitor'),
}

export const ruleFields = { ...typedFields, ...headerFields }

function changesOf(key: string, what: string): Field<HeaderChanges | undefined> {
  const allowed = 'a map: `set` of names and values, `remove` a list of names'
  const kind: Kind<HeaderChanges> = { allowed, parse: () => undefined }
  return optional(
    key,
    kind,
    `${what}: to write in place of those that there are, and to leave out. Mode http.`,
  )
}

type Typed = Partial<Values<typeof typedFields>>

export interface RuleChecks {
  /** Whether it is a password's hash, of a kind that gateways check (`auth/password.ts` knows). */
  readonly isPasswordHash: (text: string) => boolean
}

/** The rules of one tunnel, and its path. */
export function readRules(
  source: Source,
  problems: Problems,
  { target, isPasswordHash }: RuleChecks & { readonly target: Target | undefined },
): TunnelRules & { readonly path?: string } {
  const values = readFields(typedFields, source, problems)
  // Empty counts as not set elsewhere; here that would let everybody in.
  for (const { key } of guards) {
    const entry = source.entry(key)
    if (entry !== undefined && entry.refused === undefined && entry.text.trim() === '') {
      complain(source, problems, key, 'is empty: remove it, if everybody may come in')
    }
  }
  const badHash = values.basicAuth?.find((entry) => !isPasswordHash(hashOf(entry)))
  if (badHash !== undefined) {
    const reason = `${nameOf(badHash)} has no hash that gotunnel-agent hash-password makes`
    complain(source, problems, 'basic_auth', reason)
  }
  if (values.stripPrefix && !values.path) {
    complain(source, problems, 'strip_prefix', 'needs a path to take off')
  }
  return { ...tidied(values, target), ...readHeaderFields(source, problems) }
}

const guards = [typedFields.basicAuth, typedFields.allowIps, typedFields.denyIps]

function tidied({ path, stripPrefix, hostHeader, ...lists }: Typed, target: Target | undefined) {
  return {
    ...(path && { path }),
    ...(stripPrefix && { stripPrefix }),
    ...(hostHeader && { hostHeader: hostHeader === targetsOwn ? hostOf(target) : hostHeader }),
    ...(lists as Pick<TunnelRules, 'basicAuth' | 'allowIps' | 'denyIps'>),
  }
}

/** As a client of the target itself would write it. */
function hostOf(target: Target | undefined): string {
  if (target?.kind !== 'tcp') return 'localhost'
  const text = formatHostPort(target)
  return text.replace(target.tls === undefined ? /:80$/ : /:443$/, '')
}

function readHeaderFields(source: Source, problems: Problems) {
  const requestHeaders = readHeaderChanges(source, headerFields.requestHeaders.key, problems)
  const responseHeaders = readHeaderChanges(source, headerFields.responseHeaders.key, problems)
  return { ...(requestHeaders && { requestHeaders }), ...(responseHeaders && { responseHeaders }) }
}

function readHeaderChanges(
  source: Source,
  key: string,
  problems: Problems,
): HeaderChanges | undefined {
  const map = source.map?.(key)
  if (map === undefined) return undefined
  for (const name of map.keys()) {
    if (name !== 'set' && name !== 'remove') complain(map, problems, name, 'is no key here')
  }
  const { remove = [] } = readFields(removed, map, problems)
  return { set: readLines(map.map?.('set'), problems), remove }
}

const removed = { remove: optional('remove', headerNames, '') }

function readLines(map: MapSource | undefined, problems: Problems): Map<string, string> {
  const lines = new Map<string, string>()
  for (const name of map?.keys() ?? []) {
    const { text = '', refused, isList } = map?.entry(name) ?? {}
    const reason =
      refused ??
      headerNameProblem(name) ??
      (isList ? 'must be a single value' : undefined) ??
      (isHeaderValue(text) ? undefined : 'must be up to 2048 printable characters of ASCII')
    if (reason === undefined) lines.set(name, text)
    else if (map) complain(map, problems, name, reason)
  }
  return lines
}

function hasTwice(texts: readonly unknown[]): boolean {
  return new Set(texts).size < texts.length
}

function nameOf(entry: string): string {
  return entry.slice(0, entry.indexOf(':'))
}

function hashOf(entry: string): string {
  return entry.slice(entry.indexOf(':') + 1)
}
