import { CodedError } from '../errors.ts'

export type CertificateErrorCode =
  /** The issuer was asked and no usable certificate came of it; its own error is the cause. */
  | 'CERT_ISSUE_FAILED'
  /** Issuing for this name failed a while ago; `retryAfterMs` says when it is tried again. */
  | 'CERT_BACKING_OFF'
  /** Too many names wait for a certificate already. */
  | 'CERT_BUSY'
  /** The certificate did not come while a handshake may wait; the issuing goes on behind it. */
  | 'CERT_PENDING'
  /** A key and chain that cannot be served: broken, not a pair, for another name. */
  | 'CERT_UNUSABLE'
  /** A good pair that is not valid now: over, or not valid yet. */
  | 'CERT_EXPIRED'
  /** A name that is not a canonical hostname, where a path would have been made of it. */
  | 'CERT_NAME_INVALID'
  /** A file or directory of certificates could not be read or written; the cause has the errno. */
  | 'CERT_FILE_FAILED'
  /** The name was given up while its certificate was about to be ordered; nothing was. */
  | 'CERT_NOT_WANTED'
  /** A certificate was asked for by command, and may not be made: the message says why. */
  | 'CERT_REFUSED'
  /** No socket for commands could be made in the directory; the gateway goes on without. */
  | 'CERT_SOCKET_FAILED'
  /** As many names of one registered domain got certificates as may in 7 days. */
  | 'CERT_OVER_BUDGET'
  /** The certificates were asked for after `close()`, or were being made when it was called. */
  | 'CERT_CLOSED'

/**
 * What kind of failure an issuing ended with, by which it is decided when to try again:
 *
 *     unreachable   the issuer could not be asked, or had a problem of its own: soon
 *     challenge     the name does not lead here: in minutes, as someone has to change something
 *     limited       the issuer has limits, and says until when
 *     rejected      the issuer does not issue for this name, by its policy, or what it issues is of no use: tomorrow
 *     account       the issuer does not take us, or our own budget is used up: configuration
 */
export type FailureKind = 'unreachable' | 'challenge' | 'limited' | 'rejected' | 'account'

export interface CertificateErrorOptions extends ErrorOptions {
  readonly kind?: FailureKind | undefined
  readonly retryAfterMs?: number | undefined
  readonly isForAll?: boolean | undefined
}

export class CertificateError extends CodedError<CertificateErrorCode> {
  /** Not to be tried again sooner than this from now: what the CA asked for, or our own back-off. */
  readonly retryAfterMs: number | undefined
  /** Of a failed issuing; undefined: nobody said. */
  readonly kind: FailureKind | undefined
  /** The next name would fail alike. */
  readonly isForAll: boolean

  constructor(code: CertificateErrorCode, message: string, options?: CertificateErrorOptions) {
    super(code, message, options)
    this.retryAfterMs = options?.retryAfterMs
    this.kind = options?.kind
    this.isForAll = options?.isForAll ?? false
  }
}
