import { CodedError } from '../errors.ts'

export type AuthErrorCode =
  /** The token is missing, malformed, of another algorithm, or not signed with our secret. */
  | 'AUTH_TOKEN_INVALID'
  /** The token was good until its `exp`. */
  | 'AUTH_TOKEN_EXPIRED'
  /** The token will be good from its `nbf` on; more than the tolerance ahead, so a clock may be wrong. */
  | 'AUTH_TOKEN_NOT_YET_VALID'
  /** A token would be longer than gateways read. */
  | 'AUTH_TOKEN_TOO_LONG'
  /** The file of REVOCATIONS_FILE cannot be read. */
  | 'AUTH_REVOCATIONS_UNREADABLE'
  /** There is no secret to sign or verify with: the caller's mistake. */
  | 'AUTH_NO_SECRET'

/** A caller could not be told who it is. The message never holds the token or the secret. */
export class AuthError extends CodedError<AuthErrorCode> {}

export function tokenInvalid(problem: string): AuthError {
  return new AuthError('AUTH_TOKEN_INVALID', `the token is refused: ${problem}`)
}
