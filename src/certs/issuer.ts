/** A private key and the certificate chain for it, both PEM; the leaf comes first. */
export interface KeyAndChain {
  readonly key: string
  readonly chain: string
}

/** Makes certificates: a development CA, or a CA that speaks ACME. */
export interface Issuer {
  /** For logs and the dashboard: `development`, `letsencrypt.org`, … */
  readonly id: string
  /**
   * A new certificate for one canonical hostname. The caller has asked whether the name may have one,
   * calls for one name once at a time, and checks what comes back.
   *
   * An aborted `signal` ends the work; what the call then gives is not looked at.
   * @throws CertificateError CERT_ISSUE_FAILED, with the cause, and with `kind` and `retryAfterMs` where
   * the issuer knows; CERT_NOT_WANTED.
   */
  issue(hostname: string, signal: AbortSignal, options?: IssueOptions): Promise<KeyAndChain>
  /**
   * When the issuer would like a certificate of its own to be renewed; undefined where it does not say.
   * May fail: then too the caller's own schedule counts.
   */
  renewalWindow?(chain: string): Promise<RenewalWindow | undefined>
  close?(): Promise<void>
}

export interface IssueOptions {
  /** The chain that the new one takes the place of: a CA may ask less of a renewal. */
  readonly replacing?: string | undefined
  /** Asked right before anything is ordered. */
  readonly isWanted?: () => boolean
}

export interface RenewalWindow {
  readonly startMs: number
  readonly endMs: number
  /** When to ask again. */
  readonly askAgainMs: number
}
