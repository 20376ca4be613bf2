import { CodedError } from '../errors.ts'

export type NetErrorCode =
  /** Another program listens on the port. */
  | 'NET_PORT_TAKEN'
  /** The system does not let this user listen on the port. */
  | 'NET_PORT_FORBIDDEN'
  /** Listening failed for another reason; the system's error is the cause. */
  | 'NET_LISTEN_FAILED'
  /** A connection did not say in time what it is. */
  | 'NET_PEEK_TIMEOUT'
  /** A connection sent as much as a peek may hold, and it is still not clear what it is. */
  | 'NET_PEEK_TOO_LONG'
  /** A connection ended, or failed, before it was clear what it is. */
  | 'NET_PEEK_CLOSED'
  /** One side of a splice was gone before both halves had finished; the other is destroyed with this. */
  | 'NET_SPLICE_BROKEN'

export class NetError extends CodedError<NetErrorCode> {}
