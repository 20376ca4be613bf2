/** When a name whose issuing failed may be tried again: 5 s after the first failure, then twice as long each time. */
export class Failures {
  readonly #byName = new Map<string, { count: number; retryAtMs: number }>()

  /** How long to wait still, 0 when the name may be tried. */
  waitMs(name: string, nowMs: number): number {
    return Math.max(0, (this.#byName.get(name)?.retryAtMs ?? 0) - nowMs)
  }

  /** Notes a failure, and gives the wait until the next try: `atLeastMs` where the CA asked for it. */
  add(name: string, nowMs: number, atLeastMs = 0): number {
    const count = (this.#byName.get(name)?.count ?? 0) + 1
    const waitMs = Math.max(Math.min(FIRST_MS * 2 ** (count - 1), LONGEST_MS), atLeastMs)
    this.#byName.delete(name)
    this.#byName.set(name, { count, retryAtMs: nowMs + waitMs })
    // The oldest is the most likely to be over. Names come through the gate, so there are few.
    for (const oldest of this.#byName.keys()) {
      if (this.#byName.size <= LIMIT) break
      this.#byName.delete(oldest)
    }
    return waitMs
  }

  forget(name: string): void {
    this.#byName.delete(name)
  }
}

const FIRST_MS = 5_000
const LONGEST_MS = 5 * 60_000
const LIMIT = 10_000
