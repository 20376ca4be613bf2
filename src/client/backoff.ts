/** The Go program waits this long each time. */
const baseMs = 2_000
const capMs = 30_000
/** A gateway that is started again is back within some seconds: so many tries come before the waits grow. */
const steadyTries = 5
/** A tunnel that held this long was a good one: what ends it now is a new trouble. */
const stableMs = 60_000

/**
 * How long to wait before trying again: anything from nothing to a bound, which doubles after the first tries.
 * The full range is the point ("full jitter"): a gateway that restarts meets its agents spread out, not in waves.
 *
 * `attempt` counts the failures before this one, from 0; `random` is from 0 to below 1.
 */
export function nextDelayMs({ attempt, random }: { attempt: number; random: number }): number {
  const doublings = Math.max(0, attempt - steadyTries + 1)
  return Math.floor(random * Math.min(capMs, baseMs * 2 ** doublings))
}

/** What `attempt` is after a tunnel that was up for `upMs`; 0 where none came up. */
export function attemptAfter({ attempt, upMs }: { attempt: number; upMs: number }): number {
  return upMs >= stableMs ? 0 : attempt
}
