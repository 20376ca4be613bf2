/** What a worker is asked for, and what it says; all of it fit for `postMessage`. */
import type { AcmeErrorCode } from './errors.ts'
import type { AccountKey } from './jws.ts'

export type Task = CheckTask | RegisterTask | OrderTask

/** Is the engine the one we know? */
export interface CheckTask {
  readonly kind: 'check'
}

/** Where and how to reach the CA. */
export interface CaOptions {
  readonly directoryUrl: string
  /** PEM, in place of the CAs that Node knows. */
  readonly ca?: string | undefined
  readonly userAgent: string
  /** For each request to it. */
  readonly timeoutMs?: number | undefined
}

/** Of more: only what a worker can be given. */
export function caOf({ directoryUrl, ca, userAgent, timeoutMs }: CaOptions): CaOptions {
  return { directoryUrl, ca, userAgent, timeoutMs }
}

/** Gives the account's URL. */
export interface RegisterTask extends CaOptions {
  readonly kind: 'register'
  readonly key: AccountKey
  readonly email?: string | undefined
  readonly externalAccount?: { readonly kid: string; readonly hmac: string } | undefined
}

/** Gives the chain. */
export interface OrderTask extends CaOptions {
  readonly kind: 'order'
  readonly key: AccountKey
  readonly kid: string
  readonly hostname: string
  /** Base64url. */
  readonly csr: string
  readonly challengeType: ChallengeType
  readonly profile?: string | undefined
  readonly replaces?: string | undefined
}

export type ChallengeType = 'http-01' | 'tls-alpn-01'

export type FromWorker =
  /** Answered with any message when the CA may look. */
  | { readonly kind: 'challenge'; readonly token: string; readonly keyAuthorization: string }
  | { readonly kind: 'done'; readonly result: string }
  | { readonly kind: 'failed'; readonly error: PlainError }

export interface PlainError {
  readonly code: AcmeErrorCode
  readonly message: string
  readonly type: string | undefined
  readonly retryAfterMs: number | undefined
  readonly isOfAccount: boolean
}
