import { MuxError } from './errors.ts'
import { INITIAL_WINDOW_BYTES, MAX_WINDOW_BYTES } from './frame.ts'

/** What the peer lets us send on one stream (yamux spec, "Flow control"). */
export class SendWindow {
  #available = INITIAL_WINDOW_BYTES

  /** Bytes that may go now. */
  get available(): number {
    return this.#available
  }

  /** Accounts for payload that goes out. The caller sends no more than is available. */
  take(bytes: number): void {
    this.#available -= bytes
  }

  /** Accounts for credit from the peer. @throws MuxError MUX_WINDOW_OVERFLOW */
  grant(bytes: number): void {
    // A JS number holds the sum exactly, so it can be compared before it is believed.
    const sum = this.#available + bytes
    if (sum > MAX_WINDOW_BYTES) {
      throw new MuxError('MUX_WINDOW_OVERFLOW', `credit of ${bytes} on top of ${this.#available}`)
    }
    this.#available = sum
  }
}

/**
 * What we let the peer send on one stream. Invariant: granted + held <= limit.
 *
 * The limit starts at 256 KiB and doubles while the window is what limits the stream: while its reader
 * takes a limit's worth within two round trips. A reader that does not read never gets there.
 * Nothing that was granted is taken back.
 */
export class ReceiveWindow {
  readonly #budget: GrowthBudget
  #limit = INITIAL_WINDOW_BYTES
  #granted = INITIAL_WINDOW_BYTES
  #held = 0
  #measuredBytes = 0
  #measuredSinceMs: number

  constructor(budget: GrowthBudget, nowMs: number) {
    this.#budget = budget
    this.#measuredSinceMs = nowMs
  }

  /** The most that this stream may make us hold. */
  get limit(): number {
    return this.#limit
  }

  /** Bytes that the peer may still send. */
  get granted(): number {
    return this.#granted
  }

  /** Bytes that arrived and were not read yet. */
  get held(): number {
    return this.#held
  }

  /** Accounts for a data frame, from its header: before any payload is kept. @throws MuxError MUX_WINDOW_EXCEEDED */
  receive(bytes: number): void {
    if (bytes > this.#granted) {
      throw new MuxError(
        'MUX_WINDOW_EXCEEDED',
        `${bytes} bytes where ${this.#granted} were granted`,
      )
    }
    this.#granted -= bytes
    this.#held += bytes
  }

  /**
   * Accounts for bytes read. Says whether the credit is now worth a frame: half a window, as in Go, but
   * of a large one no more than 256 KiB, or its sender would stand still until half of it had been read.
   */
  consume(bytes: number): boolean {
    this.#held -= bytes
    const due = this.#limit - this.#granted - this.#held
    return due >= Math.min(this.#limit / 2, INITIAL_WINDOW_BYTES)
  }

  /** The credit to send now, after `consume` said so; counts as granted. `rttMs` undefined: not measured yet. */
  grant(nowMs: number, rttMs: number | undefined): number {
    this.#measuredBytes += this.#limit - this.#granted - this.#held
    if (this.#measuredBytes >= this.#limit / 2) {
      if (rttMs !== undefined && this.#isLimiting(nowMs, rttMs)) this.#grow()
      this.#measuredBytes = 0
      this.#measuredSinceMs = nowMs
    }
    const credit = this.#limit - this.#granted - this.#held
    this.#granted += credit
    return credit
  }

  /** The stream is over: what it had grown by is free for others. */
  release(): void {
    this.#budget.giveBack(this.#limit - INITIAL_WINDOW_BYTES)
    this.#limit = INITIAL_WINDOW_BYTES
  }

  /** Whether it was read at a limit's worth in two round trips, or faster; what arrives in bursts ends short of it. */
  #isLimiting(nowMs: number, rttMs: number): boolean {
    const elapsedMs = nowMs - this.#measuredSinceMs
    return elapsedMs * this.#limit <= 2 * rttMs * this.#measuredBytes
  }

  #grow(): void {
    this.#limit += this.#budget.take(this.#limit)
  }
}

/** How far the windows of one session may grow, all together, beyond the 256 KiB that each has anyway. */
export class GrowthBudget {
  readonly #maxWindowBytes: number
  #leftBytes: number

  constructor(limits: { maxWindowBytes: number; sessionBytes: number }) {
    this.#maxWindowBytes = limits.maxWindowBytes
    this.#leftBytes = limits.sessionBytes
  }

  /** What a window of this size may grow by: as much again, within both limits. */
  take(windowBytes: number): number {
    const bytes = Math.max(
      0,
      Math.min(windowBytes, this.#maxWindowBytes - windowBytes, this.#leftBytes),
    )
    this.#leftBytes -= bytes
    return bytes
  }

  giveBack(bytes: number): void {
    this.#leftBytes += bytes
  }
}
