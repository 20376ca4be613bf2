import { CodedError } from '../errors.ts'

export type ProtocolErrorCode =
  /** A line of the control stream is no message: not JSON, too deep, or a field of the wrong type or size. */
  | 'PROTOCOL_BAD_MESSAGE'
  /** A line of the control stream is longer than a reader will hold. */
  | 'PROTOCOL_LINE_TOO_LONG'
  /** The head of a data stream is no preamble, or names no host. */
  | 'PROTOCOL_BAD_PREAMBLE'

/** The peer sent what the protocol does not allow, or we were asked to. It ends the stream it came on. */
export class ProtocolError extends CodedError<ProtocolErrorCode> {}
