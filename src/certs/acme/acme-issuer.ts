import { CertificateError, type FailureKind } from '../errors.ts'
import type { IssueOptions, Issuer, KeyAndChain, RenewalWindow } from '../issuer.ts'
import { newKeys, toPem } from '../keys.ts'
import { Account, type AccountOptions } from './account.ts'
import type { Challenges } from './challenges.ts'
import { type AcmeDirectory, fetchDirectory } from './directory.ts'
import { AcmeError, type AcmeErrorCode } from './errors.ts'
import { AcmeHttp } from './http.ts'
import { runIsolated } from './isolated.ts'
import { askRenewalInfo, certificateId } from './renewal-info.ts'
import { type ChallengeType, caOf, type OrderTask } from './task.ts'
import { certificateRequest } from './x509.ts'

export interface AcmeIssuerOptions extends AccountOptions {
  /** For logs and the dashboard. */
  readonly id: string
  /** Where the CA finds our answers: whoever owns the public ports shows them. */
  readonly challenges: Challenges
  readonly profile?: string | undefined
}

/** Certificates from a CA that speaks ACME (RFC 8555), such as Let's Encrypt: P-256, one name each. */
export class AcmeIssuer implements Issuer {
  readonly id: string
  readonly #options: AcmeIssuerOptions
  readonly #account: Account
  readonly #http: AcmeHttp
  /** The way that failed last, for names that no way has led to since. */
  readonly #failedLast = new Map<string, ChallengeType>()
  #directory: { asked: Promise<AcmeDirectory>; untilMs: number } | undefined

  private constructor(options: AcmeIssuerOptions) {
    this.id = options.id
    this.#options = options
    this.#account = new Account(options)
    this.#http = new AcmeHttp(options)
  }

  /** @throws AcmeError ACME_ENGINE_FAILED, when the engine is not the one we know. */
  static async open(options: AcmeIssuerOptions): Promise<AcmeIssuer> {
    await runIsolated({ kind: 'check' }, options)
    return new AcmeIssuer(options)
  }

  async issue(
    hostname: string,
    signal: AbortSignal,
    options: IssueOptions = {},
  ): Promise<KeyAndChain> {
    try {
      return await this.#issue(hostname, signal, options)
    } catch (error) {
      signal.throwIfAborted()
      throw error instanceof AcmeError ? translated(error) : error
    }
  }

  async renewalWindow(chain: string): Promise<RenewalWindow | undefined> {
    const { renewalInfo } = await this.#askDirectory()
    if (renewalInfo === undefined) return undefined
    return askRenewalInfo(this.#http, renewalInfo, chain, Date.now())
  }

  async close(): Promise<void> {
    this.#http.close()
  }

  /** One challenge after the other's failure, each in an order of its own: a failed one spoils its order. */
  async #issue(hostname: string, signal: AbortSignal, options: IssueOptions): Promise<KeyAndChain> {
    const failed: string[] = []
    for (const type of this.#waysTo(hostname)) {
      try {
        const pair = await this.#order(hostname, type, signal, options)
        this.#failedLast.delete(hostname)
        return pair
      } catch (error) {
        if (!(error instanceof AcmeError) || error.code !== 'ACME_CHALLENGE_FAILED') throw error
        this.#noteFailedWay(hostname, type)
        failed.push(`${type}: ${error.message}`)
      }
    }
    throw new AcmeError('ACME_CHALLENGE_FAILED', failed.join('; '))
  }

