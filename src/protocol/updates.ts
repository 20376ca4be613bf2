import {
  badField,
  type JsonObject,
  present,
  readArray,
  readBoolean,
  readMap,
  readOptionalInteger,
  readOptionalText,
  readTexts,
} from './json.ts'
import { parseOffers, plainOffer, type TunnelOffer } from './offers.ts'

/** From the agent, to gateways with the capability `update`: all its tunnels from now on. */
export interface Update {
  readonly type: 'update'
  readonly tunnels: readonly TunnelOffer[]
}

/** The gateway's answer to an update: what is new, or why nothing has changed. */
export interface Updated extends Outcome {
  readonly type: 'updated'
}

/** What became of a registration, or of an update. */
export interface Outcome {
  readonly ok: boolean
  /** The reason for people; Go peers know these texts, see `AckError`. */
  readonly error?: string
  /** The reason for programs: an `AckCode`, or one that a newer gateway knows. A Go gateway sends none. */
  readonly code?: string
  /** The names the agent now holds, in canonical form. */
  readonly hosts?: readonly string[]
  /** The public port taken for each tunnel that asked for one, by its hostname as the agent wrote it. */
  readonly ports?: ReadonlyMap<string, number>
}

export function parseUpdate(message: JsonObject): Update {
  const list = 'update.tunnels'
  return { type: 'update', tunnels: parseOffers(readArray(message.tunnels, list) ?? [], list) }
}

export function plainUpdate({ type, tunnels }: Update): JsonObject {
  return { type, tunnels: tunnels.map(plainOffer) }
}

/** `type` is the message's, for errors. */
export function parseOutcome(message: JsonObject, type: 'ack' | 'updated'): Outcome {
  const ports = readMap(message.ports, `${type}.ports`, readPort)
  return {
    ok: readBoolean(message.ok, `${type}.ok`),
    ...present({
      error: readOptionalText(message.error, `${type}.error`),
      code: readOptionalText(message.code, `${type}.code`),
      hosts: readTexts(message.hosts, `${type}.hosts`),
      ports: ports.size > 0 ? ports : undefined,
    }),
  }
}

export function plainOutcome<O extends Outcome>(outcome: O): object {
  const { ports } = outcome
  return ports === undefined ? outcome : { ...outcome, ports: Object.fromEntries(ports) }
}

function readPort(value: unknown, field: string): number {
  const port = readOptionalInteger(value, field, { min: 1, max: 65_535 })
  if (port === undefined) throw badField(field, 'is missing')
  return port
}
