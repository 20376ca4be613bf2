import { Duplex } from 'node:stream'

/**
 * Two ends of one pipe that are far apart: what is written to one arrives at the other `delayMs` later,
 * and no more than `bytesPerMs` of it a millisecond. By the global timers, so a moved clock moves it.
 */
export function longPair(link: { delayMs: number; bytesPerMs: number }): [Duplex, Duplex] {
  const a = new FarEnd(link)
  const b = new FarEnd(link)
  a.peer = b
  b.peer = a
  return [a, b]
}

class FarEnd extends Duplex {
  peer: FarEnd | undefined
  readonly #link: { delayMs: number; bytesPerMs: number }
  /** When the link has sent what was written so far. */
  #busyUntilMs = 0

  constructor(link: { delayMs: number; bytesPerMs: number }) {
    super({ allowHalfOpen: true })
    this.#link = link
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const { delayMs, bytesPerMs } = this.#link
    const now = performance.now()
    this.#busyUntilMs = Math.max(now, this.#busyUntilMs) + chunk.length / bytesPerMs
    const sentInMs = this.#busyUntilMs - now
    setTimeout(() => this.peer?.push(chunk), sentInMs + delayMs)
    // A socket takes some more than the link has sent.
    const waitMs = sentInMs - BUFFERED_MS
    if (waitMs > 0) setTimeout(done, waitMs)
    else done()
  }

  override _final(done: () => void): void {
    setTimeout(
      () => this.peer?.push(null),
      this.#busyUntilMs - performance.now() + this.#link.delayMs,
    )
    done()
  }
}

const BUFFERED_MS = 20
