import { getDomain } from 'tldts'
import type { Logger } from '../log.ts'
import { CertificateError } from './errors.ts'
import type { StateFile } from './state-file.ts'

export interface BudgetOptions {
  /** New names of one registered domain that may get a certificate in any 7 days. */
  readonly perDomain: number
  readonly file?: StateFile
  readonly log: Logger
}

/**
 * How many more new certificates a registered domain (`example.co.uk`, by the public suffix list) may
 * have this week. It stays below the CA's own limit, so that what is left of that is there for emergencies.
 * Renewals cost nothing, here as at the CA.
 */
export class Budget {
  readonly #options: BudgetOptions
  /** When each certificate was ordered, oldest first. */
  readonly #ordered = new Map<string, number[]>()

  constructor(options: BudgetOptions) {
    this.#options = options
  }

  /** With what the file has, as far as it makes sense. */
  static async load(options: BudgetOptions): Promise<Budget> {
    const budget = new Budget(options)
    budget.#restore(await options.file?.read())
    return budget
  }

  /** Takes one for the name; what it gives puts that back, when nothing came of it. @throws CertificateError CERT_OVER_BUDGET. */
  take(hostname: string, nowMs: number): () => void {
    const { perDomain, log } = this.#options
    const domain = registeredDomain(hostname)
    const week = (this.#ordered.get(domain) ?? []).filter((atMs) => atMs > nowMs - WEEK_MS)
    const [oldest = nowMs] = week
    if (week.length >= perDomain) {
      const text = `${domain} had ${week.length} new certificates in 7 days, which is all that ACME_DOMAIN_BUDGET allows`
      const retryAfterMs = oldest + WEEK_MS - nowMs
      throw new CertificateError('CERT_OVER_BUDGET', text, { kind: 'account', retryAfterMs })
    }
    week.push(nowMs)
    this.#ordered.set(domain, week)
    this.#save()
    if (week.length === Math.ceil(perDomain * WARN_AT)) {
      log.warn('most of the budget for new certificates is used', {
        ...{ domain, used: week.length, perDomain },
        nextFreeAt: new Date(oldest + WEEK_MS).toISOString(),
      })
    }
    return () => {
      week.splice(week.lastIndexOf(nowMs), 1)
      this.#save()
    }
  }

  async close(): Promise<void> {
    await this.#options.file?.close()
  }

  #save(): void {
    this.#options.file?.write(() => {
      const sinceMs = Date.now() - WEEK_MS
      for (const [domain, times] of this.#ordered) {
        if ((times.at(-1) ?? 0) < sinceMs) this.#ordered.delete(domain)
      }
      return Object.fromEntries(this.#ordered)
    })
  }

  #restore(state: unknown): void {
    for (const [domain, times] of Object.entries(state ?? {})) {
      if (!Array.isArray(times)) continue
      const sound = times.filter((atMs) => Number.isFinite(atMs) && atMs <= Date.now())
      this.#ordered.set(
        domain,
        sound.sort((a, b) => a - b),
      )
    }
  }
}

/** What a CA counts by: `example.co.uk` of `a.b.example.co.uk`; the name itself where it has no such. */
export function registeredDomain(hostname: string): string {
  // With its private part: of `a.github.io` and `b.github.io` the CA counts each by itself.
  return getDomain(hostname, { allowPrivateDomains: true }) ?? hostname
}

const WEEK_MS = 7 * 24 * 60 * 60 * 1000
const WARN_AT = 0.8
