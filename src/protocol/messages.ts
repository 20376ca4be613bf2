import { ProtocolError } from './errors.ts'
import {
  badField,
  type JsonObject,
  parseJson,
  present,
  readArray,
  readInteger,
  readObject,
  readOptionalInteger,
  readOptionalText,
  readText,
  readTextMap,
  readTexts,
} from './json.ts'
import { lineLimitBytes } from './lines.ts'
import { parseOffers, plainOffer, type TunnelOffer } from './offers.ts'
import { parseRequests, plainRequests, type Requests } from './requests.ts'
import {
  type Outcome,
  parseOutcome,
  parseUpdate,
  plainOutcome,
  plainUpdate,
  type Update,
  type Updated,
} from './updates.ts'

export {
  isPortRouteKey,
  type Mode,
  parseMode,
  parsePathRouteKey,
  pathRouteKey,
  portRouteKey,
  type TargetProtocol,
  type TunnelOffer,
} from './offers.ts'
export { type AckCode, AckError, explainRefusal, isFinalRefusal } from './refusals.ts'
export type { RequestNote, Requests } from './requests.ts'
export { type HeaderChanges, ruleNames, type TunnelRules } from './rules.ts'
export type { Outcome, Update, Updated } from './updates.ts'

/** A control message: one JSON object on one line (docs/wire.md, "The control stream"). */
export type Message = KnownMessage | Unknown
export type KnownMessage =
  | Register
  | Ack
  | Update
  | Updated
  | Ping
  | Pong
  | Replaced
  | End
  | Requests

/** The agent's first message: who it is and what it offers. */
export interface Register {
  readonly type: 'register'
  /** A JWT; empty where the agent sent none. Never log it. */
  readonly token: string
  /** Hostname, to the letter as the agent wrote it → target. */
  readonly routes: ReadonlyMap<string, string>
  /** Hostname as written → mode, lower case. Not always a mode we know: see `parseMode`. */
  readonly modes: ReadonlyMap<string, string>
  readonly agent?: AgentInfo
  readonly capabilities: readonly string[]
  /** The full form of `routes` and `modes`; see `tunnelOffers` for what holds where both speak. */
  readonly tunnels?: readonly TunnelOffer[]
}

/** What an agent says of itself. Unverified: for logs and the dashboard. */
export interface AgentInfo {
  readonly id?: string
  readonly name?: string
  readonly version?: string
  readonly platform?: string
}

/** The gateway's answer to `register`. After a refusal (`ok: false`) it closes the session. */
export interface Ack extends Outcome {
  readonly type: 'ack'
  readonly capabilities: readonly string[]
  /** The gateway's name for this session, for both sides' logs. */
  readonly session?: string
  /** Unix time in milliseconds, by the gateway's clock. A Go gateway sends none. */
  readonly ts?: number
}

/** From the gateway, every 15 s. */
export interface Ping {
  readonly type: 'ping'
  /** Unix time in milliseconds. */
  readonly ts: number
}

/** The agent's answer, within 20 s. */
export interface Pong {
  readonly type: 'pong'
  /** Unix time in milliseconds. */
  readonly ts: number
}

/** From the gateway, to agents with the capability `take-over`: another session of the agent has its names now. */
export interface Replaced {
  readonly type: 'replaced'
  /** The gateway's name for that one. */
  readonly session: string
}

/** From the gateway, to agents with the capability `end-reason`: why it ends the session now. */
export interface End {
  readonly type: 'end'
  /** For people. */
  readonly error: string
  /** For programs: an `AckCode`, or one that a newer gateway knows. */
  readonly code: string
}

/** A message of a type we do not know: from a newer peer, to be ignored. */
export interface Unknown {
  readonly type: 'unknown'
  /** The type as the peer named it. */
  readonly name: string
}

/**
 * What a registration offers, one entry a hostname as written. An entry of `tunnels` is the whole
 * truth on the name it has: `routes` only lends it a target, `modes` is not asked. Names that are
 * only in `routes` follow, as a Go agent means them: mode from `modes`, else http. A name that is
 * only in `modes` is no offer.
 */
export function tunnelOffers({
  tunnels = [],
  routes,
  modes,
}: Pick<Register, 'tunnels' | 'routes' | 'modes'>): TunnelOffer[] {
  const offers = new Map<string, TunnelOffer>()
  for (const offer of tunnels) {
    const target = offer.target ?? routes.get(offer.hostname)
    offers.set(offer.hostname, target === undefined ? offer : { ...offer, target })
  }
  for (const [hostname, target] of routes) {
    if (offers.has(hostname)) continue
    offers.set(hostname, { hostname, mode: modes.get(hostname) || 'http', target })
  }
  return [...offers.values()]
}

