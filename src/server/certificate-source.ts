import type { CertificateStatus } from '../certs/certificates.ts'
import type { KeyAndChain } from '../certs/issuer.ts'

/** What the gateway asks of `Certificates` in certs/certificates.ts. */
export interface CertificateSource {
  /** A certificate for a canonical hostname; `undefined` where there is none and none may be made. */
  certificateFor(hostname: string): Promise<KeyAndChain | undefined>
  /** Whether `certificateFor` would give one without making it. */
  hasAtHand(hostname: string): Promise<boolean>
  status(): readonly CertificateStatus[]
  close(): Promise<void>
}
