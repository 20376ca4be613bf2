import type { Logger } from '../log.ts'
import { type Certificate, jitterOf, renewAtMs } from './certificate.ts'
import type { Issuer, RenewalWindow } from './issuer.ts'

/** When each certificate is to be replaced: as its issuer suggests, else by its lifetime. */
export class Renewals {
  readonly #issuer: Issuer
  readonly #log: Logger
  readonly #asked = new WeakMap<Certificate, { window?: RenewalWindow; askAgainMs: number }>()

  constructor({ issuer, log }: { issuer: Issuer; log: Logger }) {
    this.#issuer = issuer
    this.#log = log
  }

  isDue(name: string, certificate: Certificate, nowMs: number): boolean {
    // Every handshake asks, and the jitter is a hash: not as long as none could make it due.
    return nowMs >= this.#renewAtMs(certificate, 0) && nowMs >= this.renewAtMs(name, certificate)
  }

  /** Asks the issuer, where it has something to say and it is time. Never rejects. */
  async ask(name: string, certificate: Certificate, nowMs: number): Promise<void> {
    if (this.#issuer.renewalWindow === undefined) return
    if ((this.#asked.get(certificate)?.askAgainMs ?? 0) > nowMs) return
    this.#asked.set(certificate, { askAgainMs: nowMs + ASK_AGAIN_MS })
    try {
      const window = await this.#issuer.renewalWindow(certificate.chain)
      if (window === undefined) return
      this.#asked.set(certificate, { window, askAgainMs: window.askAgainMs })
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#log.debug('no renewal information', { hostname: name, error: reason })
    }
  }

  renewAtMs(name: string, certificate: Certificate): number {
    return this.#renewAtMs(certificate, jitterOf(name))
  }

  #renewAtMs(certificate: Certificate, jitter: number): number {
    const window = this.#asked.get(certificate)?.window
    if (window === undefined) return renewAtMs(certificate, jitter)
    // RFC 9773 §4.2 has it random; by the name it is the same after a restart.
    const withinMs = window.startMs + jitter * (window.endMs - window.startMs)
    const { notBeforeMs, notAfterMs } = certificate
    // Whatever is suggested, not when it is too late.
    return Math.min(withinMs, notAfterMs - (notAfterMs - notBeforeMs) / 10)
  }
}

const ASK_AGAIN_MS = 6 * 60 * 60 * 1000
