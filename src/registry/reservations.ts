import type { Owner } from './owner.ts'

/** Far longer than an agent takes to notice that its connection is lost, and to come back. */
export const reservedMs = 60_000
/** Names that are kept for somebody; of more, the oldest are free sooner. */
const limit = 100_000

/** Names whose holder was lost, and whom they wait for. */
export class Reservations {
  /** In the order in which they end. */
  readonly #byName = new Map<string, { readonly bearer: string; readonly untilMs: number }>()

  /** Of an owner that could not be told from another when it comes back, nothing is kept. */
  add(name: string, owner: Owner | undefined, nowMs: number): void {
    this.#dropEnded(nowMs)
    this.#byName.delete(name)
    if (owner?.agentId === undefined) return
    this.#byName.set(name, { bearer: owner.bearer, untilMs: nowMs + reservedMs })
  }

  delete(name: string): void {
    this.#byName.delete(name)
  }

  /** Whether the name is kept for another. */
  isClosedTo(owner: Owner | undefined, name: string, nowMs: number): boolean {
    const reservation = this.#byName.get(name)
    if (reservation === undefined || reservation.untilMs <= nowMs) return false
    return reservation.bearer !== owner?.bearer
  }

  #dropEnded(nowMs: number): void {
    for (const [name, { untilMs }] of this.#byName) {
      if (untilMs > nowMs && this.#byName.size < limit) return
      this.#byName.delete(name)
    }
  }
}
