import type { SessionStatus } from '../status.ts'
import { TimeSeries } from './time-series.ts'

/** What sessions looked like when they were looked at: their round trips, and how much has moved since. */
export class SessionHistories {
  readonly #byId = new Map<string, SessionHistory>()
  readonly #length: number

  constructor(length: number) {
    this.#length = length
  }

  /** Looks at all of them. Returns the bytes that moved since the last look; those that have gone are forgotten. */
  sample(sessions: readonly SessionStatus[], nowMs: number): { in: number; out: number } {
    const moved = { in: 0, out: 0 }
    const gone = new Set(this.#byId.keys())
    for (const session of sessions) {
      gone.delete(session.id)
      const { bytesIn, bytesOut } = this.#historyOf(session.id).sample(session, nowMs)
      moved.in += bytesIn
      moved.out += bytesOut
    }
    for (const id of gone) this.#byId.delete(id)
    return moved
  }

  /** Milliseconds, the oldest first. */
  rtts(id: string): readonly number[] {
    return this.#byId.get(id)?.rtts.values('rttMs') ?? []
  }

  #historyOf(id: string): SessionHistory {
    let history = this.#byId.get(id)
    if (history === undefined) {
      history = new SessionHistory(this.#length)
      this.#byId.set(id, history)
    }
    return history
  }
}

class SessionHistory {
  readonly rtts: TimeSeries<'rttMs'>
  #bytesIn = 0
  #bytesOut = 0

  constructor(length: number) {
    this.rtts = new TimeSeries(['rttMs'], length)
  }

  sample({ rttMs, bytesIn, bytesOut }: SessionStatus, nowMs: number) {
    if (rttMs !== undefined) this.rtts.add({ rttMs }, nowMs)
    const moved = { bytesIn: bytesIn - this.#bytesIn, bytesOut: bytesOut - this.#bytesOut }
    this.#bytesIn = bytesIn
    this.#bytesOut = bytesOut
    return moved
  }
}
