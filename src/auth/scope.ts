import { canonicalPattern, matchesHostname } from '../net/hostname.ts'
import { PortRanges, parsePortRange } from '../net/port-ranges.ts'
import { tokenInvalid } from './errors.ts'

/** What the bearer of a token may ask for. A list that is empty allows nothing. */
export interface Scope {
  /** Canonical names, and `*.example.com` for all that have exactly one label more. */
  readonly hosts: readonly string[]
  /** Public ports of its own. */
  readonly ports: PortRanges
  /** The plain SSH of the public port, which one tunnel of a gateway can have. */
  readonly ssh: boolean
}

type Claims = Readonly<Record<string, unknown>>

/** Without one in a token, whatever the gateway has is its bearer's to ask for. */
export function allowsHost(scope: Scope | undefined, hostname: string): boolean {
  return scope === undefined || scope.hosts.some((pattern) => matchesHostname(pattern, hostname))
}

/**
 * `undefined` where a token has no `hosts`, and so no limits.
 * @throws AuthError AUTH_TOKEN_INVALID
 */
export function scopeOf({ hosts, ports, ssh }: Claims): Scope | undefined {
  if (hosts === undefined) {
    // Whoever wrote these meant to limit something; what else is not for us to guess.
    if (ports !== undefined || ssh !== undefined) throw tokenInvalid('it has ports but no hosts')
    return undefined
  }
  if (ssh !== undefined && typeof ssh !== 'boolean') throw tokenInvalid('its ssh is not true')
  return {
    hosts: entriesOf('hosts', hosts, (host) => {
      return typeof host === 'string' ? canonicalPattern(host) : undefined
    }),
    ports: new PortRanges(entriesOf('ports', ports ?? [], rangeOf)),
    ssh: ssh ?? false,
  }
}

/** As they stand in a token: `{"hosts":["app.example.com"],"ports":[2222,"30000-30999"]}`. */
export function claimsOf({ hosts, ports, ssh }: Scope): Claims {
  const ranges = ports.ranges.map(({ min, max }) => (min === max ? min : `${min}-${max}`))
  return { hosts, ...(ranges.length > 0 && { ports: ranges }), ...(ssh && { ssh }) }
}

function entriesOf<T>(name: string, list: unknown, parse: (entry: unknown) => T | undefined): T[] {
  if (!Array.isArray(list)) throw tokenInvalid(`its ${name} is not a list`)
  return list.map((entry, index) => {
    const value = parse(entry)
    if (value === undefined) throw tokenInvalid(`number ${index + 1} of its ${name} is none`)
    return value
  })
}

function rangeOf(entry: unknown) {
  if (typeof entry !== 'string' && typeof entry !== 'number') return undefined
  return parsePortRange(String(entry))
}
