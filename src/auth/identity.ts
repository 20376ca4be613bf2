import { tokenInvalid } from './errors.ts'
import { type Scope, scopeOf } from './scope.ts'

/** What a verified token says of its bearer. */
export interface Identity {
  /** Who made the token (`iss`): agents with the shared secret name themselves here. */
  readonly issuer?: string
  /** Whom it was made for (`sub`): the name of an agent. */
  readonly subject?: string
  /** Its own name (`jti`), for revocation. */
  readonly tokenId?: string
  /** Unix time in seconds (`iat`). */
  readonly issuedAtSec?: number
  /** Unix time in seconds (`exp`); without it the token is good for ever, as in the Go program. */
  readonly expiresAtSec?: number
  /** Without one its bearer may ask for anything: who has the shared secret can make any token. */
  readonly scope?: Scope
}

/** How far a signer's clock may be ahead of ours. A guess: NTP keeps them within one second. */
export const clockToleranceSec = 30

/** Without tolerance, as sessions end in that second too: whoever comes back is not let in again. */
export function isExpired(identity: Identity, nowSec: number): boolean {
  const { expiresAtSec } = identity
  return expiresAtSec !== undefined && nowSec >= expiresAtSec
}

/**
 * Who that is, to tell it from others over the tokens it has one after the other: the name its tokens are made
 * for, else this very token; and all who have the shared secret are one, as each can be any of them.
 */
export function bearerOf({ subject, tokenId }: Identity): string {
  if (subject !== undefined) return `name:${subject}`
  return tokenId === undefined ? 'secret' : `token:${tokenId}`
}

/** What the payload of a token says, whether or not anybody has verified it. @throws AuthError AUTH_TOKEN_INVALID */
export function identityOf(payload: unknown): Identity {
  if (!isObject(payload)) throw tokenInvalid('its payload is not a JSON object')
  // We go by no name that it could list, and must then refuse (RFC 7519 §4.1.3).
  if (payload.aud !== undefined) throw tokenInvalid('it is made for another audience')
  const identity: { readonly [Name in keyof Identity]-?: unknown } = {
    issuer: optionalText(payload, 'iss'),
    subject: optionalText(payload, 'sub'),
    tokenId: optionalText(payload, 'jti'),
    issuedAtSec: optionalTime(payload, 'iat'),
    expiresAtSec: optionalTime(payload, 'exp'),
    scope: scopeOf(payload),
  }
  const known = Object.entries(identity).filter(([, value]) => value !== undefined)
  return Object.fromEntries(known) as Identity
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function optionalText(payload: Readonly<Record<string, unknown>>, name: string) {
  const value = payload[name]
  if (value === undefined || typeof value === 'string') return value
  throw tokenInvalid(`its ${name} is not text`)
}

/** Finite: JSON's 1e999 is Infinity, and would be an `exp` that never comes. */
function optionalTime(payload: Readonly<Record<string, unknown>>, name: string) {
  const value = payload[name]
  if (value === undefined || (typeof value === 'number' && Number.isFinite(value))) return value
  throw tokenInvalid(`its ${name} is not a time in seconds`)
}
