/*
 * Name → certificate: the operator's own, else from memory, else from the store, else a new one from
 * the issuer. Only the last step asks `decide`, the gate: a certificate that is at hand is shown also
 * while its agent is away, so that visitors get a page that says so, not a failed handshake.
 */
import type { Logger } from '../log.ts'
import { canonicalHostname } from '../net/hostname.ts'
import type { Budget } from './budget.ts'
import { type Certificate, isValidAt } from './certificate.ts'
import { CertificateError } from './errors.ts'
import { Failures } from './failures.ts'
import type { Issuer } from './issuer.ts'
import { Issuing, type IssuingLimits } from './issuing.ts'
import { Renewals } from './renewals.ts'
import { type CertificateStatus, type IssuanceStatus, statusOf } from './status.ts'
import type { Store } from './store.ts'
import { StoredCertificates } from './stored-certificates.ts'

export interface CertificatesOptions {
  readonly issuer?: Issuer | undefined
  readonly store?: Store | undefined
  /** The operator's own certificates: they go before all others, and are never renewed by us. */
  readonly directory?: OwnCertificates | undefined
  /** May this canonical hostname get a certificate? Asked often, and again after every wait. */
  readonly decide: (hostname: string) => boolean
  /** What earlier gateways have left behind. Default: nothing, and nothing is left. */
  readonly failures?: Failures | undefined
  /** Default: none is kept. */
  readonly budget?: Budget | undefined
  readonly log: Logger
  readonly limits?: Partial<CertificateLimits>
}

/** What `CertificateDirectory` is to us. */
export interface OwnCertificates {
  find(hostname: string, nowMs: number): Certificate | undefined
  list(): readonly Certificate[]
}

export interface CertificateLimits extends IssuingLimits {
  /** Certificates in memory; the one that was asked for the longest ago goes first. */
  readonly inMemory: number
  /** How long one caller waits; the issuing goes on behind it, for the next. */
  readonly waitMs: number
}

/** The certificates of one gateway: cache, gate, single flight and renewal. */
export class Certificates {
  readonly #options: CertificatesOptions
  readonly #limits: CertificateLimits
  /** In the order of their last use. */
  readonly #memory = new Map<string, Certificate>()
  /** What is being loaded or issued; everyone who asks for the name waits for the same. */
  readonly #flights = new Map<string, Promise<Certificate | undefined>>()
  readonly #stored: StoredCertificates
  readonly #failures: Failures
  /** Both undefined where nobody issues. */
  readonly #issuing: Issuing | undefined
  readonly #renewals: Renewals | undefined
  readonly #renewing: NodeJS.Timeout
  #isClosed = false

  constructor(options: CertificatesOptions) {
    const { issuer, store, decide, budget, log, failures = new Failures() } = options
    const limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#options = options
    this.#limits = limits
    this.#stored = new StoredCertificates({ store, log })
    this.#failures = failures
    this.#issuing = issuer && new Issuing({ issuer, decide, failures, budget, limits, log })
    this.#renewals = issuer && new Renewals({ issuer, log })
    this.#renewing = setInterval(() => void this.#renewAll(), RENEW_EVERY_MS).unref()
  }

  /**
   * A certificate that covers the name and is valid now; `undefined` where there is none and none
   * may be made (also for what is no hostname). The same object for as long as it is the one to show.
   * @throws CertificateError CERT_ISSUE_FAILED, CERT_BACKING_OFF, CERT_OVER_BUDGET, CERT_BUSY,
   * CERT_PENDING, CERT_CLOSED, and CERT_FILE_FAILED while the stored one cannot be read for want of
   * descriptors.
   */
  async certificateFor(hostname: string): Promise<Certificate | undefined> {
    this.#throwIfClosed()
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
    const last = name === undefined ? undefined : await this.#last(name).catch(() => undefined)
    return last !== undefined && isValidAt(last, Date.now())
  }

