import { CodedError } from '../errors.ts'

/** The peer broke the protocol. Ends the session, with GoAway(protocol error). */
export type ProtocolErrorCode =
  /** A frame's version is not 0. */
  | 'MUX_BAD_VERSION'
  /** A frame's type is none of the four, or a GoAway has an unknown code. */
  | 'MUX_BAD_TYPE'
  /** A stream id of the wrong parity, 0, or one that was used before. */
  | 'MUX_BAD_STREAM_ID'
  /** A frame that this stream's state does not allow: data or a FIN after FIN. */
  | 'MUX_BAD_STATE'
  /** More payload than was granted. */
  | 'MUX_WINDOW_EXCEEDED'
  /** Credit that adds up to more than a u32. */
  | 'MUX_WINDOW_OVERFLOW'
  /** More pings, resets or empty frames than any honest peer sends. */
  | 'MUX_FLOOD'

/** The session ended, and all its streams with it. */
export type SessionErrorCode =
  /** We closed or destroyed the session. */
  | 'MUX_SESSION_CLOSED'
  /** The transport ended or failed; `cause` says how. */
  | 'MUX_TRANSPORT_CLOSED'
  /** The peer ended the session with an error code. */
  | 'MUX_REMOTE_ERROR'
  /** Nothing arrived within the time a ping's answer may take. */
  | 'MUX_PING_TIMEOUT'
  /** The transport took no bytes for too long. */
  | 'MUX_WRITE_TIMEOUT'
  /** The peer did not accept a stream for too long. */
  | 'MUX_OPEN_TIMEOUT'
  /** The peer lets us queue answers faster than it reads them. */
  | 'MUX_QUEUE_FULL'

/** One stream or one call failed; the session goes on. */
export type StreamErrorCode =
  /** The peer reset the stream. */
  | 'MUX_STREAM_RESET'
  /** The peer did not finish its half after we had finished ours. */
  | 'MUX_STREAM_TIMEOUT'
  /** The session held more unread bytes than it may; this stream held the most. */
  | 'MUX_UNREAD_LIMIT'
  /** The peer said that it takes no new streams. */
  | 'MUX_REMOTE_GO_AWAY'
  /** Too many streams wait for the peer to accept them. */
  | 'MUX_TOO_MANY_OPENS'

export type MuxErrorCode = ProtocolErrorCode | SessionErrorCode | StreamErrorCode

export class MuxError extends CodedError<MuxErrorCode> {}

const protocolErrors: ReadonlySet<MuxErrorCode> = new Set<ProtocolErrorCode>([
  'MUX_BAD_VERSION',
  'MUX_BAD_TYPE',
  'MUX_BAD_STREAM_ID',
  'MUX_BAD_STATE',
  'MUX_WINDOW_EXCEEDED',
  'MUX_WINDOW_OVERFLOW',
  'MUX_FLOOD',
])

/** Whether the peer is at fault: it is told so before the transport ends. */
export function isProtocolError(code: MuxErrorCode): boolean {
  return protocolErrors.has(code)
}
