import type { KeyAndChain } from '../certs/issuer.ts'
import type { CertificateStatus, IssuanceStatus } from '../certs/status.ts'

/** What the gateway asks of `Certificates` in certs/certificates.ts. */
export interface CertificateSource {
  /** A certificate for a canonical hostname; `undefined` where there is none and none may be made. */
  certificateFor(hostname: string): Promise<KeyAndChain | undefined>
  /** Whether `certificateFor` would give one without making it. */
  hasAtHand(hostname: string): Promise<boolean>
  /** Of all it has, and of these names whatever becomes of them. */
  status(names: Iterable<string>): readonly CertificateStatus[]
  issuance(): IssuanceStatus
  close(): Promise<void>
}

/** What a CA is to find while it looks whether a name leads here: `Challenges` in certs/acme/challenges.ts. */
export interface ChallengeSource {
  /** http-01: the body for `/.well-known/acme-challenge/<token>` at the canonical hostname. */
  httpAnswer(hostname: string, token: string): string | undefined
  /** tls-alpn-01: the pair for a client that offers `acme-tls/1` and nothing else. */
  tlsAnswer(hostname: string): KeyAndChain | undefined
  /** http-01 is of no use: its port could not be bound. */
  withoutHttp(): void
}
