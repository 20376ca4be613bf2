import { CodedError } from '../errors.ts'

export type ServerErrorCode =
  /** A listener could not be bound; the message names the setting to change. */
  | 'SERVER_LISTEN_FAILED'
  /** The gateway was started twice, or after its end. */
  | 'SERVER_NOT_STARTABLE'
  /** The gateway goes down; sessions that were still there end with it. */
  | 'SERVER_CLOSING'
  /** As many agents as may be are connected, or on their way in. */
  | 'SERVER_AGENT_LIMIT'
  /** A connection on the agents' side did not register in time. */
  | 'SERVER_REGISTER_TIMEOUT'
  /** A registration was answered with a refusal; the message says which. */
  | 'SERVER_REGISTER_REFUSED'
  /** An agent ended its control stream, and with it the session. */
  | 'SERVER_CONTROL_ENDED'
  /** An agent did not answer the heartbeat in time. */
  | 'SERVER_HEARTBEAT_LOST'
  /** An agent's token expired while its session lived. */
  | 'SERVER_TOKEN_EXPIRED'
  /** A connection from a trusted proxy does not begin with a PROXY header, or with a broken one. */
  | 'SERVER_PROXY_HEADER'
  /** Another session of the same agent took over. */
  | 'SERVER_REPLACED'
  /** An agent's token was revoked while its session lived. */
  | 'SERVER_TOKEN_REVOKED'
  /** The owner ended the session, at the dashboard. */
  | 'SERVER_DISCONNECTED'

export class ServerError extends CodedError<ServerErrorCode> {}

/** Why a session ended: our own reason, where we had one, in place of the multiplexer's wrapping. */
export function reasonOf(error: Error): Error
export function reasonOf(error: Error | undefined): Error | undefined
export function reasonOf(error: Error | undefined): Error | undefined {
  return error?.cause instanceof ServerError ? error.cause : error
}
