import {
  badField,
  type JsonObject,
  present,
  readBoolean,
  readObject,
  readOptionalText,
  readTextMap,
  readTexts,
} from './json.ts'

/**
 * What a gateway does for a tunnel beside passing it on; what is in them it checks itself. Only one that
 * has announced `tunnel-rules` does any of it, so an agent must not be served by another (docs/wire.md).
 */
export interface TunnelRules {
  /** What targets see as Host, in place of what the visitor asked for. Mode http, as those that follow. */
  readonly hostHeader?: string
  readonly requestHeaders?: HeaderChanges
  readonly responseHeaders?: HeaderChanges
  /** Whether the target sees paths without the one that the tunnel is for. */
  readonly stripPrefix?: boolean
  /** `user:hash`: who may come in, by HTTP's Basic authentication. */
  readonly basicAuth?: readonly string[]
  /** Addresses and ranges of visitors: none but these, and none of those. In all modes. */
  readonly allowIps?: readonly string[]
  readonly denyIps?: readonly string[]
}

/** Lines of a header to write, in place of those that there are, and to leave out. */
export interface HeaderChanges {
  readonly set: ReadonlyMap<string, string>
  readonly remove: readonly string[]
}

const entryLimit = 100

/** @throws ProtocolError PROTOCOL_BAD_MESSAGE, naming the field that is wrong. */
export function parseRules(offer: JsonObject, field: string): TunnelRules {
  return present({
    hostHeader: readOptionalText(offer.host_header, `${field}.host_header`),
    requestHeaders: readChanges(offer.request_headers, `${field}.request_headers`),
    responseHeaders: readChanges(offer.response_headers, `${field}.response_headers`),
    stripPrefix: readBoolean(offer.strip_prefix, `${field}.strip_prefix`) || undefined,
    basicAuth: readList(offer.basic_auth, `${field}.basic_auth`),
    allowIps: readList(offer.allow_ips, `${field}.allow_ips`),
    denyIps: readList(offer.deny_ips, `${field}.deny_ips`),
  })
}

/** As they are written: absent where there is nothing to say. */
export function plainRules(rules: TunnelRules): JsonObject {
  const { hostHeader, requestHeaders, responseHeaders, stripPrefix } = rules
  const { basicAuth, allowIps, denyIps } = rules
  return present({
    host_header: hostHeader,
    request_headers: requestHeaders && plainChanges(requestHeaders),
    response_headers: responseHeaders && plainChanges(responseHeaders),
    strip_prefix: stripPrefix || undefined,
    basic_auth: basicAuth,
    allow_ips: allowIps,
    deny_ips: denyIps,
  })
}

/** The options that are set, by their names in configurations and on the wire. */
export function ruleNames(rules: TunnelRules): string[] {
  return Object.keys(plainRules(rules))
}

/**
 * An absent list and an empty one differ: an allow list without entries lets nobody in, and must not
 * become none on its way.
 */
function readList(value: unknown, field: string): readonly string[] | undefined {
  const texts = readTexts(value, field)
  if (texts !== undefined && texts.length > entryLimit) throw tooMany(field, texts.length)
  return texts
}

function readChanges(value: unknown, field: string): HeaderChanges | undefined {
  const changes = readObject(value, field)
  if (changes === undefined) return undefined
  const set = readTextMap(changes.set, `${field}.set`)
  const remove = readTexts(changes.remove, `${field}.remove`) ?? []
  const count = set.size + remove.length
  if (count > entryLimit) throw tooMany(field, count)
  return { set, remove }
}

function plainChanges({ set, remove }: HeaderChanges): JsonObject {
  return present({
    set: set.size > 0 ? Object.fromEntries(set) : undefined,
    remove: remove.length > 0 ? remove : undefined,
  })
}

function tooMany(field: string, count: number) {
  return badField(field, `has ${count} entries, more than ${entryLimit}`)
}