/**
 * Reads one line, without its end. Unknown fields are ignored; a field that is absent or null has
 * its empty value, as in Go.
 * @throws ProtocolError PROTOCOL_BAD_MESSAGE, naming the field that is wrong;
 *   PROTOCOL_LINE_TOO_LONG.
 */
export function parseMessage(line: string): Message {
  const message = readObject(parseJson(line), 'message')
  const type = readText(message?.type, 'type')
  if (message === undefined || type === '') throw badField('type', 'is missing')
  switch (type) {
    case 'register':
      return parseRegister(message)
    case 'ack':
      return parseAck(message)
    case 'ping':
    case 'pong':
      return { type, ts: readInteger(message.ts, `${type}.ts`) }
    case 'update':
      return parseUpdate(message)
    case 'updated':
      return { type, ...parseOutcome(message, type) }
    case 'replaced':
      return { type, session: readText(message.session, 'replaced.session') }
    case 'requests':
      return parseRequests(message)
    case 'end':
      return {
        type,
        error: readText(message.error, 'end.error'),
        code: readText(message.code, 'end.code'),
      }
    default:
      return { type: 'unknown', name: type }
  }
}

/**
 * The message as one line with its `\n`, as a Go peer reads it: empty fields are left out. Write one
 * at a time: the Go program starts a new JSON decoder for each message, and what came in the same
 * read behind it is lost.
 * @throws ProtocolError PROTOCOL_LINE_TOO_LONG when no peer would read it.
 */
export function formatMessage(message: KnownMessage): string {
  const line = JSON.stringify(plainMessage(message), omit)
  const bytes = Buffer.byteLength(line)
  if (bytes <= lineLimitBytes) return `${line}\n`
  throw new ProtocolError(
    'PROTOCOL_LINE_TOO_LONG',
    `the ${message.type} message has ${bytes} bytes, and a peer reads ${lineLimitBytes}: ` +
      'offer fewer tunnels in one agent',
  )
}

function parseRegister(message: JsonObject): Register {
  const agent = readObject(message.agent, 'register.agent')
  const tunnels = readArray(message.tunnels, 'register.tunnels')
  return {
    type: 'register',
    token: readText(message.token, 'register.token'),
    routes: readTextMap(message.routes, 'register.routes'),
    modes: lowerCased(readTextMap(message.modes, 'register.modes')),
    capabilities: readTexts(message.capabilities, 'register.capabilities') ?? [],
    ...(agent && { agent: parseAgent(agent) }),
    ...(tunnels && { tunnels: parseOffers(tunnels, 'register.tunnels') }),
  }
}

function parseAgent(agent: JsonObject): AgentInfo {
  return present({
    id: readOptionalText(agent.id, 'register.agent.id'),
    name: readOptionalText(agent.name, 'register.agent.name'),
    version: readOptionalText(agent.version, 'register.agent.version'),
    platform: readOptionalText(agent.platform, 'register.agent.platform'),
  })
}

function parseAck(message: JsonObject): Ack {
  return {
    type: 'ack',
    ...parseOutcome(message, 'ack'),
    capabilities: readTexts(message.capabilities, 'ack.capabilities') ?? [],
    ...present({
      session: readOptionalText(message.session, 'ack.session'),
      ts: readOptionalInteger(message.ts, 'ack.ts', unixMs),
    }),
  }
}

const unixMs = { min: 0, max: Number.MAX_SAFE_INTEGER }

function plainMessage(message: KnownMessage): object {
  switch (message.type) {
    case 'register':
      return plainRegister(message)
    case 'update':
      return plainUpdate(message)
    case 'requests':
      return plainRequests(message)
    case 'ack':
    case 'updated':
      return plainOutcome(message)
    default:
      return message
  }
}

function plainRegister(register: Register): JsonObject {
  const { type, token, routes, modes, tunnels, ...more } = register
  return {
    type,
    token,
    routes: Object.fromEntries(routes),
    ...(modes.size > 0 && { modes: Object.fromEntries(modes) }),
    ...more,
    ...(tunnels && { tunnels: tunnels.map(plainOffer) }),
  }
}

/** For JSON.stringify: a peer that announces nothing is told nothing. */
function omit(key: string, value: unknown): unknown {
  return key === 'capabilities' && Array.isArray(value) && value.length === 0 ? undefined : value
}

function lowerCased(texts: ReadonlyMap<string, string>): Map<string, string> {
  return new Map([...texts].map(([name, text]) => [name, text.toLowerCase()]))
}
