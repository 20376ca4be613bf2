import type { Scope } from '../test/support/scope.ts'

/** What a suite has started. */
export class BenchScope implements Scope {
  readonly #ends: (() => unknown)[] = []

  teardown(end: () => unknown): void {
    this.#ends.unshift(end)
  }

  passing(): boolean {
    return true
  }

  /** The last first. */
  async end(): Promise<void> {
    for (const end of this.#ends.splice(0)) await end()
  }
}
