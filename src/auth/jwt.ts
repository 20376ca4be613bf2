import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import jsonwebtoken, { type VerifyOptions } from 'jsonwebtoken'
import { checkHeader, tokenLimitBytes } from './compact-form.ts'
import { AuthError, tokenInvalid } from './errors.ts'
import { clockToleranceSec, type Identity, identityOf, isExpired } from './identity.ts'
import { claimsOf, type Scope } from './scope.ts'

// RFC 7519 tokens, HS256 and nothing else. The library checks signature and times; what it would let
// through is refused here and in compact-form.ts, before and after.

/** A token as Go agents make it: `iss`, `iat`, `exp`. */
export function signToken(options: {
  secret: string
  issuer: string
  expireSec: number
  nowSec?: number
}): string {
  const issuedAtSec = Math.floor(options.nowSec ?? Date.now() / 1000)
  const payload = { iss: options.issuer, iat: issuedAtSec, exp: issuedAtSec + options.expireSec }
  return sign(payload, options.secret)
}

/**
 * A token for one agent, limited to a scope, with an id of its own.
 * @throws AuthError AUTH_TOKEN_TOO_LONG, when there is too much in the scope.
 */
export function mintToken(options: {
  secret: string
  name: string
  scope: Scope
  /** Absent: it is good for ever. */
  expireSec?: number | undefined
  nowSec?: number
}): string {
  const { secret, name, scope, expireSec } = options
  const issuedAtSec = Math.floor(options.nowSec ?? Date.now() / 1000)
  const token = sign(
    {
      sub: name,
      jti: randomBytes(8).toString('hex'),
      iat: issuedAtSec,
      ...(expireSec !== undefined && { exp: issuedAtSec + expireSec }),
      ...claimsOf(scope),
    },
    secret,
  )
  if (token.length <= tokenLimitBytes) return token
  throw new AuthError(
    'AUTH_TOKEN_TOO_LONG',
    `the token would have ${token.length} bytes, and gateways read ${tokenLimitBytes}: use a wildcard, or make two`,
  )
}

/**
 * Who the bearer of the token is. Any of the secrets may have signed it, so that a secret can be
 * changed while agents still use the old one.
 * @throws AuthError AUTH_TOKEN_INVALID, AUTH_TOKEN_EXPIRED, AUTH_TOKEN_NOT_YET_VALID; AUTH_NO_SECRET
 *   without secrets.
 */
export function verifyToken(
  token: string,
  secrets: readonly string[],
  nowSec: number = Date.now() / 1000,
): Identity {
  const keys = secrets.map(signingKey)
  if (keys.length === 0) throw noSecret()
  checkHeader(token)
  const times = { clockTimestamp: nowSec, clockTolerance: clockToleranceSec }
  try {
    for (const key of keys) {
      const payload = signedPayload(token, key, times)
      if (payload !== undefined) return unexpired(identityOf(payload), nowSec)
    }
  } catch (error) {
    throw explained(error, nowSec)
  }
  throw tokenInvalid(
    'its signature is not made with our secret; use the same JWT_SECRET on both sides',
  )
}

/** Which of the secrets has signed the token, counted from 0; -1: none. Its times are not looked at. */
export function signerOf(token: string, secrets: readonly string[]): number {
  const times = { ignoreExpiration: true, ignoreNotBefore: true }
  return secrets.map(signingKey).findIndex((key) => signedPayload(token, key, times) !== undefined)
}

/** As a KeyObject, because the library would first try to read a string as a public key. */
function signingKey(secret: string) {
  if (secret === '') throw noSecret()
  return createSecretKey(secret, 'utf8')
}

function sign(payload: object, secret: string): string {
  return jsonwebtoken.sign(payload, signingKey(secret), { algorithm: 'HS256' })
}

/** `undefined` where the signature is not made with this key. @throws what the library does, about times */
function signedPayload(token: string, key: KeyObject, times: VerifyOptions): unknown {
  try {
    return jsonwebtoken.verify(token, key, { ...times, algorithms: ['HS256'] })
  } catch (error) {
    if (isWrongSignature(error)) return undefined
    throw error
  }
}

function unexpired(identity: Identity, nowSec: number): Identity {
  if (isExpired(identity, nowSec)) throw tokenExpired(identity.expiresAtSec ?? 0, nowSec)
  return identity
}

function isWrongSignature(error: unknown): boolean {
  return error instanceof jsonwebtoken.JsonWebTokenError && error.message === 'invalid signature'
}

/**
 * The library's failure in our words. The original is dropped and not kept as a cause, because
 * its message may quote the token.
 */
function explained(error: unknown, nowSec: number): AuthError {
  if (error instanceof AuthError) return error
  if (error instanceof jsonwebtoken.TokenExpiredError) {
    return tokenExpired(error.expiredAt.getTime() / 1000, nowSec)
  }
  if (error instanceof jsonwebtoken.NotBeforeError) {
    const aheadSec = error.date.getTime() / 1000 - nowSec
    return new AuthError(
      'AUTH_TOKEN_NOT_YET_VALID',
      `the token is good only in ${seconds(aheadSec)}; wait, or set the clocks right`,
    )
  }
  return tokenInvalid('its payload is not JSON with times in seconds')
}

function tokenExpired(expiresAtSec: number, nowSec: number): AuthError {
  return new AuthError(
    'AUTH_TOKEN_EXPIRED',
    `the token expired ${seconds(nowSec - expiresAtSec)} ago; get a new one, or set the clocks right`,
  )
}

/** A time that a Date cannot hold has become NaN. */
function seconds(value: number): string {
  return Number.isNaN(value) ? 'more seconds than a clock has' : `${Math.round(value)} s`
}

function noSecret(): AuthError {
  return new AuthError(
    'AUTH_NO_SECRET',
    'there is no secret to sign or verify tokens with; set JWT_SECRET',
  )
}
