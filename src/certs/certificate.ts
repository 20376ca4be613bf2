import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { canonicalHostname, matchesHostname } from '../net/hostname.ts'
import { CertificateError } from './errors.ts'
import type { KeyAndChain } from './issuer.ts'

/** A key and chain that were read, belong together, and are accepted by our TLS library. */
export interface Certificate extends KeyAndChain {
  /** The DNS names of its subjectAltName, canonical; may hold wildcards (`*.example.com`). */
  readonly names: readonly string[]
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** @throws CertificateError CERT_UNUSABLE, saying which part is wrong. */
export function readCertificate({ key, chain }: KeyAndChain): Certificate {
  const leaf = attempt('the certificate cannot be read', () => new X509Certificate(chain))
  const privateKey = attempt('the private key cannot be read (is it encrypted?)', () =>
    createPrivateKey(key),
  )
  if (!leaf.checkPrivateKey(privateKey)) {
    throw unusable('the private key does not belong to the first certificate of the chain')
  }
  attempt('the TLS library refuses the pair', () => createSecureContext({ key, cert: chain }))
  const names = dnsNames(leaf)
  if (names.length === 0) throw unusable('the certificate has no DNS name in its subjectAltName')
  return {
    key,
    chain,
    names,
    notBeforeMs: Date.parse(leaf.validFrom),
    notAfterMs: Date.parse(leaf.validTo),
  }
}

/** The same, for one hostname. @throws CertificateError CERT_UNUSABLE. */
export function readCertificateOf(hostname: string, pair: KeyAndChain): Certificate {
  const certificate = readCertificate(pair)
  if (!certificate.names.some((pattern) => matchesHostname(pattern, hostname))) {
    throw unusable(`the certificate is for ${certificate.names.join(', ')}, not for ${hostname}`)
  }
  return certificate
}

/** The same, for now. @throws CertificateError CERT_UNUSABLE, CERT_EXPIRED. */
export function readCertificateFor(
  hostname: string,
  pair: KeyAndChain,
  nowMs: number,
): Certificate {
  const certificate = readCertificateOf(hostname, pair)
  if (!isValidAt(certificate, nowMs)) {
    const { notBeforeMs, notAfterMs } = certificate
    const [from, to] = [notBeforeMs, notAfterMs].map((ms) => new Date(ms).toISOString())
    throw new CertificateError('CERT_EXPIRED', `the certificate is valid from ${from} to ${to}`)
  }
  return certificate
}

/** The first private key and all certificates of a PEM text, or `undefined` where one is missing or cut off. */
export function splitPem(text: string): KeyAndChain | undefined {
  const key = text.match(/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+?-----END [A-Z ]*-----/)?.[0]
  const chain = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g)
  const begun = text.match(/-----BEGIN CERTIFICATE-----/g)
  return key === undefined || chain === null || chain.length !== begun?.length
    ? undefined
    : { key: `${key}\n`, chain: `${chain.join('\n')}\n` }
}

export function isValidAt(certificate: Certificate, nowMs: number): boolean {
  return certificate.notBeforeMs <= nowMs && nowMs < certificate.notAfterMs
}

/**
 * When to replace it: with a third of its lifetime left, or half where that is under ten days
 * (what Let's Encrypt recommends). Up to a twentieth later, by the hostname's jitter, so that names which
 * came together do not all come back together. Nothing here assumes 90 days.
 */
export function renewAtMs(certificate: Certificate, jitter: number): number {
  const lifetimeMs = certificate.notAfterMs - certificate.notBeforeMs
  const left = lifetimeMs < TEN_DAYS_MS ? lifetimeMs / 2 : lifetimeMs / 3
  return certificate.notAfterMs - left + (jitter * lifetimeMs) / 20
}

/** From 0 to 1, always the same for a hostname. */
export function jitterOf(hostname: string): number {
  return createHash('sha256').update(hostname).digest().readUInt32BE(0) / 2 ** 32
}

const TEN_DAYS_MS = 10 * 24 * 60 * 60 * 1000

/** Those of its subjectAltName, canonical; `*.example.com` among them. */
export function dnsNames(leaf: X509Certificate): string[] {
  const names = new Set<string>()
  // Node gives `DNS:a.test, IP Address:10.0.0.1, DNS:"odd, value"`; the odd ones are no hostnames.
  for (const entry of (leaf.subjectAltName ?? '').split(', ')) {
    if (!entry.startsWith('DNS:')) continue
    const text = entry.slice('DNS:'.length)
    const wildcard = text.startsWith('*.')
    const name = canonicalHostname(wildcard ? text.slice(2) : text)
    if (name !== undefined) names.add(wildcard ? `*.${name}` : name)
  }
  return [...names]
}

function attempt<T>(problem: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw unusable(problem, error)
  }
}

function unusable(problem: string, cause?: unknown): CertificateError {
  return new CertificateError('CERT_UNUSABLE', problem, { cause })
}
