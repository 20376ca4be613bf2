import { createHmac, randomBytes } from 'node:crypto'
import { isPassword, type PasswordHash } from '../../auth/password.ts'
import { FailedAttempts } from '../failed-attempts.ts'
import { type EdgeError, edgeErrors } from './error-page.ts'
import { valuesOf } from './headers.ts'

/** Passwords being checked at a time: each costs a quarter of a second of a core, and some 32 MiB. */
const maxRunning = 2
/** Those that wait for it. */
const maxWaiting = 100
/** Good ones that are remembered; a browser sends its password with each request. */
const maxKnown = 1_000
/** Beyond the length of any that a person has. */
const longestPassword = 1_000

/**
 * Logs visitors in by Basic authentication (RFC 7617). A password that was good is known from then on: by a
 * keyed digest, so that none is held in memory. Bad ones are slowed down by address.
 */
export class Logins {
  readonly #key = randomBytes(32)
  /** Of passwords that were good; the one that was used last at the end. */
  readonly #known = new Set<string>()
  /** Those being checked: a page's requests come at one time, with one password. */
  readonly #checks = new Map<string, Promise<boolean>>()
  readonly #failures = new FailedAttempts()
  readonly #waiting: (() => void)[] = []
  #running = 0

  /** The user who has logged in, or how the visitor is told to. */
  async userOf(
    passwords: ReadonlyMap<string, PasswordHash>,
    rawHeaders: readonly string[],
    address: string,
  ): Promise<string | EdgeError> {
    const given = credentialsIn(rawHeaders)
    if (given === undefined) return edgeErrors.loginRequired
    const { user, password } = given
    // Names that there are not take as long as those that there are.
    const hash = passwords.get(user) ?? [...passwords.values()][0]
    if (hash === undefined) return edgeErrors.loginFailed
    const digest = createHmac('sha256', this.#key)
      .update(JSON.stringify([user, hash.hash.toString('hex'), password]))
      .digest('hex')
    if (this.#isKnown(digest)) return user
    const check =
      this.#checks.get(digest) ??
      this.#begin(digest, address, async () => {
        return (await this.#inTurn(() => isPassword(password, hash))) && passwords.has(user)
      })
    if (check === undefined) return edgeErrors.tooManyLogins
    return (await check) ? user : edgeErrors.loginFailed
  }

  #isKnown(digest: string): boolean {
    if (!this.#known.delete(digest)) return false
    this.#known.add(digest)
    return true
  }

  /** Undefined: too many are being checked. */
  #begin(
    digest: string,
    address: string,
    isGood: () => Promise<boolean>,
  ): Promise<boolean> | undefined {
    if (this.#waiting.length >= maxWaiting || !this.#failures.begin(address)) return undefined
    const check = this.#settle(digest, address, isGood).finally(() => {
      this.#checks.delete(digest)
      this.#failures.end(address)
    })
    this.#checks.set(digest, check)
    return check
  }

  async #settle(digest: string, address: string, isGood: () => Promise<boolean>): Promise<boolean> {
    if (!(await isGood())) {
      await this.#failures.fail(address)
      return false
    }
    this.#known.add(digest)
    const [oldest = digest] = this.#known
    if (this.#known.size > maxKnown) this.#known.delete(oldest)
    return true
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < maxRunning) this.#running += 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#running -= 1
      else next()
    }
  }
}

function credentialsIn(rawHeaders: readonly string[]) {
  const lines = valuesOf(rawHeaders, 'authorization')
  const encoded = /^basic +([a-z0-9+/_-]+={0,2})$/i.exec(lines[0] ?? '')?.[1]
  if (lines.length !== 1 || encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString()
  const colon = text.indexOf(':')
  if (colon === -1 || text.length > longestPassword) return undefined
  return { user: text.slice(0, colon), password: text.slice(colon + 1) }
}
