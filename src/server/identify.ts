import { AuthError } from '../auth/errors.ts'
import type { Identity } from '../auth/identity.ts'
import { verifyToken } from '../auth/jwt.ts'
import type { Revocations } from '../auth/revocations.ts'
import { AckError } from '../protocol/messages.ts'
import { Refusal } from './offer.ts'

/** Whose tokens are taken. */
export interface TokenPolicy {
  /** Whoever signs with one of these may register. */
  readonly jwtSecrets: readonly string[]
  /** Only those that are limited to hosts. */
  readonly requireScopedTokens?: boolean | undefined
  readonly revocations?: Pick<Revocations, 'isRevoked'> | undefined
}

/**
 * Who an agent is, by its token. All refusals have the one text that a Go agent knows; whoever had a token
 * of ours learns by the code what became of it.
 * @throws Refusal AUTH_FAILED, TOKEN_EXPIRED, TOKEN_REVOKED, TOKEN_UNSCOPED
 */
export function identify(token: string, policy: TokenPolicy): Identity {
  const identity = verified(token, policy.jwtSecrets)
  checkRevoked(identity, policy)
  if (policy.requireScopedTokens && identity.scope === undefined) {
    throw refusal('TOKEN_UNSCOPED', 'the token is not limited to hosts (REQUIRE_SCOPED_TOKENS)')
  }
  return identity
}

/** @throws Refusal TOKEN_REVOKED */
export function checkRevoked(identity: Identity, { revocations }: TokenPolicy): void {
  if (!revocations?.isRevoked(identity)) return
  throw refusal('TOKEN_REVOKED', 'the token is revoked (REVOCATIONS_FILE)')
}

/** Whether a refusal is of one who had no good token. */
export function isFailedAttempt(error: unknown): boolean {
  return error instanceof Refusal && tokenCodes.has(error.code)
}

const tokenCodes: ReadonlySet<string> = new Set([
  'AUTH_FAILED',
  'TOKEN_EXPIRED',
  'TOKEN_REVOKED',
  'TOKEN_UNSCOPED',
])

function verified(token: string, secrets: readonly string[]): Identity {
  try {
    return verifyToken(token, secrets)
  } catch (cause) {
    const isExpired = cause instanceof AuthError && cause.code === 'AUTH_TOKEN_EXPIRED'
    throw new Refusal(isExpired ? 'TOKEN_EXPIRED' : 'AUTH_FAILED', AckError.authFailed, { cause })
  }
}

/** The cause is for our log alone. */
function refusal(code: 'TOKEN_REVOKED' | 'TOKEN_UNSCOPED', detail: string): Refusal {
  return new Refusal(code, AckError.authFailed, { cause: new Error(detail) })
}
