import { MuxError } from './errors.ts'

/** Pings that wait for their answer, and what the answered ones said about the distance. */
export class Pings {
  readonly #waiting = new Map<number, WaitingPing>()
  readonly #samples: number[] = []
  #lastId = 0

  /** Round trip of the last ping that was answered, in ms. */
  get lastRttMs(): number | undefined {
    return this.#samples.at(-1)
  }

  /** How many round trips the figures rest on. */
  get samples(): number {
    return this.#samples.length
  }

  /** The shortest of the last few round trips: the distance, without the queues of a busy moment. */
  get minRttMs(): number | undefined {
    return this.#samples.length === 0 ? undefined : Math.min(...this.#samples)
  }

  /** Starts one; its value goes on the wire, and the callback hears of the round trip or of the failure. */
  start(nowMs: number, done: (error: MuxError | undefined, rttMs: number) => void): number {
    this.#lastId = (this.#lastId + 1) >>> 0
    this.#waiting.set(this.#lastId, { sentAtMs: nowMs, done })
    return this.#lastId
  }

  /** An answer came. Says whether anybody waited for it (still). */
  answered(value: number, nowMs: number): boolean {
    const ping = this.#waiting.get(value)
    if (ping === undefined) return false
    this.#waiting.delete(value)
    const rttMs = nowMs - ping.sentAtMs
    this.#samples.push(rttMs)
    if (this.#samples.length > KEPT_SAMPLES) this.#samples.shift()
    ping.done(undefined, rttMs)
    return true
  }

  /** Fails those that were sent before. */
  expire(sentBeforeMs: number): void {
    for (const [value, ping] of this.#waiting) {
      if (ping.sentAtMs > sentBeforeMs) return // in order of sending
      this.#waiting.delete(value)
      ping.done(new MuxError('MUX_PING_TIMEOUT', 'the peer did not answer a ping in time'), 0)
    }
  }

  /** The session is over. */
  failAll(error: MuxError): void {
    for (const ping of this.#waiting.values()) ping.done(error, 0)
    this.#waiting.clear()
  }
}

interface WaitingPing {
  readonly sentAtMs: number
  readonly done: (error: MuxError | undefined, rttMs: number) => void
}

const KEPT_SAMPLES = 8
