import type { KeyAndChain } from './issuer.ts'

/**
 * Where issued certificates outlive the process. It keeps them and judges nothing: whoever loads a
 * pair reads it with `readCertificate` before it is served.
 */
export interface Store {
  /**
   * What was saved last for the canonical hostname, or `undefined`.
   * @throws CertificateError CERT_FILE_FAILED, CERT_UNUSABLE (not a pair at all), CERT_NAME_INVALID.
   */
  load(hostname: string): Promise<KeyAndChain | undefined>
  /**
   * Saves it so that a crash at any moment leaves the old pair or the new one, never half of one.
   * @throws CertificateError CERT_FILE_FAILED, CERT_NAME_INVALID.
   */
  save(hostname: string, pair: KeyAndChain): Promise<void>
  /** The hostnames that something was saved for. @throws CertificateError CERT_FILE_FAILED. */
  list(): Promise<string[]>
}