  /**
   * For the operator: a certificate although a try before has failed, and with `isRenewal` a new one
   * although one is at hand. What the issuer has asked to wait for is waited for still.
   * @throws CertificateError as `certificateFor`, and CERT_REFUSED, saying why none may be made.
   */
  async order(hostname: string, { isRenewal = false } = {}): Promise<Certificate> {
    this.#throwIfClosed()
    const name = canonicalHostname(hostname)
    if (name === undefined) throw refused(`${hostname} is no host name`)
    if (this.#options.directory?.find(name, Date.now()) !== undefined) {
      throw refused(`${name} has a certificate of yours, in TLS_CERT_DIR: renew that one`)
    }
    const last = await this.#last(name)
    if (last !== undefined && isValidAt(last, Date.now()) && !isRenewal) return last
    if (this.#issuing === undefined) throw refused('nobody issues certificates: ACME_ENV is off')
    const isGone = `nobody holds ${name}: certificates are for names whose agent is connected`
    if (!this.#options.decide(name)) throw refused(isGone)
    if (this.#failures.of(name)?.kind !== 'limited') this.#failures.forget(name)
    const issued = await this.#patiently(
      name,
      this.#flight(name, () => this.#issue(name, last)),
    )
    if (issued === undefined) throw refused(isGone)
    return issued
  }

  /** The operator's certificates, those in memory, and what becomes of all others that `names` has. */
  status(names: Iterable<string> = []): CertificateStatus[] {
    return this.#status(names, this.#memory)
  }

  /** The same with all that are stored, which are read for it: also those that are over. */
  async list(names: Iterable<string> = []): Promise<CertificateStatus[]> {
    return this.#status(names, new Map([...(await this.#stored.all()), ...this.#memory]))
  }

  issuance(): IssuanceStatus {
    const none = { ordering: 0, issued: 0, renewed: 0, failed: 0 }
    const { pausedUntilMs } = this.#failures
    return {
      issuer: this.#options.issuer?.id,
      ...(this.#issuing?.counters() ?? none),
      ...(pausedUntilMs > Date.now() && { pausedUntilMs }),
    }
  }

  /** Ends what is being issued, fails those who wait for it, and lets what is being saved finish. */
  async close(): Promise<void> {
    clearInterval(this.#renewing)
    this.#isClosed = true
    this.#issuing?.close()
    await Promise.allSettled(this.#flights.values())
    await this.#stored.close()
    await this.#failures.close()
    await this.#options.budget?.close()
    await this.#options.issuer?.close?.()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #throwIfClosed(): void {
    if (!this.#isClosed) return
    throw new CertificateError('CERT_CLOSED', 'the gateway is shutting down')
  }

  #status(names: Iterable<string>, kept: ReadonlyMap<string, Certificate>): CertificateStatus[] {
    return statusOf(names, {
      ...{ own: this.#options.directory, issuerId: this.#options.issuer?.id, kept },
      failures: this.#failures,
      ordering: this.#issuing?.ordering() ?? new Set(),
      renewals: this.#renewals,
      nowMs: Date.now(),
    })
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

  /** The one at hand; else the last there was, which is over: the next one takes its place. */
  async #last(name: string): Promise<Certificate | undefined> {
    const kept = this.#inMemory(name)
    if (kept !== undefined) return kept
    const stored = await this.#stored.load(name)
    const nowMs = Date.now()
    if (stored !== undefined && isValidAt(stored, nowMs)) {
      this.#keep(name, stored)
      this.#renewIfDue(name, stored, nowMs)
    }
    return stored
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
    const last = await this.#last(name)
    if (last !== undefined && isValidAt(last, Date.now())) return last
    return this.#options.decide(name) ? this.#issue(name, last) : undefined
  }

  /** A new certificate, kept and on its way into the store. */
  async #issue(name: string, old?: Certificate): Promise<Certificate | undefined> {
    const certificate = await this.#issuing?.issue(name, old)
    if (certificate === undefined) return undefined
    this.#keep(name, certificate)
    this.#stored.save(name, certificate)
    return certificate
  }

  #keep(name: string, certificate: Certificate): void {
    this.#memory.delete(name)
    this.#memory.set(name, certificate)
    for (const oldest of this.#memory.keys()) {
      if (this.#memory.size <= this.#limits.inMemory) break
      this.#memory.delete(oldest)
    }
  }

  /** Also those on the disk that nobody has asked for since we run, if their names are held. */
  async #renewAll(): Promise<void> {
    for (const [name, certificate] of this.#memory) {
      if (!isValidAt(certificate, Date.now())) this.#memory.delete(name)
      else await this.#look(name, certificate)
    }
    if (this.#issuing === undefined) return
    for (const name of await this.#stored.names()) {
      if (this.#memory.has(name) || !this.#options.decide(name)) continue
      const certificate = await this.#stored.load(name).catch(() => undefined)
      if (certificate !== undefined && isValidAt(certificate, Date.now())) {
        await this.#look(name, certificate)
      }
    }
  }

  async #look(name: string, certificate: Certificate): Promise<void> {
    if (this.#options.decide(name)) await this.#renewals?.ask(name, certificate, Date.now())
    this.#renewIfDue(name, certificate, Date.now())
  }

  /** Gets the next certificate in the background; this one is shown until it is there. */
  #renewIfDue(name: string, certificate: Certificate, nowMs: number): void {
    if (this.#isClosed || !this.#renewals?.isDue(name, certificate, nowMs)) return
    if (this.#flights.has(name) || this.#failures.waitMs(name, nowMs) > 0) return
    if (!this.#options.decide(name)) return
    // A failure has been logged and noted. A full queue is no matter: there is time.
    this.#flight(name, () => this.#issue(name, certificate)).catch(() => {})
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

function refused(reason: string): CertificateError {
  return new CertificateError('CERT_REFUSED', reason)
}
