import { CodedError } from '../../errors.ts'

export type AcmeErrorCode =
  /** The CA could not be reached, did not answer in time, or had an error of its own (5xx). */
  | 'ACME_UNREACHABLE'
  /** The CA looked, and did not find that the name leads here. */
  | 'ACME_CHALLENGE_FAILED'
  /** The CA's limits are reached (429); `retryAfterMs` has what it said about that. */
  | 'ACME_RATE_LIMITED'
  /** The CA does not issue for this name: its policy, or a CAA record. */
  | 'ACME_NAME_REFUSED'
  /** The CA refuses the account, or what was configured for it: e-mail, external account, profile. */
  | 'ACME_ACCOUNT_REFUSED'
  /** Something was to be sent to a host that the CA's directory does not name. It was not sent. */
  | 'ACME_HOST_REFUSED'
  /** The CA's answer makes no sense to us. */
  | 'ACME_BAD_ANSWER'
  /** The engine (greenlock) failed by itself: it threw, exited, hung, or is not the one we know. */
  | 'ACME_ENGINE_FAILED'

export interface AcmeErrorOptions extends ErrorOptions {
  /** RFC 8555 §6.7: what the CA said, without its `urn:ietf:params:acme:error:`. */
  readonly type?: string | undefined
  readonly retryAfterMs?: number | undefined
  /** It is about the account, so the next name would fare no better. */
  readonly isOfAccount?: boolean
}

export class AcmeError extends CodedError<AcmeErrorCode> {
  readonly type: string | undefined
  readonly retryAfterMs: number | undefined
  readonly isOfAccount: boolean

  constructor(code: AcmeErrorCode, message: string, options: AcmeErrorOptions = {}) {
    super(code, message, options)
    this.type = options.type
    this.retryAfterMs = options.retryAfterMs
    this.isOfAccount = options.isOfAccount ?? code === 'ACME_ACCOUNT_REFUSED'
  }
}
