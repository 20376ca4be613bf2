/** A private key and the certificate chain for it, both PEM; the leaf comes first. */
export interface KeyAndChain {
  readonly key: string
  readonly chain: string
}

/** Makes certificates: a development CA, later an ACME directory. */
export interface Issuer {
  /** For logs and the status page: `development`, `letsencrypt.org`, … */
  readonly id: string
  /**
   * A new certificate for one canonical hostname.
   * @throws CertificateError CERT_ISSUE_FAILED, with the cause.
   */
  issue(hostname: string, signal: AbortSignal): Promise<KeyAndChain>
}
