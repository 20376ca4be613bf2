/**
 * The two things that ACME has us make ourselves, with node:crypto alone: @root/csr of the engine fails
 * for 1 of 256 P-256 keys.
 */
import { createHash, generateKeyPair, type KeyObject, randomBytes, sign } from 'node:crypto'
import { promisify } from 'node:util'
import type { KeyAndChain } from '../issuer.ts'
import * as der from './der.ts'

export interface KeyPair {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

export function newKeyPair(): Promise<KeyPair> {
  return promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
}

/** A PKCS #10 request for one hostname (RFC 2986), DER; its subject is empty without a common name. */
export function certificateRequest(
  hostname: string,
  { privateKey, publicKey }: KeyPair,
  commonName: string | undefined,
): Buffer {
  // extensionRequest, RFC 2985 §5.4.2
  const attribute = der.sequence(
    der.oid('2a864886f70d01090e'),
    der.tlv(der.Tag.Set, der.sequence(der.subjectAltName(hostname))),
  )
  const info = der.sequence(
    der.integer(Buffer.from([0])),
    der.name(commonName),
    publicKey.export({ type: 'spki', format: 'der' }),
    der.context(0, attribute),
  )
  return signed(info, privateKey)
}

/** What tls-alpn-01 shows (RFC 8737 §3): self-signed, with the digest of the key authorization in it. */
export async function challengeCertificate(
  hostname: string,
  keyAuthorization: string,
): Promise<KeyAndChain> {
  const { privateKey, publicKey } = await newKeyPair()
  const digest = createHash('sha256').update(keyAuthorization).digest()
  const subject = der.name('ACME challenge')
  const nowMs = Date.now()
  const info = der.sequence(
    der.context(0, der.integer(Buffer.from([2]))), // v3
    der.integer(serialNumber()),
    der.ECDSA_SHA256,
    subject,
    der.sequence(der.time(nowMs - HOUR_MS), der.time(nowMs + 24 * HOUR_MS)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der.context(
      3,
      der.sequence(
        der.subjectAltName(hostname),
        der.extension(ACME_IDENTIFIER, true, der.octets(digest)),
      ),
    ),
  )
  const lines =
    signed(info, privateKey)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  const marked = ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', '']
  return { key: pkcs8(privateKey), chain: marked.join('\n') }
}

/** Positive, and without a zero in front: DER has one form for a number. */
function serialNumber(): Buffer {
  return Buffer.concat([Buffer.from([0x40]), randomBytes(15)])
}

export function pkcs8(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}

function signed(info: Buffer, key: KeyObject): Buffer {
  return der.sequence(info, der.ECDSA_SHA256, der.bits(sign('sha256', info, key)))
}

/** id-pe-acmeIdentifier, 1.3.6.1.5.5.7.1.31 */
const ACME_IDENTIFIER = '2b0601050507011f'
const HOUR_MS = 60 * 60 * 1000
