import { type PasswordHash, parsePasswordHash } from '../auth/password.ts'
import { AddressRanges, parseAddressRange } from '../net/address-ranges.ts'
import { headerNameProblem, isHeaderValue } from '../net/header-lines.ts'
import type { HeaderChanges, TunnelRules } from '../protocol/messages.ts'

/** A tunnel's rules, ready for use. */
export interface RouteRules {
  /** Who may come in; undefined: anybody. */
  readonly allowed: AddressRanges | undefined
  readonly denied: AddressRanges | undefined
  /** By user; undefined: nobody has to log in. */
  readonly passwords: ReadonlyMap<string, PasswordHash> | undefined
  /** The Host that the target sees; undefined: the visitor's. */
  readonly hostHeader: string | undefined
  readonly requestHeaders: LineChanges | undefined
  readonly responseHeaders: LineChanges | undefined
  /** Whether the target sees paths without that of the route. */
  readonly stripPrefix: boolean
}

/** Header lines to write, and names, as `plainName` has them, whose other lines go. */
export interface LineChanges {
  readonly lines: readonly string[]
  readonly dropped: ReadonlySet<string>
}

/** @throws Error, whose message says which option is wrong; none of them can be served without. */
export function parseRouteRules(rules: TunnelRules): RouteRules {
  const { hostHeader, stripPrefix = false } = rules
  if (hostHeader !== undefined && !/^[\w.:[\]-]{1,260}$/.test(hostHeader)) throw bad('host_header')
  return {
    allowed: rules.allowIps && parseRanges(rules.allowIps, 'allow_ips'),
    denied: rules.denyIps && parseRanges(rules.denyIps, 'deny_ips'),
    passwords: rules.basicAuth && parsePasswords(rules.basicAuth),
    hostHeader,
    requestHeaders: rules.requestHeaders && parseChanges(rules.requestHeaders, 'request_headers'),
    responseHeaders:
      rules.responseHeaders && parseChanges(rules.responseHeaders, 'response_headers'),
    stripPrefix,
  }
}

/** As programs may read a header's name: in any case, and CGI and WSGI take `_` for `-`. */
export function plainName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-')
}

/** Whether a visitor from there may come in. Who is gone before we knew their address may not. */
export function admits({ allowed, denied }: RouteRules, address: string): boolean {
  if (allowed === undefined && denied === undefined) return true
  if (address === '' || denied?.matches(address)) return false
  return allowed === undefined || allowed.matches(address)
}

function parseRanges(texts: readonly string[], option: string): AddressRanges {
  const ranges = texts.flatMap((text) => parseAddressRange(text) ?? [])
  if (ranges.length < texts.length) throw bad(option)
  return new AddressRanges(ranges)
}

function parsePasswords(texts: readonly string[]): Map<string, PasswordHash> {
  const passwords = new Map<string, PasswordHash>()
  for (const text of texts) {
    const [, user = '', hashText = ''] = /^([\x20-\x39\x3b-\x7e]{1,100}):(.*)$/.exec(text) ?? []
    const hash = parsePasswordHash(hashText)
    if (hash === undefined || passwords.has(user)) throw bad('basic_auth')
    passwords.set(user, hash)
  }
  return passwords
}

function parseChanges({ set, remove }: HeaderChanges, option: string): LineChanges {
  const names = [...set.keys(), ...remove]
  if (names.some(headerNameProblem) || ![...set.values()].every(isHeaderValue)) throw bad(option)
  return { lines: [...set].flat(), dropped: new Set(names.map(plainName)) }
}

function bad(option: string): Error {
  return new Error(`bad ${option}`)
}
