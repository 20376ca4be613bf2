/** Signed JSON as ACME wants it (RFC 8555 §6.2, RFC 7515), with a P-256 key. */
import { createHmac, createPrivateKey, type JsonWebKey, sign } from 'node:crypto'

/** A P-256 private key: what account.json has. */
export interface AccountKey extends JsonWebKey {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly x: string
  readonly y: string
  readonly d: string
}

export interface ProtectedHeader {
  readonly nonce: string
  readonly url: string
  /** The account's URL; without it the key itself is sent, as newAccount has it. */
  readonly kid?: string | undefined
}

/** The flattened JSON serialization. `payload` is the text as it goes; empty for POST-as-GET. */
export function signed(
  key: AccountKey,
  { kid, ...header }: ProtectedHeader,
  payload: string,
): string {
  const who = kid === undefined ? { jwk: publicKey(key) } : { kid }
  const body = {
    protected: base64url(JSON.stringify({ alg: 'ES256', ...who, ...header })),
    payload: base64url(payload),
  }
  const signature = sign('sha256', Buffer.from(`${body.protected}.${body.payload}`), {
    key: createPrivateKey({ key, format: 'jwk' }),
    dsaEncoding: 'ieee-p1363',
  })
  return JSON.stringify({ ...body, signature: signature.toString('base64url') })
}

/** What ties a new account to one that the CA knows already (RFC 8555 §7.3.4). */
export function externalBinding(
  key: AccountKey,
  url: string,
  { kid, hmac }: { kid: string; hmac: string },
) {
  const body = {
    protected: base64url(JSON.stringify({ alg: 'HS256', kid, url })),
    payload: base64url(JSON.stringify(publicKey(key))),
  }
  const signature = createHmac('sha256', Buffer.from(hmac, 'base64url'))
    .update(`${body.protected}.${body.payload}`)
    .digest('base64url')
  return { ...body, signature }
}

function publicKey({ kty, crv, x, y }: AccountKey) {
  return { kty, crv, x, y }
}

function base64url(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64url')
}
