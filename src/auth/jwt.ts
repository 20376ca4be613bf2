import { createSecretKey } from 'node:crypto'
import jsonwebtoken from 'jsonwebtoken'
import { AuthError } from './errors.ts'
import { clockToleranceSec, type Identity } from './identity.ts'

// RFC 7519 tokens in the compact form of RFC 7515, HS256 and nothing else. The library checks
// signature and times; what it would let through is refused here, before and after: other spellings of
// base64url, `crit`, payloads that are no object, texts that are none.

/** Ours have 150 bytes, and a list of hostnames fits as well; longer ones are not parsed. */
const tokenLimitBytes = 4096

/** JWS compact serialization (RFC 7515 §7.1): no padding, no white space, no empty part. */
const compactForm = /^[\w-]+\.[\w-]+\.[\w-]+$/

/** A token as Go agents make it: `iss`, `iat`, `exp`. */
export function signToken(options: {
  secret: string
  issuer: string
  expireSec: number
  nowSec?: number
}): string {
  const issuedAtSec = Math.floor(options.nowSec ?? Date.now() / 1000)
  const payload = { iss: options.issuer, iat: issuedAtSec, exp: issuedAtSec + options.expireSec }
  return jsonwebtoken.sign(payload, signingKey(options.secret), { algorithm: 'HS256' })
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
  for (const key of keys) {
    try {
      const payload = jsonwebtoken.verify(token, key, {
        algorithms: ['HS256'],
        clockTimestamp: nowSec,
        clockTolerance: clockToleranceSec,
      })
      return identityOf(payload)
    } catch (error) {
      if (isWrongSignature(error)) continue
      throw explained(error, nowSec)
    }
  }
  throw invalid('its signature is not made with our secret; use the same JWT_SECRET on both sides')
}

/** As a KeyObject, because the library would first try to read a string as a public key. */
function signingKey(secret: string) {
  if (secret === '') throw noSecret()
  return createSecretKey(secret, 'utf8')
}

function checkHeader(token: string): void {
  if (token === '') throw invalid('there is none')
  if (token.length > tokenLimitBytes) throw invalid(`it is longer than ${tokenLimitBytes} bytes`)
  if (!compactForm.test(token)) throw invalid('it is not three parts of base64url')
  const header = parseObject(token.slice(0, token.indexOf('.')))
  if (header === undefined) throw invalid('its header is not a JSON object')
  if (header.alg !== 'HS256') throw invalid('its algorithm is not HS256')
  // We understand no extension, and must then refuse (RFC 7515 §4.1.11; b64 is RFC 7797 §3's).
  if ('crit' in header || 'b64' in header) throw invalid('its header asks for an extension')
}

function parseObject(base64url: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(base64url, 'base64url').toString())
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function identityOf(payload: unknown): Identity {
  if (!isObject(payload)) throw invalid('its payload is not a JSON object')
  // We go by no name that it could list, and must then refuse (RFC 7519 §4.1.3).
  if (payload.aud !== undefined) throw invalid('it is made for another audience')
  const issuer = optionalText(payload, 'iss')
  const subject = optionalText(payload, 'sub')
  const tokenId = optionalText(payload, 'jti')
  const expiresAtSec = optionalTime(payload, 'exp')
  optionalTime(payload, 'iat')
  return {
    ...(issuer !== undefined && { issuer }),
    ...(subject !== undefined && { subject }),
    ...(tokenId !== undefined && { tokenId }),
    ...(expiresAtSec !== undefined && { expiresAtSec }),
  }
}

function optionalText(payload: Readonly<Record<string, unknown>>, name: string) {
  const value = payload[name]
  if (value === undefined || typeof value === 'string') return value
  throw invalid(`its ${name} is not text`)
}

/** Finite: JSON's 1e999 is Infinity, and would be an `exp` that never comes. */
function optionalTime(payload: Readonly<Record<string, unknown>>, name: string) {
  const value = payload[name]
  if (value === undefined || (typeof value === 'number' && Number.isFinite(value))) return value
  throw invalid(`its ${name} is not a time in seconds`)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
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
    const agoSec = nowSec - error.expiredAt.getTime() / 1000
    return new AuthError(
      'AUTH_TOKEN_EXPIRED',
      `the token expired ${seconds(agoSec)} ago; get a new one, or set the clocks right`,
    )
  }
  if (error instanceof jsonwebtoken.NotBeforeError) {
    const aheadSec = error.date.getTime() / 1000 - nowSec
    return new AuthError(
      'AUTH_TOKEN_NOT_YET_VALID',
      `the token is good only in ${seconds(aheadSec)}; wait, or set the clocks right`,
    )
  }
  return invalid('its payload is not JSON with times in seconds')
}

/** A time that a Date cannot hold has become NaN. */
function seconds(value: number): string {
  return Number.isNaN(value) ? 'more seconds than a clock has' : `${Math.round(value)} s`
}

function invalid(problem: string): AuthError {
  return new AuthError('AUTH_TOKEN_INVALID', `the token is refused: ${problem}`)
}

function noSecret(): AuthError {
  return new AuthError(
    'AUTH_NO_SECRET',
    'there is no secret to sign or verify tokens with; set JWT_SECRET',
  )
}
