/**
 * The two things that ACME has us make ourselves; @root/csr of the engine fails for 1 in 256 P-256 keys.
 * The library takes long to load: this file is for the start of the gateway, and not for the worker.
 */
import { createHash } from 'node:crypto'
import type { KeyAndChain } from '../issuer.ts'
import { type CryptoKeyPair, ECDSA_SHA256, newKeys, toPem } from '../keys.ts'
import {
  Extension,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '../x509-library.ts'

/** A PKCS #10 request for one hostname (RFC 2986), DER. */
export async function certificateRequest(hostname: string, keys: CryptoKeyPair): Promise<Buffer> {
  const request = await Pkcs10CertificateRequestGenerator.create({
    // RFC 5280, "Upper Bounds"
    name: hostname.length <= 64 ? [{ CN: [hostname] }] : [],
    ...{ keys, signingAlgorithm: ECDSA_SHA256, extensions: [nameOf(hostname)] },
  })
  return Buffer.from(request.rawData)
}

/** What tls-alpn-01 shows (RFC 8737 §3): self-signed, with the digest of the key authorization in it. */
export async function challengeCertificate(
  hostname: string,
  keyAuthorization: string,
): Promise<KeyAndChain> {
  const keys = await newKeys()
  const digest = createHash('sha256').update(keyAuthorization).digest()
  const nowMs = Date.now()
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: ['ACME challenge'] }],
    notBefore: new Date(nowMs - HOUR_MS),
    notAfter: new Date(nowMs + 24 * HOUR_MS),
    ...{ keys, signingAlgorithm: ECDSA_SHA256 },
    extensions: [
      nameOf(hostname),
      new Extension(ACME_IDENTIFIER, true, Buffer.concat([OCTET_STRING_OF_32, digest])),
    ],
  })
  return { key: toPem(keys.privateKey), chain: `${certificate.toString('pem')}\n` }
}

function nameOf(hostname: string): SubjectAlternativeNameExtension {
  return new SubjectAlternativeNameExtension([{ type: 'dns', value: hostname }])
}

/** id-pe-acmeIdentifier */
const ACME_IDENTIFIER = '1.3.6.1.5.5.7.1.31'
/** How one of 32 bytes begins in DER. */
const OCTET_STRING_OF_32 = Buffer.from([0x04, 32])
const HOUR_MS = 60 * 60 * 1000
