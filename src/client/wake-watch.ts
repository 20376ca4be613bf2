const intervalMs = 1_000
/** Longer than a busy machine keeps a timer waiting. */
const awayLimitMs = 5_000

/**
 * Tells when the machine was asleep, or this process stopped; also when somebody sets the clock, which does no
 * harm. By the clock on the wall: the other one stands still while the machine sleeps.
 */
export function watchForWaking(onWake: (awayMs: number) => void): () => void {
  let lastMs = Date.now()
  const timer = setInterval(() => {
    const awayMs = Date.now() - lastMs - intervalMs
    lastMs += awayMs + intervalMs
    if (awayMs > awayLimitMs) onWake(awayMs)
  }, intervalMs)
  timer.unref()
  return () => clearInterval(timer)
}
