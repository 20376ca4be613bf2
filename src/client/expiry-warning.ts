import type { Logger } from '../log.ts'

/** From when until when a token is good, in Unix seconds. */
export interface TokenLife {
  readonly issuedAtSec?: number | undefined
  readonly expiresAtSec: number
}

const longestLeadSec = 86_400
const recheckMs = 3_600_000

/**
 * Says once that a token ends soon, a tenth of its life before that and a day at most: for tokens that the
 * agent cannot renew itself. Gives what stops the waiting.
 */
export function warnBeforeExpiry(life: TokenLife, log: Logger): () => void {
  const { expiresAtSec } = life
  let timer: NodeJS.Timeout | undefined
  wait()
  return () => clearTimeout(timer)

  function wait(): void {
    const leftSec = expiresAtSec - Date.now() / 1000
    const earlyMs = (leftSec - leadSec(life)) * 1000
    // In steps: no timer waits for months, nor while a machine sleeps.
    if (earlyMs > 0) timer = setTimeout(wait, Math.min(earlyMs, recheckMs))
    else if (leftSec > 0) {
      const expires = new Date(expiresAtSec * 1000).toISOString()
      log.warn('the token expires soon: get a new one from the owner of the gateway', {
        expires,
        leftSec: Math.round(leftSec),
      })
    }
  }
}

function leadSec({ issuedAtSec, expiresAtSec }: TokenLife): number {
  if (issuedAtSec === undefined) return longestLeadSec
  return Math.min(longestLeadSec, (expiresAtSec - issuedAtSec) / 10)
}
