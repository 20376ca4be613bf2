import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import type { Logger } from '../log.ts'
import { CertificateError } from './errors.ts'
import type { Issuer, KeyAndChain } from './issuer.ts'
import { type CryptoKeyPair, ECDSA_SHA256, newKeys, P256, toPem } from './keys.ts'
import { createPrivateFile, makePrivateDirectory, readPrivateFile } from './private-file.ts'

export interface DevelopmentIssuerOptions {
  /** Where `ca.pem` and `ca.key` are, or shall be. */
  readonly directory: string
  readonly log: Logger
}

/**
 * A certificate authority of our own, for the demo, for tests and for networks without a public CA:
 * made once in its directory, trusted by whoever is given its `ca.pem`. Who has `ca.key` can
 * impersonate any site to them.
 */
export class DevelopmentIssuer implements Issuer {
  readonly id = 'development'
  readonly storeName: string
  /** The PEM file that visitors and agents have to trust (`curl --cacert`, `ca_file`). */
  readonly caPath: string
  readonly #caPem: string
  readonly #caKey: CryptoKeyPair['privateKey']

  private constructor(caPath: string, caPem: string, caKey: CryptoKeyPair['privateKey']) {
    this.storeName = developmentStoreName(caPem)
    this.caPath = caPath
    this.#caPem = caPem
    this.#caKey = caKey
  }

  /**
   * The CA of the directory, made now if there is none. Gateways that start at once in one
   * directory get the same one: the key file is made exclusively, whoever finds it without a
   * certificate makes that from it, and again the first one counts. So a crash between the two
   * leaves nothing to repair either.
   * @throws CertificateError CERT_FILE_FAILED, CERT_UNUSABLE (broken or expired files: says which).
   */
  static async load({ directory, log }: DevelopmentIssuerOptions): Promise<DevelopmentIssuer> {
    const keyPath = join(directory, 'ca.key')
    const caPath = join(directory, 'ca.pem')
    await makePrivateDirectory(directory)
    if ((await readPrivateFile(keyPath)) === undefined) {
      if ((await readPrivateFile(caPath)) !== undefined) {
        throw unusable(caPath, 'has no ca.key beside it')
      }
      await createPrivateFile(keyPath, await newKeyPem())
    }
    const keyPem = (await readPrivateFile(keyPath)) ?? ''
    const keys = await importKeys(keyPath, keyPem)
    if ((await readPrivateFile(caPath)) === undefined) {
      const made = await createPrivateFile(caPath, await selfSigned(keys))
      if (made) log.info('development CA made', { file: caPath })
    }
    const caPem = (await readPrivateFile(caPath)) ?? ''
    checkCa(caPath, caPem, keyPem)
    return new DevelopmentIssuer(caPath, caPem, keys.privateKey)
  }

  async issue(hostname: string): Promise<KeyAndChain> {
    try {
      return await this.#issue(hostname)
    } catch (error) {
      throw new CertificateError('CERT_ISSUE_FAILED', 'the development CA failed', { cause: error })
    }
  }

  async #issue(hostname: string): Promise<KeyAndChain> {
    const x509 = await import('./x509-library.ts')
    const ca = new x509.X509Certificate(this.#caPem)
    const keys = await newKeys()
    const leaf = await x509.X509CertificateGenerator.create({
      // A common name has 64 characters at most (RFC 5280, "Upper Bounds"). Nobody reads it, but a
      // certificate without a subject needs its subjectAltName critical.
      subject: [{ CN: [hostname.length <= 64 ? hostname : 'gotunnel development'] }],
      issuer: ca.subjectName,
      ...validity(LEAF_DAYS, ca.notAfter),
      signingAlgorithm: ECDSA_SHA256,
      publicKey: keys.publicKey,
      signingKey: this.#caKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: hostname }]),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(ca.publicKey),
      ],
    })
    return { key: toPem(keys.privateKey), chain: `${leaf.toString('pem')}\n` }
  }
}

/** The folder for what this CA issued: nothing of another one is served. */
export function developmentStoreName(caPem: string): string {
  const fingerprint = new X509Certificate(caPem).fingerprint256.replaceAll(':', '')
  return `development-${fingerprint.slice(0, 16).toLowerCase()}`
}

const CA_DAYS = 3652
// Browsers refuse more than 398 days, also from a private CA.
const LEAF_DAYS = 90
const HOUR_MS = 60 * 60 * 1000

async function selfSigned(keys: CryptoKeyPair): Promise<string> {
  const x509 = await import('./x509-library.ts')
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: ['gotunnel development CA'] }],
    ...validity(CA_DAYS),
    signingAlgorithm: ECDSA_SHA256,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return `${certificate.toString('pem')}\n`
}

// From an hour back, for visitors whose clock is behind ours.
function validity(days: number, atMost?: Date): { notBefore: Date; notAfter: Date } {
  const nowMs = Date.now()
  const notAfterMs = Math.min(nowMs + days * 24 * HOUR_MS, atMost?.getTime() ?? Infinity)
  return { notBefore: new Date(nowMs - HOUR_MS), notAfter: new Date(notAfterMs) }
}

/** The CA's key; its public half is computed from the private one. */
async function importKeys(path: string, pem: string): Promise<CryptoKeyPair> {
  try {
    const pkcs8 = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' })
    const spki = createPublicKey(pem).export({ type: 'spki', format: 'der' })
    return {
      privateKey: await crypto.subtle.importKey('pkcs8', pkcs8, P256, true, ['sign']),
      publicKey: await crypto.subtle.importKey('spki', spki, P256, true, ['verify']),
    }
  } catch (error) {
    throw unusable(path, 'is not a P-256 private key', error)
  }
}

function checkCa(path: string, caPem: string, keyPem: string): void {
  let ca: X509Certificate
  try {
    ca = new X509Certificate(caPem)
  } catch (error) {
    throw unusable(path, 'is not a certificate', error)
  }
  if (!ca.checkPrivateKey(createPrivateKey(keyPem))) throw unusable(path, 'is not for ca.key')
  if (Date.parse(ca.validTo) <= Date.now()) throw unusable(path, 'has expired')
}

function unusable(path: string, problem: string, cause?: unknown): CertificateError {
  const remedy = 'delete ca.pem and ca.key there to have a new CA made'
  return new CertificateError('CERT_UNUSABLE', `${path} ${problem}: ${remedy}`, { cause })
}

async function newKeyPem(): Promise<string> {
  return toPem((await newKeys()).privateKey)
}
