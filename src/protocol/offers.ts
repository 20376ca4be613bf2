import {
  badField,
  type JsonObject,
  present,
  readBoolean,
  readObject,
  readOptionalInteger,
  readOptionalText,
  readText,
  readTexts,
} from './json.ts'
import { parseRules, plainRules, type TunnelRules } from './rules.ts'

/** How a name is served: as HTTP that the gateway reads, as bytes after TLS, or as TLS that is not ours. */
export type Mode = 'http' | 'tcp' | 'tls'

export type TargetProtocol = 'h2c' | 'h2'

/** One name an agent offers to serve, or one port: an entry of `tunnels` in `register`. */
export interface TunnelOffer extends TunnelRules {
  /** To the letter as the agent wrote it. Of a port without a name, and of a path: see below. */
  readonly hostname: string
  /** Lower case. Not always a mode we know: see `parseMode`. */
  readonly mode: string
  readonly target?: string
  /** In http mode, what the target speaks if not HTTP/1.1: HTTP/2, in clear text or in the agent's TLS. */
  readonly protocol?: TargetProtocol
  /** In http mode, how long a request waits for its answer; 0: as long as it takes. Absent: the gateway's own time. */
  readonly responseTimeoutSec?: number
  /** The public port that is asked for; 0: any that the gateway has left. */
  readonly listenPort?: number
  /** Whether clients that speak plain SSH on the public port are for this tunnel. */
  readonly ssh?: boolean
  /** What visitors of a tcp name are offered by ALPN, the best first. */
  readonly alpn?: readonly string[]
  /** After how long without a byte either way the gateway ends a connection; absent: never. */
  readonly idleTimeoutSec?: number
}

/** Modes as we know them; what a peer named compares without case. `undefined` for any other. */
export function parseMode(text: string): Mode | undefined {
  const mode = text.toLowerCase()
  return mode === 'http' || mode === 'tcp' || mode === 'tls' ? mode : undefined
}

/**
 * What stands for the hostname of a tunnel that only wants a port, in `routes` and in preambles:
 * `tcp:2222`, or `tcp:0` where any port will do. It is no name in DNS, and claims none.
 */
export function portRouteKey(listenPort: number): string {
  return `tcp:${listenPort}`
}

/** What stands for the hostname of a tunnel that is for the paths beneath one: `app.example.com/api`. */
export function pathRouteKey(hostname: string, path: string): string {
  return hostname + path
}

/** Both again; the path is '' in a key without one. Neither is checked. */
export function parsePathRouteKey(key: string): { hostname: string; path: string } {
  const slash = key.indexOf('/')
  if (slash === -1) return { hostname: key, path: '' }
  return { hostname: key.slice(0, slash), path: key.slice(slash) }
}

/** Whether an offer is for a port alone, and its hostname no name but the key of `portRouteKey`. */
export function isPortRouteKey({
  hostname,
  listenPort,
}: Pick<TunnelOffer, 'hostname' | 'listenPort'>): boolean {
  return listenPort !== undefined && hostname === portRouteKey(listenPort)
}

/** Longest that a timer of Node waits, 2³¹ − 1 ms; nearly 25 days. */
export const idleTimeoutLimitSec = 2_147_483

const alpnLimit = 16
const alpnBytesLimit = 255 // RFC 7301 §3.1: a length of one byte, and not empty

/** `list` is the field that has them. @throws ProtocolError PROTOCOL_BAD_MESSAGE, naming the field that is wrong. */
export function parseOffers(offers: readonly unknown[], list: string): TunnelOffer[] {
  const names = new Set<string>()
  return offers.map((value, index) => {
    const field = `${list}[${index}]`
    const offer = readObject(value, field)
    const hostname = readText(offer?.hostname, `${field}.hostname`)
    if (offer === undefined || hostname === '') throw badField(`${field}.hostname`, 'is missing')
    // Two entries may say two things of the name: no reader should have to choose.
    if (names.has(hostname)) throw badField(`${field}.hostname`, 'is there twice')
    names.add(hostname)
    const mode = readText(offer.mode, `${field}.mode`).toLowerCase() || 'http'
    return { hostname, mode, ...parseOptions(offer, field), ...parseRules(offer, field) }
  })
}

/** As it is written: absent where the offer has nothing to say. */
export function plainOffer(offer: TunnelOffer): JsonObject {
  const { hostname, mode, target, protocol, listenPort, ssh, alpn } = offer
  const { idleTimeoutSec, responseTimeoutSec } = offer
  return present({
    hostname,
    mode,
    target,
    protocol,
    response_timeout_sec: responseTimeoutSec,
    listen_port: listenPort,
    ssh: ssh || undefined,
    alpn: alpn?.length ? alpn : undefined,
    idle_timeout_sec: idleTimeoutSec || undefined,
    ...plainRules(offer),
  })
}

function parseOptions(offer: JsonObject, field: string): Partial<TunnelOffer> {
  const seconds = { min: 0, max: idleTimeoutLimitSec }
  return present({
    target: readOptionalText(offer.target, `${field}.target`),
    protocol: readProtocol(offer.protocol, `${field}.protocol`),
    responseTimeoutSec: readOptionalInteger(
      offer.response_timeout_sec,
      `${field}.response_timeout_sec`,
      seconds,
    ),
    // As above, 0 means more than none.
    listenPort: readOptionalInteger(offer.listen_port, `${field}.listen_port`, {
      min: 0,
      max: 65_535,
    }),
    ssh: readBoolean(offer.ssh, `${field}.ssh`) || undefined,
    alpn: readAlpn(offer.alpn, `${field}.alpn`),
    idleTimeoutSec:
      readOptionalInteger(offer.idle_timeout_sec, `${field}.idle_timeout_sec`, seconds) ||
      undefined,
  })
}

function readProtocol(value: unknown, field: string): TargetProtocol | undefined {
  const protocol = readOptionalText(value, field)
  // To be wrong about it would be worse than to refuse: every request would fail.
  if (protocol === undefined || protocol === 'h2c' || protocol === 'h2') return protocol
  throw badField(field, 'is none of h2c, h2')
}

function readAlpn(value: unknown, field: string): readonly string[] | undefined {
  const names = readTexts(value, field) ?? []
  if (names.length > alpnLimit) {
    throw badField(field, `has ${names.length} entries, more than ${alpnLimit}`)
  }
  for (const [index, name] of names.entries()) {
    if (isAlpnName(name)) continue
    throw badField(`${field}[${index}]`, `is not 1 to ${alpnBytesLimit} printable characters`)
  }
  return names.length > 0 ? names : undefined
}

/** ASCII: RFC 7301 allows any bytes, but all that IANA has registered for use are of these. */
function isAlpnName(name: string): boolean {
  return name.length <= alpnBytesLimit && /^[!-~]+$/.test(name)
}
