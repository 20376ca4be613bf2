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
  /** The certificates were asked for after `close()`, or were being made when it was called. */
  | 'CERT_CLOSED'

export interface CertificateErrorOptions extends ErrorOptions {
  readonly retryAfterMs?: number | undefined
}

export class CertificateError extends CodedError<CertificateErrorCode> {
  /** Not to be tried again sooner than this from now: what the CA asked for, or our own back-off. */
  readonly retryAfterMs: number | undefined

  constructor(code: CertificateErrorCode, message: string, options?: CertificateErrorOptions) {
    super(code, message, options)
    this.retryAfterMs = options?.retryAfterMs
  }
}
