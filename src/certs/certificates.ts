/*
 * Name → certificate: the operator's own, else from memory, else from the store, else a new one from
 * the issuer. Only the last step asks `decide`, the gate: a certificate that is at hand is shown also
 * while its agent is away, so that visitors get a page that says so, not a failed handshake.
 */
import type { Logger } from '../log.ts'
import { canonicalHostname } from '../net/hostname.ts'
import { type Certificate, isValidAt, readCertificateFor, renewAtMs } from './certificate.ts'
import { CertificateError } from './errors.ts'
import { Failures } from './failures.ts'
import { IssueQueue } from './issue-queue.ts'
import type { Issuer, KeyAndChain } from './issuer.ts'
import type { Store } from './store.ts'

export interface CertificatesOptions {
  readonly issuer?: Issuer | undefined
  readonly store?: Store | undefined
  /** The operator's own certificates: they go before all others, and are never renewed by us. */
  readonly directory?: OwnCertificates | undefined
  /** May this canonical hostname get a certificate? Asked often, and again after every wait. */
  readonly decide: (hostname: string) => boolean
  readonly log: Logger
  readonly limits?: Partial<CertificateLimits>
}

/** What `CertificateDirectory` is to us. */
export interface OwnCertificates {
  find(hostname: string, nowMs: number): Certificate | undefined
  list(): readonly Certificate[]
}

export interface CertificateLimits {
  /** Names that are issued at once, and names that wait for that. */
  readonly issuing: number
  readonly waiting: number
  /** Certificates in memory; the one that was asked for the longest ago goes first. */
  readonly inMemory: number
  /** How long one caller waits; the issuing goes on behind it, for the next. */
  readonly waitMs: number
  /** How long one issuing may take. */
  readonly issueMs: number
}

export interface CertificateStatus {
  /** A hostname, or the operator's wildcard. */
  readonly name: string
  /** `operator`, or the issuer's id. */
  readonly source: string
  readonly notAfterMs: number
}

/** The certificates of one gateway: cache, gate, single flight, back-off and renewal. */
export class Certificates {
  readonly #options: CertificatesOptions
  readonly #log: Logger
  readonly #limits: CertificateLimits
  /** In the order of their last use. */
  readonly #memory = new Map<string, Certificate>()
  /** What is being loaded or issued; everyone who asks for the name waits for the same. */
  readonly #flights = new Map<string, Promise<Certificate | undefined>>()
  readonly #saving = new Set<Promise<void>>()
  readonly #failures = new Failures()
  readonly #queue: IssueQueue
  readonly #closing = new AbortController()
  readonly #renewing: NodeJS.Timeout

