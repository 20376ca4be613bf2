import { MuxError } from './errors.ts'
import { MAX_STREAM_ID, SESSION_ID } from './frame.ts'

export type Role = 'client' | 'server'

/** Hands out our stream ids: odd for a client, even for a server, none twice. */
export class OwnIds {
  readonly #last: number
  #next: number

  constructor(role: Role, last = MAX_STREAM_ID) {
    this.#last = last
    this.#next = role === 'client' ? 1 : 2
  }

  /** Whether all 2³¹ have been handed out, a month's at 800 a second. */
  get isUsedUp(): boolean {
    return this.#next > this.#last
  }

  take(): number {
    const id = this.#next
    this.#next += 2
    return id
  }
}

/**
 * Which ids the peer may still open a stream with. Not simply the next one: a Go peer that opens from
 * several goroutines numbers its streams in one order and sends their SYNs in another.
 */
export class PeerIds {
  readonly #first: number
  #next: number
  /** Ids below #next that were skipped; the oldest are given up. */
  readonly #skipped = new Set<number>()

  constructor(role: Role) {
    this.#first = role === 'client' ? 2 : 1
    this.#next = this.#first
  }

  /** Whether a stream of this id can only be the peer's. */
  includes(id: number): boolean {
    return id % 2 === this.#first % 2
  }

  /** @throws MuxError MUX_BAD_STREAM_ID for id 0, one of ours, and one that was used before. */
  take(id: number): void {
    if (id === SESSION_ID || !this.includes(id)) {
      throw new MuxError('MUX_BAD_STREAM_ID', `the peer may not open stream ${id}`)
    }
    if (id < this.#next) {
      if (this.#skipped.delete(id)) return
      throw new MuxError('MUX_BAD_STREAM_ID', `the peer opened stream ${id} twice`)
    }
    for (let skipped = Math.max(this.#next, id - 2 * MAX_SKIPPED); skipped < id; skipped += 2) {
      this.#skipped.add(skipped)
    }
    this.#next = id + 2
    for (const oldest of this.#skipped) {
      if (this.#skipped.size <= MAX_SKIPPED) break
      this.#skipped.delete(oldest)
    }
  }
}

const MAX_SKIPPED = 1024
