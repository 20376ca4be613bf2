import { CodedError } from '../errors.ts'
import { canonicalHostname } from '../net/hostname.ts'
import {
  type AckCode,
  AckError,
  isPortRouteKey,
  type Mode,
  parseMode,
  type Register,
  type TargetProtocol,
  type TunnelOffer,
  tunnelOffers,
} from '../protocol/messages.ts'
import { portName, sshName } from './claims.ts'

/** Why an agent is not taken. The message is the text of its ack: for the agent's owner, and safe to log. */
export class Refusal extends CodedError<AckCode | 'AGENT_LIMIT'> {}

/** One tunnel of a registration, checked. */
export interface OfferedRoute {
  /** The hostname, canonical; undefined for a tunnel that only wants a port. */
  readonly hostname: string | undefined
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
export function offeredRoutes(register: Register, ownNames: readonly string[]): OfferedRoute[] {
  const offers = tunnelOffers(register)
  if (offers.length === 0) throw new Refusal('NO_ROUTES', AckError.noRoutes)
  const hostnames = new Set<string>()
  let hasSsh = false
  return offers.map((offer) => {
    const { hostname: key, target = '', listenPort, ssh: isSsh = false, alpn } = offer
    const hostname = isPortRouteKey(offer) ? undefined : hostnameOf(key, ownNames)
    // Two spellings of one name could have two targets: no telling which is meant.
    if (hostname !== undefined && hostnames.has(hostname)) throw hostInvalid(key)
    if (hostname !== undefined) hostnames.add(hostname)
    const mode = modeOf(offer)
    // As for two agents: of two marked tunnels neither is the right one.
    if (isSsh && hasSsh) throw new Refusal('SSH_TAKEN', AckError.sshTaken(shown(key)))
    hasSsh ||= isSsh
    const { protocol } = offer
    const idleTimeoutMs = inMs(offer.idleTimeoutSec)
    const responseTimeoutMs = inMs(offer.responseTimeoutSec)
    return {
      ...{ hostname, key, mode, target, listenPort, isSsh, alpn },
      ...{ idleTimeoutMs, protocol, responseTimeoutMs },
    }
  })
}

/** The names to claim for a tunnel; `port` is the one it got. */
export function namesOf({ hostname, isSsh }: OfferedRoute, port: number | undefined): string[] {
  return [
    ...(hostname === undefined ? [] : [hostname]),
    ...(port === undefined ? [] : [portName(port)]),
    ...(isSsh ? [sshName] : []),
  ]
}

function inMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000
}

function hostnameOf(key: string, ownNames: readonly string[]): string {
  // A port behind it would be taken off, and `tcp:22`, for an agent that knows no ports, be `tcp`.
  const hostname = /^tcp:/i.test(key) ? undefined : canonicalHostname(key)
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
function optionsOf({ listenPort, ssh, alpn, idleTimeoutSec }: TunnelOffer) {
  return [
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
