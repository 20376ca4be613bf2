/** What a client may do in vain, in any ten seconds, before it is sent away. */
export interface Http2FloodLimits {
  /** Streams that it resets before they are answered (CVE-2023-44487, "rapid reset"). */
  readonly resets: number
  /** PING and SETTINGS frames; each wants an answer of ours. */
  readonly controls: number
}

/** Browsers cancel what a left page was loading; gRPC clients ping once in ten seconds at most. */
export const defaultFloodLimits: Http2FloodLimits = { resets: 200, controls: 100 }

const windowMs = 10_000

/** Counts, for one connection, what costs us work and brings its client nothing. */
export class Http2FloodGuard {
  readonly #limits: Http2FloodLimits
  #counts = { resets: 0, controls: 0 }
  #sinceMs = Number.NEGATIVE_INFINITY

  constructor(limits: Http2FloodLimits) {
    this.#limits = limits
  }

  /** Whether one more is too much. */
  exceeds(kind: keyof Http2FloodLimits, nowMs: number = performance.now()): boolean {
    if (nowMs - this.#sinceMs >= windowMs) {
      this.#sinceMs = nowMs
      this.#counts = { resets: 0, controls: 0 }
    }
    this.#counts[kind] += 1
    return this.#counts[kind] > this.#limits[kind]
  }
}
