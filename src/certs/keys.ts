/** Keys of certificates: ECDSA with P-256, which every client of today takes, and signs fastest. */
import { KeyObject } from 'node:crypto'

type CryptoKey = import('node:crypto').webcrypto.CryptoKey
export type CryptoKeyPair = import('node:crypto').webcrypto.CryptoKeyPair

export const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const
export const ECDSA_SHA256 = { name: 'ECDSA', hash: 'SHA-256' } as const

export function newKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(P256, true, ['sign', 'verify'])
}

/** PKCS #8, PEM. */
export function toPem(privateKey: CryptoKey): string {
  return KeyObject.from(privateKey).export({ type: 'pkcs8', format: 'pem' }).toString()
}
