import { CodedError } from '../errors.ts'
import { canonicalHostname } from '../net/hostname.ts'
import { canonicalPrefix } from '../net/path-prefix.ts'
import {
  type AckCode,
  AckError,
  isPortRouteKey,
  type Mode,
  parseMode,
  parsePathRouteKey,
  pathRouteKey,
  type Register,
  ruleNames,
  type TargetProtocol,
  type TunnelOffer,
  tunnelOffers,
} from '../protocol/messages.ts'
import { hostnameLimitBytes } from '../protocol/preamble.ts'
import { portName, sshName } from './claims.ts'
import { parseRouteRules, type RouteRules } from './rules.ts'

/** Why an agent is not taken. The message is the text of its ack: for the agent's owner, and safe to log. */
export class Refusal extends CodedError<AckCode | 'AGENT_LIMIT'> {}

/** Not a Refusal yet: the line was none, or too long; or we are at fault, and the agent may try again. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  return new Refusal('BAD_REGISTER', AckError.badRegister, { cause: error })
}

/** One tunnel of a registration, checked. */
export interface OfferedRoute {
  /** The hostname, canonical; undefined for a tunnel that only wants a port. */
  readonly hostname: string | undefined
  /** What of the hostname it is for, in http mode: '' for all of it, or what is beneath `/api`. */
  readonly path: string
  readonly rules: RouteRules | undefined
  /** As the agent wrote it. */
  readonly key: string
  readonly mode: Mode
  readonly target: string
  /** The public port that is asked for, 0 for any. */
  readonly listenPort: number | undefined
  /** Whether plain SSH on the public port is for this one. */
  readonly isSsh: boolean
  readonly alpn: readonly string[] | undefined
  readonly idleTimeoutMs: number | undefined
  readonly protocol: TargetProtocol | undefined
  readonly responseTimeoutMs: number | undefined
}

/**
 * What a registration offers, one entry a tunnel.
 * @throws Refusal NO_ROUTES, HOST_INVALID, HOST_RESERVED, MODE_UNKNOWN, SSH_TAKEN, BAD_REGISTER, for the
 * first that is wrong.
 */
export function offeredRoutes(
  register: Pick<Register, 'tunnels' | 'routes' | 'modes'>,
  ownNames: readonly string[],
): OfferedRoute[] {
  const offers = tunnelOffers(register)
  if (offers.length === 0) throw new Refusal('NO_ROUTES', AckError.noRoutes)
  const places = new Places()
  let hasSsh = false
  return offers.map((offer) => {
    const { hostname: key, target = '', listenPort, ssh: isSsh = false, alpn } = offer
    const { hostname, path } = placeOf(offer, ownNames)
    const mode = modeOf(offer)
    if (hostname !== undefined) places.take(hostname, path, mode, key)
    // As for two agents: of two marked tunnels neither is the right one.
    if (isSsh && hasSsh) throw new Refusal('SSH_TAKEN', AckError.sshTaken(shown(key)))
    hasSsh ||= isSsh
    const { protocol } = offer
    const idleTimeoutMs = inMs(offer.idleTimeoutSec)
    const responseTimeoutMs = inMs(offer.responseTimeoutSec)
    return {
      ...{ hostname, path, key, mode, target, listenPort, isSsh, alpn },
      ...{ idleTimeoutMs, protocol, responseTimeoutMs, rules: rulesOf(offer) },
    }
  })
}

function placeOf(offer: TunnelOffer, ownNames: readonly string[]) {
  if (isPortRouteKey(offer)) return { hostname: undefined, path: '' }
  const { hostname, path } = parsePathRouteKey(offer.hostname)
  // Written otherwise, it would not be the key that tells it from others.
  const isPath = canonicalPrefix(path) === path && parseMode(offer.mode) === 'http'
  const isShort = offer.hostname.length <= hostnameLimitBytes
  if (path !== '' && !(isPath && isShort)) throw hostInvalid(offer.hostname)
  return { hostname: hostnameOf(hostname, offer.hostname, ownNames), path }
}

/** What is taken by tunnels of this registration. */
class Places {
  readonly #taken = new Set<string>()
  readonly #modes = new Map<string, Mode>()

  /**
   * Two spellings of one name could have two targets: no telling which is meant. With paths, several
   * tunnels may share it, all of one mode.
   */
  take(hostname: string, path: string, mode: Mode, key: string): void {
    const place = pathRouteKey(hostname, path.toLowerCase())
    const others = this.#modes.get(hostname) ?? mode
    if (this.#taken.has(place) || others !== mode) throw hostInvalid(key)
    this.#taken.add(place)
    this.#modes.set(hostname, mode)
  }
}

function rulesOf(offer: TunnelOffer): RouteRules | undefined {
  if (ruleNames(offer).length === 0) return undefined
  try {
    return parseRouteRules(offer)
  } catch (error) {
    const problem = `${(error as Error).message} of ${shown(offer.hostname)}`
    throw new Refusal('BAD_REGISTER', `${AckError.badRegister}: ${problem}`)
  }
}

/** The names to claim for a tunnel; `port` is the one it got. */
export function namesOf(
  { hostname, isSsh }: Pick<OfferedRoute, 'hostname' | 'isSsh'>,
  port: number | undefined,
): string[] {
  return [
    ...(hostname === undefined ? [] : [hostname]),
    ...(port === undefined ? [] : [portName(port)]),
    ...(isSsh ? [sshName] : []),
  ]
}

function inMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000
}

/** `key` is what the agent wrote. */
function hostnameOf(text: string, key: string, ownNames: readonly string[]): string {
  // A port behind it would be taken off, and `tcp:22`, for an agent that knows no ports, be `tcp`.
  const hostname = /^tcp:/i.test(text) ? undefined : canonicalHostname(text)
  if (hostname === undefined) throw hostInvalid(key)
  if (ownNames.includes(hostname)) throw new Refusal('HOST_RESERVED', AckError.hostReserved(key))
  return hostname
}

function modeOf(offer: TunnelOffer): Mode {
  const hostname = shown(offer.hostname)
  const mode = parseMode(offer.mode)
  if (mode === undefined) {
    throw new Refusal('MODE_UNKNOWN', AckError.modeUnknown(hostname, shown(offer.mode)))
  }
  // An option that would have no effect is a misunderstanding, and with a port a dangerous one.
  for (const { option, value, modes } of optionsOf(offer)) {
    if (value === undefined || value === false || modes.includes(mode)) continue
    const problem = `${option} of ${hostname} needs mode ${modes.join(' or ')}, not ${mode}`
    throw new Refusal('BAD_REGISTER', `${AckError.badRegister}: ${problem}`)
  }
  return mode
}

/** Options that are not for every mode. */
function optionsOf(offer: TunnelOffer) {
  const { listenPort, ssh, alpn, idleTimeoutSec } = offer
  const ofHttp = ruleNames(offer).filter((option) => !/^(?:allow|deny)_ips$/.test(option))
  return [
    ...ofHttp.map((option) => ({ option, value: true, modes: ['http'] })),
    { option: 'listen_port', value: listenPort, modes: ['tcp'] },
    { option: 'ssh', value: ssh, modes: ['tcp'] },
    { option: 'alpn', value: alpn, modes: ['tcp'] },
    { option: 'idle_timeout_sec', value: idleTimeoutSec, modes: ['tcp', 'tls'] },
  ]
}

function hostInvalid(key: string): Refusal {
  return new Refusal('HOST_INVALID', AckError.hostInvalid(shown(key)))
}

/** A stranger's text, fit to be repeated. */
function shown(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}
