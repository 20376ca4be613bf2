/** What can be told of a token without a secret, and without the library. */
import { tokenInvalid } from './errors.ts'
import { type Identity, identityOf, isObject } from './identity.ts'

/** Ours have 150 bytes, and a list of hostnames fits as well; longer ones are not parsed. */
export const tokenLimitBytes = 4096

/** JWS compact serialization (RFC 7515 §7.1): no padding, no white space, no empty part. */
const compactForm = /^[\w-]+\.[\w-]+\.[\w-]+$/

/** What a token says by itself, without that anybody has to believe it. @throws AuthError AUTH_TOKEN_INVALID */
export function readToken(token: string): Identity {
  checkHeader(token)
  const [, payload = ''] = token.split('.')
  return identityOf(parseObject(payload))
}

/**
 * That the token is one as ours are: the library lets other spellings of base64url through, and `crit`.
 * @throws AuthError AUTH_TOKEN_INVALID
 */
export function checkHeader(token: string): void {
  if (token === '') throw tokenInvalid('there is none')
  if (token.length > tokenLimitBytes) {
    throw tokenInvalid(`it is longer than ${tokenLimitBytes} bytes`)
  }
  if (!compactForm.test(token)) throw tokenInvalid('it is not three parts of base64url')
  const header = parseObject(token.slice(0, token.indexOf('.')))
  if (header === undefined) throw tokenInvalid('its header is not a JSON object')
  if (header.alg !== 'HS256') throw tokenInvalid('its algorithm is not HS256')
  // We understand no extension, and must then refuse (RFC 7515 §4.1.11; b64 is RFC 7797 §3's).
  if ('crit' in header || 'b64' in header) throw tokenInvalid('its header asks for an extension')
}

function parseObject(base64url: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(base64url, 'base64url').toString())
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
