import { MuxError } from './errors.ts'
import type { FloodLimits, RateLimit } from './options.ts'

/** A token bucket (pure): `burst` at once, refilled at `perSecond`. */
export class RateBudget {
  readonly #limit: RateLimit
  #left: number
  #atMs = Number.NEGATIVE_INFINITY

  constructor(limit: RateLimit) {
    this.#limit = limit
    this.#left = limit.burst
  }

  /** Takes one; says whether there was one to take. */
  take(nowMs: number): boolean {
    // The clock is only believed once the bucket has been touched: the first take starts it.
    const elapsedMs = Number.isFinite(this.#atMs) ? Math.max(0, nowMs - this.#atMs) : 0
    this.#atMs = nowMs
    this.#left = Math.min(
      this.#limit.burst,
      this.#left + (elapsedMs / 1000) * this.#limit.perSecond,
    )
    if (this.#left < 1) return false
    this.#left -= 1
    return true
  }
}

/** Ends the session of a peer that sends work without content (the HTTP/2 "rapid reset" and "ping flood" family). */
export class FloodGuard {
  readonly #budgets: Record<keyof FloodLimits, RateBudget>

  constructor(limits: FloodLimits) {
    this.#budgets = {
      pings: new RateBudget(limits.pings),
      rapidResets: new RateBudget(limits.rapidResets),
      idleFrames: new RateBudget(limits.idleFrames),
    }
  }

  /** @throws MuxError MUX_FLOOD */
  count(kind: keyof FloodLimits, nowMs: number): void {
    if (!this.#budgets[kind].take(nowMs)) {
      throw new MuxError('MUX_FLOOD', `the peer floods the session: ${names[kind]}`)
    }
  }
}

const names: Record<keyof FloodLimits, string> = {
  pings: 'pings',
  rapidResets: 'streams opened and reset at once',
  idleFrames: 'empty frames, tiny credits, or frames for streams that are gone',
}
