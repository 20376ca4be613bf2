import { CodedError } from '../errors.ts'
import { canonicalHostname } from '../net/hostname.ts'
import {
  type AckCode,
  AckError,
  type Mode,
  parseMode,
  type Register,
  tunnelOffers,
} from '../protocol/messages.ts'

/** Why an agent is not taken. The message is the text of its ack: for the agent's owner, and safe to log. */
export class Refusal extends CodedError<AckCode | 'AGENT_LIMIT'> {}

/** One name of a registration, checked. */
export interface OfferedRoute {
  /** Canonical. */
  readonly name: string
  /** As the agent wrote it. */
  readonly key: string
  readonly mode: Mode
  readonly target: string
}

/**
 * What a registration offers, one entry a name.
 * @throws Refusal NO_ROUTES, HOST_INVALID, HOST_RESERVED, MODE_UNKNOWN, for the first that is wrong.
 */
export function offeredRoutes(register: Register, ownNames: readonly string[]): OfferedRoute[] {
  const routes = new Map<string, OfferedRoute>()
  for (const { hostname: key, mode: modeText, target = '' } of tunnelOffers(register)) {
    const name = canonicalHostname(key)
    // Two spellings of one name could have two targets: no telling which is meant.
    if (name === undefined || routes.has(name)) {
      throw new Refusal('HOST_INVALID', AckError.hostInvalid(shown(key)))
    }
    if (ownNames.includes(name)) throw new Refusal('HOST_RESERVED', AckError.hostReserved(key))
    const mode = parseMode(modeText)
    if (mode === undefined) {
      throw new Refusal('MODE_UNKNOWN', AckError.modeUnknown(key, shown(modeText)))
    }
    routes.set(name, { name, key, mode, target })
  }
  if (routes.size === 0) throw new Refusal('NO_ROUTES', AckError.noRoutes)
  return [...routes.values()]
}

/** A stranger's text, fit to be repeated. */
function shown(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}
