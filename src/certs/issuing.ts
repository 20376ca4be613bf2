/*
 * How a certificate comes from the issuer: a few at once, never sooner than earlier failures allow, within
 * the budget, asked of the gate once more, and for no longer than it may take.
 */
import type { Logger } from '../log.ts'
import type { Budget } from './budget.ts'
import { type Certificate, readCertificateFor } from './certificate.ts'
import { CertificateError } from './errors.ts'
import type { Failures } from './failures.ts'
import { IssueQueue } from './issue-queue.ts'
import type { Issuer, KeyAndChain } from './issuer.ts'

export interface IssuingOptions {
  readonly issuer: Issuer
  readonly decide: (hostname: string) => boolean
  readonly failures: Failures
  readonly budget?: Budget | undefined
  readonly limits: IssuingLimits
  readonly log: Logger
}

export interface IssuingLimits {
  /** Names that are issued at once, and names that wait for that. */
  readonly issuing: number
  readonly waiting: number
  /** How long one issuing may take. */
  readonly issueMs: number
}

/** All since start, but for `ordering`: the names that are being issued, or wait for it. */
export interface IssuingCounters {
  readonly ordering: number
  readonly issued: number
  readonly renewed: number
  readonly failed: number
}

export class Issuing {
  readonly #options: IssuingOptions
  readonly #queue: IssueQueue
  readonly #ordering = new Set<string>()
  readonly #closing = new AbortController()
  #issued = 0
  #renewed = 0
  #failed = 0

  constructor(options: IssuingOptions) {
    this.#options = options
    const { issuing, waiting } = options.limits
    this.#queue = new IssueQueue({ atOnce: issuing, maxWaiting: waiting })
  }

  isOrdering(name: string): boolean {
    return this.#ordering.has(name)
  }

  ordering(): ReadonlySet<string> {
    return this.#ordering
  }

  counters(): IssuingCounters {
    return {
      ordering: this.#ordering.size,
      ...{ issued: this.#issued, renewed: this.#renewed, failed: this.#failed },
    }
  }

  /**
   * A new certificate, in place of `old` where there is one; `undefined` if the gate has closed meanwhile.
   * One call a name at a time.
   * @throws CertificateError CERT_ISSUE_FAILED, CERT_BACKING_OFF, CERT_OVER_BUDGET, CERT_BUSY, CERT_CLOSED.
   */
  async issue(name: string, old?: Certificate): Promise<Certificate | undefined> {
    this.#refuseInBackOff(name)
    this.#ordering.add(name)
    try {
      return await this.#queue.run(async () => {
        this.#closing.signal.throwIfAborted()
        if (!this.#options.decide(name)) return undefined
        this.#refuseInBackOff(name) // of all names, for what happened while this one waited
        return this.#order(name, old)
      })
    } catch (error) {
      if (error instanceof CertificateError && error.code === 'CERT_NOT_WANTED') return undefined
      throw error
    } finally {
      this.#ordering.delete(name)
    }
  }

  /** Ends what is being issued, and fails those who wait. */
  close(): void {
    const closed = new CertificateError('CERT_CLOSED', 'the gateway is shutting down')
    if (!this.#closing.signal.aborted) this.#closing.abort(closed)
    this.#queue.refuseWaiting(closed)
  }

  #refuseInBackOff(name: string): void {
    const { failures } = this.#options
    const waitMs = failures.waitMs(name, Date.now())
    if (waitMs === 0) return
    const reason = failures.of(name)?.reason ?? 'another name met a limit of the whole account'
    const text = `no certificate for ${name} before ${seconds(waitMs)} are over: ${reason}`
    throw new CertificateError('CERT_BACKING_OFF', text, { retryAfterMs: waitMs })
  }

  async #order(name: string, old: Certificate | undefined): Promise<Certificate> {
    const { issuer, failures, log } = this.#options
    const startedMs = Date.now()
    const putBack = old === undefined ? this.#takeFromBudget(name, startedMs) : undefined
    let pair: KeyAndChain | undefined
    let certificate: Certificate
    try {
      pair = await this.#ask(name, old)
      certificate = usable(name, pair)
    } catch (error) {
      if (pair === undefined) putBack?.()
      this.#closing.signal.throwIfAborted()
      if (error instanceof CertificateError && error.code === 'CERT_NOT_WANTED') throw error
      throw this.#noteFailure(name, error)
    }
    failures.forget(name)
    if (old === undefined) this.#issued += 1
    else this.#renewed += 1
    log.info(old === undefined ? 'certificate issued' : 'certificate renewed', {
      hostname: name,
      issuer: issuer.id,
      notAfter: new Date(certificate.notAfterMs).toISOString(),
      tookMs: Date.now() - startedMs,
    })
    return certificate
  }

  #takeFromBudget(name: string, nowMs: number): (() => void) | undefined {
    try {
      return this.#options.budget?.take(name, nowMs)
    } catch (error) {
      this.#noteFailure(name, error)
      throw error
    }
  }

  /** Asks the issuer, but no longer than it may take, whether it minds the signal or not. */
  async #ask(name: string, old: Certificate | undefined): Promise<KeyAndChain> {
    const { issuer, decide, limits } = this.#options
    const work = new AbortController()
    const end = () => work.abort(this.#closing.signal.reason)
    const timer = setTimeout(() => {
      work.abort(new Error(`no certificate within ${seconds(limits.issueMs)}`))
    }, limits.issueMs)
    this.#closing.signal.addEventListener('abort', end, { once: true })
    try {
      return await new Promise((resolve, reject) => {
        work.signal.addEventListener('abort', () => reject(work.signal.reason), { once: true })
        const options = { replacing: old?.chain, isWanted: () => decide(name) }
        issuer.issue(name, work.signal, options).then(resolve, reject)
      })
    } finally {
      clearTimeout(timer)
      this.#closing.signal.removeEventListener('abort', end)
    }
  }

  #noteFailure(name: string, cause: unknown): CertificateError {
    const { issuer, failures, log } = this.#options
    const known = cause instanceof CertificateError ? cause : undefined
    const { kind, retryAfterMs: askedMs, isForAll = false } = known ?? {}
    const reason = cause instanceof Error ? cause.message : String(cause)
    const noted = { kind, reason, retryAfterMs: askedMs, isForAll }
    const retryAfterMs = failures.add(name, Date.now(), noted)
    this.#failed += 1
    log.error('certificate not issued', {
      ...{ hostname: name, issuer: issuer.id, kind, error: reason, retryAfterMs },
      ...(isForAll && { forAllNames: true }),
    })
    const told = `${issuer.id} gave no certificate for ${name}: ${reason}`
    return new CertificateError('CERT_ISSUE_FAILED', told, { cause, kind, retryAfterMs, isForAll })
  }
}

/** What the issuer gave. The next one would be no better, and counts where the CA has limits. */
function usable(name: string, pair: KeyAndChain): Certificate {
  try {
    return readCertificateFor(name, pair, Date.now())
  } catch (cause) {
    const { code, message } = cause as CertificateError
    const hint = code === 'CERT_EXPIRED' ? ': is the clock of this machine right?' : ''
    const text = `it cannot be used: ${message}${hint}`
    throw new CertificateError('CERT_ISSUE_FAILED', text, { cause, kind: 'rejected' })
  }
}

function seconds(ms: number): string {
  return `${Math.ceil(ms / 1000)} s`
}
