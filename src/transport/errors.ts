import { CodedError } from '../errors.ts'

export type TransportErrorCode =
  /** No connection, or one that ended during the handshake. The cause is the system's error. */
  | 'TRANSPORT_DIAL_FAILED'
  /** A name look-up, a connection or a handshake took too long, on either side. */
  | 'TRANSPORT_TIMEOUT'
  /** The proxy could not be reached, is none, or does not make the connection. */
  | 'TRANSPORT_PROXY_FAILED'
  /** The peer's certificate was not accepted. */
  | 'TRANSPORT_CERTIFICATE'
  /** Somebody connected here and failed to complete a TLS handshake. */
  | 'TRANSPORT_HANDSHAKE_FAILED'
  /** Somebody asked for a name for which there is no certificate. */
  | 'TRANSPORT_NAME_UNKNOWN'
  /** The certificate for a name could not be had; the cause says why. */
  | 'TRANSPORT_NO_CERTIFICATE'

export class TransportError extends CodedError<TransportErrorCode> {}