  constructor(options: CertificatesOptions) {
    this.#options = options
    this.#log = options.log
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits }
    const { issuing, waiting } = this.#limits
    this.#queue = new IssueQueue({ atOnce: issuing, maxWaiting: waiting })
    this.#renewing = setInterval(() => this.#renewAll(), RENEW_EVERY_MS).unref()
  }

  /**
   * A certificate that covers the name and is valid now; `undefined` where there is none and none
   * may be made (also for what is no hostname). The same object for as long as it is the one to show.
   * @throws CertificateError CERT_ISSUE_FAILED, CERT_BACKING_OFF, CERT_BUSY, CERT_PENDING, CERT_CLOSED.
   */
  async certificateFor(hostname: string): Promise<Certificate | undefined> {
    this.#closing.signal.throwIfAborted()
    const name = canonicalHostname(hostname)
    if (name === undefined) return undefined
    const atHand = this.#inMemory(name)
    if (atHand !== undefined) return atHand
    return this.#patiently(
      name,
      this.#flight(name, () => this.#obtain(name)),
    )
  }

  /** Whether `certificateFor` would give one without the issuer. */
  async hasAtHand(hostname: string): Promise<boolean> {
    const name = canonicalHostname(hostname)
    if (name === undefined) return false
    return (this.#inMemory(name) ?? (await this.#fromStore(name))) !== undefined
  }

  /** The operator's certificates, then those in memory. */
  status(): CertificateStatus[] {
    const own = (this.#options.directory?.list() ?? []).flatMap(({ names, notAfterMs }) =>
      names.map((name) => ({ name, source: 'operator', notAfterMs })),
    )
    const source = this.#options.issuer?.id ?? 'store'
    const issued = Array.from(this.#memory, ([name, { notAfterMs }]) => ({
      name,
      source,
      notAfterMs,
    }))
    return [...own, ...issued]
  }

  /** Ends what is being issued, fails those who wait for it, and lets what is being saved finish. */
  async close(): Promise<void> {
    clearInterval(this.#renewing)
    const closed = new CertificateError('CERT_CLOSED', 'the gateway is shutting down')
    if (!this.#closing.signal.aborted) this.#closing.abort(closed)
    this.#queue.refuseWaiting(closed)
    await Promise.allSettled(this.#flights.values())
    await Promise.allSettled(this.#saving)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #inMemory(name: string): Certificate | undefined {
    const nowMs = Date.now()
    const own = this.#options.directory?.find(name, nowMs)
    if (own !== undefined) return own
    const kept = this.#memory.get(name)
    if (kept === undefined) return undefined
    this.#memory.delete(name)
    if (!isValidAt(kept, nowMs)) return undefined
    this.#memory.set(name, kept)
    this.#renewIfDue(name, kept, nowMs)
    return kept
  }

  #flight(
    name: string,
    start: () => Promise<Certificate | undefined>,
  ): Promise<Certificate | undefined> {
    const running = this.#flights.get(name)
    if (running !== undefined) return running
    const flight = start().finally(() => this.#flights.delete(name))
    this.#flights.set(name, flight)
    return flight
  }

  async #patiently<T>(name: string, flight: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const text = `the certificate for ${name} is still being made: try again later`
        reject(new CertificateError('CERT_PENDING', text))
      }, this.#limits.waitMs)
    })
    try {
      return await Promise.race([flight, late])
    } finally {
      clearTimeout(timer)
    }
  }

  async #obtain(name: string): Promise<Certificate | undefined> {
    const stored = await this.#fromStore(name)
    if (stored !== undefined) return stored
    if (this.#options.issuer === undefined || !this.#options.decide(name)) return undefined
    const waitMs = this.#failures.waitMs(name, Date.now())
    if (waitMs > 0) {
      const text = `no certificate for ${name}: the last try failed, the next is in ${seconds(waitMs)}`
      throw new CertificateError('CERT_BACKING_OFF', text, { retryAfterMs: waitMs })
    }
    return this.#issue(name, this.#options.issuer)
  }

  async #fromStore(name: string): Promise<Certificate | undefined> {
    try {
      const pair = await this.#options.store?.load(name)
      if (pair === undefined) return undefined
      const certificate = readCertificateFor(name, pair, Date.now())
      this.#keep(name, certificate)
      this.#renewIfDue(name, certificate, Date.now())
      return certificate
    } catch (error) {
      // The certificate of an agent that has been away for long: no news at each visit.
      if (error instanceof CertificateError && error.code === 'CERT_EXPIRED') return undefined
      this.#log.warn('stored certificate ignored', { hostname: name, error: text(error) })
      return undefined
    }
  }

  /** A new certificate, kept and on its way into the store; `undefined` if the gate has closed meanwhile. */
  async #issue(name: string, issuer: Issuer): Promise<Certificate | undefined> {
    return this.#queue.run(async () => {
      this.#closing.signal.throwIfAborted()
      if (!this.#options.decide(name)) return undefined
      const startedMs = Date.now()
      let certificate: Certificate
      try {
        const pair = await this.#ask(issuer, name)
        certificate = readCertificateFor(name, pair, Date.now())
      } catch (error) {
        this.#closing.signal.throwIfAborted()
        throw this.#failed(name, issuer, error)
      }
      this.#failures.forget(name)
      this.#keep(name, certificate)
      this.#save(name, certificate)
      this.#log.info('certificate issued', {
        hostname: name,
        issuer: issuer.id,
        notAfter: new Date(certificate.notAfterMs).toISOString(),
        tookMs: Date.now() - startedMs,
      })
      return certificate
    })
  }

  /** Asks the issuer, but no longer than it may take, whether it minds the signal or not. */
  async #ask(issuer: Issuer, name: string): Promise<KeyAndChain> {
    const { issueMs } = this.#limits
    const work = new AbortController()
    const end = () => work.abort(this.#closing.signal.reason)
    const timer = setTimeout(() => {
      work.abort(new Error(`no certificate within ${seconds(issueMs)}`))
    }, issueMs)
    this.#closing.signal.addEventListener('abort', end, { once: true })
    try {
      return await new Promise((resolve, reject) => {
        work.signal.addEventListener('abort', () => reject(work.signal.reason), { once: true })
        issuer.issue(name, work.signal).then(resolve, reject)
      })
    } finally {
      clearTimeout(timer)
      this.#closing.signal.removeEventListener('abort', end)
    }
  }

  #failed(name: string, issuer: Issuer, cause: unknown): CertificateError {
    const asked = cause instanceof CertificateError ? cause.retryAfterMs : undefined
    const retryAfterMs = this.#failures.add(name, Date.now(), asked)
    this.#log.error('certificate not issued', {
      hostname: name,
      issuer: issuer.id,
      error: text(cause),
      retryAfterMs,
    })
    const told = `${issuer.id} gave no certificate for ${name}: ${text(cause)}`
    return new CertificateError('CERT_ISSUE_FAILED', told, { cause, retryAfterMs })
  }

  #keep(name: string, certificate: Certificate): void {
    this.#memory.delete(name)
    this.#memory.set(name, certificate)
    for (const oldest of this.#memory.keys()) {
      if (this.#memory.size <= this.#limits.inMemory) break
      this.#memory.delete(oldest)
    }
  }

  // Behind the handshake: a slow disk delays no visitor, and a full one takes no certificate away.
  #save(name: string, certificate: Certificate): void {
    const saving = (async () => {
      try {
        await this.#options.store?.save(name, certificate)
      } catch (error) {
        const fields = { hostname: name, error: text(error) }
        this.#log.error('certificate not saved, served from memory', fields)
      }
    })().finally(() => this.#saving.delete(saving))
    this.#saving.add(saving)
  }

  #renewAll(): void {
    const nowMs = Date.now()
    for (const [name, certificate] of this.#memory) {
      if (isValidAt(certificate, nowMs)) this.#renewIfDue(name, certificate, nowMs)
      else this.#memory.delete(name)
    }
  }

  /** Gets the next certificate in the background; this one is shown until it is there. */
  #renewIfDue(name: string, certificate: Certificate, nowMs: number): void {
    const { issuer, decide } = this.#options
    if (issuer === undefined || nowMs < renewAtMs(certificate, name)) return
    if (this.#flights.has(name) || this.#failures.waitMs(name, nowMs) > 0 || !decide(name)) return
    // A failure has been logged and noted. A full queue is no matter: there is time.
    this.#flight(name, () => this.#issue(name, issuer)).catch(() => {})
  }
}

const DEFAULT_LIMITS: CertificateLimits = {
  issuing: 4,
  waiting: 64,
  inMemory: 1000,
  waitMs: 60_000,
  // An ACME order that is polled for 90 s, and its retries.
  issueMs: 3 * 60_000,
}

// Names that nobody visits have no other occasion.
const RENEW_EVERY_MS = 10 * 60_000

function seconds(ms: number): string {
  return `${Math.ceil(ms / 1000)} s`
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
