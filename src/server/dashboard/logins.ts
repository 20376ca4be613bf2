import { createHash, randomBytes } from 'node:crypto'

export interface Login {
  readonly formToken: string
  /** Also counts as use. */
  isWelcome(): boolean
}

interface Kept {
  readonly formToken: string
  usedMs: number
}

/** A login ends twelve hours after its last use; a page that is open and live uses it. */
const idleMs = 12 * 3_600_000
const limit = 100

/** Who is logged in, by a token that only their browser knows: what is kept here is its hash. */
export class Logins {
  /** In the order of their beginning. */
  readonly #byHash = new Map<string, Kept>()

  /** The token of a new one. Beyond the limit the oldest goes. */
  add(): string {
    const token = randomBytes(32).toString('base64url')
    const formToken = randomBytes(24).toString('base64url')
    this.#byHash.set(hashOf(token), { formToken, usedMs: performance.now() })
    for (const oldest of this.#byHash.keys()) {
      if (this.#byHash.size <= limit) break
      this.#byHash.delete(oldest)
    }
    return token
  }

  find(token: string): Login | undefined {
    const hash = hashOf(token)
    const kept = this.#use(hash)
    if (kept === undefined) return undefined
    return { formToken: kept.formToken, isWelcome: () => this.#use(hash) !== undefined }
  }

  remove(token: string): void {
    this.#byHash.delete(hashOf(token))
  }

  #use(hash: string): Kept | undefined {
    const kept = this.#byHash.get(hash)
    const nowMs = performance.now()
    if (kept === undefined || nowMs - kept.usedMs > idleMs) {
      this.#byHash.delete(hash)
      return undefined
    }
    kept.usedMs = nowMs
    return kept
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64')
}
