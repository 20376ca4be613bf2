/** Why a registration was refused, for programs. */
export type AckCode =
  /** The token is missing, forged, or signed with another secret. */
  | 'AUTH_FAILED'
  /** The token was good until its `exp`; also in `end`. */
  | 'TOKEN_EXPIRED'
  /** The token was good, and its owner has taken it back; also in `end`. */
  | 'TOKEN_REVOKED'
  /** The token is not limited to hosts, and this gateway takes no other. */
  | 'TOKEN_UNSCOPED'
  /** The agent offers nothing. */
  | 'NO_ROUTES'
  /** Another agent holds one of the names. */
  | 'HOST_TAKEN'
  /** One of the names is no hostname. */
  | 'HOST_INVALID'
  /** One of the names is the gateway's own. */
  | 'HOST_RESERVED'
  /** One of the names is not among the `hosts` of the token. */
  | 'HOST_NOT_ALLOWED'
  /** A mode that this gateway does not serve. */
  | 'MODE_UNKNOWN'
  /** A port that this gateway, or the token, does not allow. */
  | 'PORT_NOT_ALLOWED'
  /** One of the ports is held by another agent or another program, or there is no free one. */
  | 'PORT_TAKEN'
  /** The token does not allow the plain SSH of the public port. */
  | 'SSH_NOT_ALLOWED'
  /** Another agent holds the plain SSH of the public port. */
  | 'SSH_TAKEN'
  /** The message could not be read, or was not a register. */
  | 'BAD_REGISTER'
  /** The gateway is going down and takes no more agents. */
  | 'SHUTTING_DOWN'

/** The texts of a refusal. The first three are the Go program's, to the letter; the first is for all bad tokens. */
export const AckError = {
  authFailed: 'auth failed',
  noRoutes: 'no routes',
  hostTaken: (host: string) => `host already registered: ${host}`,
  hostInvalid: (host: string) => `invalid hostname: ${host}`,
  hostReserved: (host: string) => `hostname belongs to the gateway: ${host}`,
  hostNotAllowed: (host: string) => `host not allowed: ${host}`,
  modeUnknown: (host: string, mode: string) => `unknown mode for ${host}: ${mode}`,
  portNotAllowed: (port: number) => `port not allowed: ${port}`,
  portTaken: (port: number) => `port already taken: ${port}`,
  noFreePort: 'no free port in range',
  sshNotAllowed: (host: string) => `ssh not allowed: ${host}`,
  sshTaken: (host: string) => `ssh tunnel already registered: ${host}`,
  badRegister: 'bad register message',
  shuttingDown: 'gateway is shutting down',
} as const

/** Whether trying again can change nothing, so that the agent should end. */
export function isFinalRefusal({ ok, code, error }: Reason): boolean {
  if (ok) return false
  if (code !== undefined) return finalCodes.has(code)
  return error === AckError.authFailed || error === AckError.noRoutes
}

/** The reason for people: the gateway's own words, but of a token more than it tells a Go agent. */
export function explainRefusal({ code = '', error }: Reason): string {
  return tokenReasons.get(code) ?? (error || 'no reason given')
}

// Whatever is TAKEN, and SHUTTING_DOWN, pass with time, and so may a code that only a newer gateway knows.
const finalCodes: ReadonlySet<string> = new Set<AckCode>([
  'AUTH_FAILED',
  'TOKEN_EXPIRED',
  'TOKEN_REVOKED',
  'TOKEN_UNSCOPED',
  'NO_ROUTES',
  'HOST_INVALID',
  'HOST_RESERVED',
  'HOST_NOT_ALLOWED',
  'MODE_UNKNOWN',
  'PORT_NOT_ALLOWED',
  'SSH_NOT_ALLOWED',
  'BAD_REGISTER',
])

const tokenReasons: ReadonlyMap<string, string> = new Map<AckCode, string>([
  ['TOKEN_EXPIRED', 'the token has expired; get a new one, or set the clocks right'],
  ['TOKEN_REVOKED', 'the token has been revoked; get a new one from the owner of the gateway'],
  [
    'TOKEN_UNSCOPED',
    'the gateway takes only tokens that are limited to hosts; get one from its owner',
  ],
])

interface Reason {
  readonly ok?: boolean
  readonly code?: string | undefined
  readonly error?: string | undefined
}
