import { hrtime } from 'node:process'
import { setImmediate } from 'node:timers/promises'

// Waiting without a clock: by turns of the event loop, or for a condition. Both go on while a test
// has moved the global timers.

/** Lets everything that is on its way over a pair arrive: 20 turns of the event loop. */
export async function settle(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i += 1) await setImmediate()
}

/** Waits until the condition holds; fails after a minute, so that a hang says where it hangs. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const from = hrtime.bigint()
  while (!condition()) {
    if (hrtime.bigint() - from > 60_000_000_000n) throw new Error(`never happened: ${what}`)
    await setImmediate()
  }
}

/** Moves a clock on in steps of a second, with all that each second brings. */
export async function pass(clock: { advance(ms: number): void }, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 1_000) {
    clock.advance(Math.min(left, 1_000))
    await settle()
  }
}
