/** A private key and the certificate chain for it, both PEM; the leaf comes first. */
export interface KeyAndChain {
  readonly key: string
  readonly chain: string
}

/** Makes certificates: a development CA, later an ACME directory. */
export interface Issuer {
  /** For logs and the status page: `development`, `letsencrypt.org`, … */
  readonly id: string
  /** Names the folder of what it issued, so that certificates of two issuers never mix. */
  readonly storeName: string
  /**
   * A new certificate for one canonical hostname. The caller has asked whether the name may have one,
   * calls for one name once at a time, and checks what comes back.
   *
   * An aborted `signal` ends the work; what the call then gives is not looked at.
   * @throws CertificateError CERT_ISSUE_FAILED, with the cause, and with `retryAfterMs` where the
   * issuer knows better than the caller's back-off when to try again.
   */
  issue(hostname: string, signal: AbortSignal): Promise<KeyAndChain>
}
