import { ProtocolError } from './errors.ts'

/** How a name is served: as HTTP that the gateway reads, or as bytes after TLS. */
export type Mode = 'http' | 'tcp'

/** A control message: one JSON object on one line (docs/wire.md, "The control stream"). */
export type Message = KnownMessage | Unknown
export type KnownMessage = Register | Ack | Ping | Pong

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

/** What an agent says of itself. Unverified: for logs and the status page. */
export interface AgentInfo {
  readonly id?: string
  readonly name?: string
  readonly version?: string
  readonly platform?: string
}

/** One name an agent offers to serve. */
export interface TunnelOffer {
  /** To the letter as the agent wrote it. */
  readonly hostname: string
  /** Lower case. Not always a mode we know: see `parseMode`. */
  readonly mode: string
  readonly target?: string
}

/** The gateway's answer to `register`. After a refusal (`ok: false`) it closes the session. */
export interface Ack {
  readonly type: 'ack'
  readonly ok: boolean
  /** The reason for people; Go peers know these texts, see `AckError`. */
  readonly error?: string
  /** The reason for programs: an `AckCode`, or one that a newer gateway knows. A Go gateway sends none. */
  readonly code?: string
  readonly capabilities: readonly string[]
  /** The gateway's name for this session, for both sides' logs. */
  readonly session?: string
  /** The names the agent now holds, in canonical form. */
  readonly hosts?: readonly string[]
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

/** A message of a type we do not know: from a newer peer, to be ignored. */
export interface Unknown {
  readonly type: 'unknown'
  /** The type as the peer named it. */
  readonly name: string
}

/** Why a registration was refused, for programs. */
export type AckCode =
  /** The token is missing, forged, expired or signed with another secret. */
  | 'AUTH_FAILED'
  /** The agent offers nothing. */
  | 'NO_ROUTES'
  /** Another agent holds one of the names. */
  | 'HOST_TAKEN'
  /** One of the names is no hostname. */
  | 'HOST_INVALID'
  /** One of the names is the gateway's own. */
  | 'HOST_RESERVED'
  /** A mode that this gateway does not serve. */
  | 'MODE_UNKNOWN'
  /** The message could not be read, or was not a register. */
  | 'BAD_REGISTER'
  /** The gateway is going down and takes no more agents. */
  | 'SHUTTING_DOWN'

/** The texts of a refusal. The first three are the Go program's, to the letter. */
export const AckError = {
  authFailed: 'auth failed',
  noRoutes: 'no routes',
  hostTaken: (host: string) => `host already registered: ${host}`,
  hostInvalid: (host: string) => `invalid hostname: ${host}`,
  hostReserved: (host: string) => `hostname belongs to the gateway: ${host}`,
  modeUnknown: (host: string, mode: string) => `unknown mode for ${host}: ${mode}`,
  badRegister: 'bad register message',
  shuttingDown: 'gateway is shutting down',
} as const

/** Whether trying again can change nothing, so that the agent should end. */
export function isFinalRefusal(ack: Ack): boolean {
  if (ack.ok) return false
  if (ack.code !== undefined) return finalCodes.has(ack.code)
  return ack.error === AckError.authFailed || ack.error === AckError.noRoutes
}

// HOST_TAKEN and SHUTTING_DOWN pass with time, and so may a code that only a newer gateway knows.
const finalCodes: ReadonlySet<string> = new Set<AckCode>([
  'AUTH_FAILED',
  'NO_ROUTES',
  'HOST_INVALID',
  'HOST_RESERVED',
  'MODE_UNKNOWN',
  'BAD_REGISTER',
])

/** The mode a peer named, compared without case; `undefined` where we know none by that name. */
export function parseMode(text: string): Mode | undefined {
  const mode = text.toLowerCase()
  return mode === 'http' || mode === 'tcp' ? mode : undefined
}

/**
 * What a registration offers, one entry a hostname as written. An entry of `tunnels` is the whole
 * truth on the name it has: `routes` only lends it a target, `modes` is not asked. Names that are
 * only in `routes` follow, as a Go agent means them: mode from `modes`, else http. A name that is
 * only in `modes` is no offer.
 */
export function tunnelOffers(register: Register): TunnelOffer[] {
  throw new ProtocolError('PROTOCOL_BAD_MESSAGE', `not written yet: ${register.type}`)
}

/**
 * Reads one line, without its end. Unknown fields are ignored; a field that is absent or null has
 * its empty value, as in Go.
 * @throws ProtocolError PROTOCOL_BAD_MESSAGE, naming the field that is wrong.
 */
export function parseMessage(line: string): Message {
  throw new ProtocolError('PROTOCOL_BAD_MESSAGE', `not written yet: ${line.length}`)
}

/**
 * The message as one line with its `\n`, as a Go peer reads it: empty fields are left out.
 * @throws ProtocolError PROTOCOL_LINE_TOO_LONG when no peer would read it.
 */
export function formatMessage(message: KnownMessage): string {
  throw new ProtocolError('PROTOCOL_BAD_MESSAGE', `not written yet: ${message.type}`)
}
