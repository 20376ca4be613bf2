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

/** Ends whatever the work has started, whether or not it succeeds. */
export async function inScope<T>(work: (scope: BenchScope) => Promise<T>): Promise<T> {
  const scope = new BenchScope()
  try {
    return await work(scope)
  } finally {
    await scope.end()
  }
}
