import type { KeyAndChain } from '../issuer.ts'
import type { ChallengeType } from './task.ts'
import { challengeCertificate } from './x509.ts'

/** What the CA is to find while it looks whether a name leads here. Empty but for those seconds. */
export class Challenges {
  readonly #tokens = new Map<string, { token: string; keyAuthorization: string }>()
  readonly #certificates = new Map<string, KeyAndChain>()
  /** The ways in which a CA can reach us, those to try first in front. */
  types: readonly ChallengeType[] = ['http-01', 'tls-alpn-01']

  /** Port 80 is not ours. */
  withoutHttp(): void {
    this.types = ['tls-alpn-01']
  }

  /** http-01: the body for `/.well-known/acme-challenge/<token>` at the canonical hostname. */
  httpAnswer(hostname: string, token: string): string | undefined {
    const presented = this.#tokens.get(hostname)
    return presented?.token === token ? presented.keyAuthorization : undefined
  }

  /** tls-alpn-01: what a client that offers `acme-tls/1` and nothing else is to see. */
  tlsAnswer(hostname: string): KeyAndChain | undefined {
    return this.#certificates.get(hostname)
  }

  /** Puts an answer in its place; what it gives takes that away again. */
  async present(
    type: ChallengeType,
    hostname: string,
    { token, keyAuthorization }: { token: string; keyAuthorization: string },
  ): Promise<() => void> {
    if (type === 'http-01') {
      this.#tokens.set(hostname, { token, keyAuthorization })
      return () => this.#tokens.delete(hostname)
    }
    this.#certificates.set(hostname, await challengeCertificate(hostname, keyAuthorization))
    return () => this.#certificates.delete(hostname)
  }
}