  /**
   * All of them the first time. Where all have failed, one a time and in turn: Let's Encrypt takes five
   * failures an hour for a name, and then nothing.
   */
  #waysTo(hostname: string): readonly ChallengeType[] {
    const { types } = this.#options.challenges
    const failed = this.#failedLast.get(hostname)
    const others = types.filter((type) => type !== failed)
    return failed === undefined || others.length === 0 ? types : others.slice(0, 1)
  }

  #noteFailedWay(hostname: string, type: ChallengeType): void {
    this.#failedLast.delete(hostname)
    this.#failedLast.set(hostname, type)
    for (const oldest of this.#failedLast.keys()) {
      if (this.#failedLast.size <= FAILED_NAMES_LIMIT) break
      this.#failedLast.delete(oldest)
    }
  }

  /** Makes up for what the CA has forgotten, or knows already, once. */
  async #order(
    hostname: string,
    type: ChallengeType,
    signal: AbortSignal,
    options: IssueOptions,
  ): Promise<KeyAndChain> {
    const account = await this.#account.registered()
    try {
      return await this.#run(hostname, type, signal, options)
    } catch (error) {
      if (!(error instanceof AcmeError)) throw error
      const isLost = error.type === 'accountDoesNotExist'
      if (isLost) await this.#account.forget(account)
      // What another account got, or what was replaced already, is in the way of an order that names it.
      const isInTheWay = options.replacing !== undefined && REFUSALS.has(error.code)
      if (!isLost && !isInTheWay) throw error
      return this.#run(hostname, type, signal, { ...options, replacing: undefined })
    }
  }

  async #run(
    hostname: string,
    challengeType: ChallengeType,
    signal: AbortSignal,
    { replacing, isWanted }: IssueOptions,
  ): Promise<KeyAndChain> {
    const { profile, challenges, workerFile } = this.#options
    const account = await this.#account.registered()
    const keys = await newKeys()
    const csr = (await certificateRequest(hostname, keys)).toString('base64url')
    const replaces = replacing === undefined ? undefined : certificateId(replacing)
    const task: OrderTask = {
      ...{ kind: 'order', ...caOf(this.#options), ...account },
      ...{ hostname, csr, challengeType, profile, replaces },
    }
    if (isWanted?.() === false) {
      const text = `${hostname} was given up before its certificate was ordered`
      throw new CertificateError('CERT_NOT_WANTED', text)
    }
    let takeAway = () => {}
    try {
      const chain = await runIsolated(task, {
        ...{ signal, workerFile },
        async present(challenge) {
          takeAway = await challenges.present(challengeType, hostname, challenge)
        },
      })
      return { key: toPem(keys.privateKey), chain }
    } finally {
      takeAway()
    }
  }

  /** It hardly ever changes, and may: so it is asked for again after a day. */
  #askDirectory(): Promise<AcmeDirectory> {
    const nowMs = Date.now()
    if (this.#directory === undefined || this.#directory.untilMs < nowMs) {
      const asked = fetchDirectory(this.#http, this.#options.directoryUrl)
      asked.catch(() => (this.#directory = undefined))
      this.#directory = { asked, untilMs: nowMs + DAY_MS }
    }
    return this.#directory.asked
  }
}

const REFUSALS: ReadonlySet<AcmeErrorCode> = new Set(['ACME_BAD_ANSWER', 'ACME_ACCOUNT_REFUSED'])
const FAILED_NAMES_LIMIT = 10_000
const DAY_MS = 24 * 60 * 60 * 1000

function translated(error: AcmeError): CertificateError {
  const { message, retryAfterMs, isOfAccount: isForAll } = error
  const options = { cause: error, kind: KINDS[error.code], retryAfterMs, isForAll }
  return new CertificateError('CERT_ISSUE_FAILED', message, options)
}

const KINDS: Readonly<Record<AcmeErrorCode, FailureKind>> = {
  ACME_UNREACHABLE: 'unreachable',
  ACME_CHALLENGE_FAILED: 'challenge',
  ACME_RATE_LIMITED: 'limited',
  ACME_NAME_REFUSED: 'rejected',
  ACME_ACCOUNT_REFUSED: 'account',
  ACME_HOST_REFUSED: 'unreachable',
  ACME_BAD_ANSWER: 'unreachable',
  ACME_ENGINE_FAILED: 'unreachable',
}
