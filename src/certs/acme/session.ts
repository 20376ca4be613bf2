/** Signed requests of one account to one CA: nonces, repeats where a nonce was refused, polling. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { AcmeDirectory } from './directory.ts'
import { AcmeError } from './errors.ts'
import type { AcmeAnswer, AcmeHttp } from './http.ts'
import { type AccountKey, signed } from './jws.ts'
import { refusedBy } from './problem.ts'

export interface SessionOptions {
  readonly http: AcmeHttp
  readonly directory: AcmeDirectory
  readonly key: AccountKey
  /** The account's URL; undefined while it is being registered. */
  readonly kid?: string | undefined
}

/** An answer that says how far something is (RFC 8555 §7.1.6). */
export interface Progress {
  readonly status: string
  readonly [field: string]: unknown
}

export class Session {
  readonly #options: SessionOptions
  readonly #nonces: string[] = []

  constructor(options: SessionOptions) {
    this.#options = options
  }

  /** @throws AcmeError, also for whatever the CA answers with a status of 400 or more. */
  async post(what: string, url: string, payload: string): Promise<AcmeAnswer> {
    const { http, key, kid } = this.#options
    for (let tries = 1; ; tries += 1) {
      const nonce = this.#nonces.pop() ?? (await this.#newNonce())
      const body = signed(key, { nonce, url, kid }, payload)
      const answer = await http.send({ method: 'POST', url, body })
      this.#keepNonce(answer)
      if (answer.status < 400) return answer
      const error = refusedBy(what, answer)
      // RFC 8555 §6.5; Pebble refuses good ones on purpose.
      if (error.type !== 'badNonce' || tries > NONCE_RETRIES) throw error
    }
  }

  /** POST-as-GET until `isSettled`; honours Retry-After. @throws AcmeError ACME_UNREACHABLE in the end. */
  async poll(
    what: string,
    url: string,
    isSettled: (progress: Progress) => boolean,
  ): Promise<Progress> {
    const startedMs = performance.now()
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const answer = await this.post(what, url, '')
      const progress = readProgress(what, answer.body)
      if (isSettled(progress)) return progress
      const leftMs = POLL_MS - (performance.now() - startedMs)
      const waitMs = Math.max(pauseMs, answer.retryAfterMs ?? 0)
      if (waitMs > leftMs) {
        const text = `${what} is still ${progress.status} after ${POLL_MS / 1000} s`
        throw new AcmeError('ACME_UNREACHABLE', text)
      }
      await sleep(waitMs)
    }
  }

  async #newNonce(): Promise<string> {
    const { http, directory } = this.#options
    const answer = await http.send({ method: 'HEAD', url: directory.newNonce })
    if (answer.status >= 400) throw refusedBy('a new nonce', answer)
    this.#keepNonce(answer)
    const nonce = this.#nonces.pop()
    if (nonce === undefined) throw new AcmeError('ACME_BAD_ANSWER', 'the CA gave no nonce')
    return nonce
  }

  #keepNonce({ headers }: AcmeAnswer): void {
    const nonce = headers['replay-nonce']
    if (typeof nonce === 'string') this.#nonces.push(nonce)
  }
}

export function readProgress(what: string, body: string): Progress {
  try {
    const progress = JSON.parse(body)
    if (typeof progress?.status === 'string') return progress
  } catch {
    // Said below.
  }
  throw new AcmeError('ACME_BAD_ANSWER', `${what}: the CA's answer has no status`)
}

/** Enough for a CA that refuses a third of them, as Pebble can. */
const NONCE_RETRIES = 20
const POLL_MS = 90_000
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 3_000
