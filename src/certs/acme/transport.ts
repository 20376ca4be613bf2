/*
 * What the engine takes for its HTTP client. The engine of 2020 knows the way through an order, and no
 * CA of today takes it as it is: it sends challenges and finalize again in order to poll, gives up where the CA
 * asks for patience, and never tells a limit from a refusal. So each of its requests is read here, sent
 * as our own (`Session`), and answered once there is something that it can go on with.
 */
import type { AcmeDirectory } from './directory.ts'
import { AcmeError } from './errors.ts'
import type { AcmeAnswer } from './http.ts'
import { externalBinding } from './jws.ts'
import { invalidatedBy } from './problem.ts'
import { type Progress, readProgress, Session, type SessionOptions } from './session.ts'

export interface TransportOptions extends SessionOptions {
  readonly directoryUrl: string
  /** Ties a new account to one at the CA: its id, and the key in base64url. */
  readonly externalAccount?: { readonly kid: string; readonly hmac: string } | undefined
  /** Goes into newOrder. */
  readonly profile?: string | undefined
  /** RFC 9773 §5: the certificate that the new one is for, by its id. */
  readonly replaces?: string | undefined
  /** The challenge that the engine was told to answer. */
  readonly challengeType?: string | undefined
  /** The request for the certificate, base64url: the engine gets none. */
  readonly csr?: string | undefined
}

/** As the engine has it. */
export interface EngineRequest {
  readonly method: string
  readonly url: string
  readonly json?: true | { readonly payload?: string }
}

export interface EngineAnswer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body?: unknown
}

export class EngineTransport {
  readonly #options: TransportOptions
  readonly #session: Session
  /** What each finalize URL is the order's of, and each challenge the authorization's. */
  readonly #orders = new Map<string, string>()
  readonly #authorizations = new Map<string, string>()

  constructor(options: TransportOptions) {
    this.#options = options
    this.#session = new Session(options)
  }

  /** @throws AcmeError, for all that the engine cannot go on with. */
  readonly request = async ({ method, url, json }: EngineRequest): Promise<EngineAnswer> => {
    const { directory, directoryUrl } = this.#options
    if (method === 'GET' && url === directoryUrl) {
      return given({ ...directory, meta: { termsOfService: directory.termsOfService } })
    }
    // We have nonces of our own.
    if (method === 'HEAD' && url === directory.newNonce) {
      return { statusCode: 200, headers: { 'replay-nonce': 'not-sent' } }
    }
    if (method !== 'POST' || typeof json !== 'object') {
      const text = `the engine wanted to ${method} ${shown(url)}, which is no part of an order`
      throw new AcmeError('ACME_HOST_REFUSED', text)
    }
    const payload = Buffer.from(json.payload ?? '', 'base64url').toString('utf8')
    if (url === directory.newAccount) return this.#newAccount(payload)
    if (url === directory.newOrder) return this.#newOrder(payload)
    const authorization = this.#authorizations.get(url)
    if (authorization !== undefined) return this.#challenge(url, authorization)
    const order = this.#orders.get(url)
    if (order !== undefined) return this.#finalize(url, order)
    return this.#read(url)
  }

  async #newAccount(payload: string): Promise<EngineAnswer> {
    const { directory, key, externalAccount } = this.#options
    const binding = externalAccount && {
      externalAccountBinding: externalBinding(key, directory.newAccount, externalAccount),
    }
    const body = JSON.stringify({ ...JSON.parse(payload), ...binding })
    return passedOn(await this.#session.post('the account', directory.newAccount, body))
  }

  async #newOrder(payload: string): Promise<EngineAnswer> {
    const { directory, profile, replaces } = this.#options
    checkProfile(profile, directory)
    const body = {
      ...JSON.parse(payload),
      ...(profile && { profile }),
      ...(directory.renewalInfo && replaces && { replaces }),
    }
    const answer = await this.#session.post('the order', directory.newOrder, JSON.stringify(body))
    const order = readProgress('the order', answer.body)
    const { location } = answer.headers
    if (typeof location !== 'string' || typeof order.finalize !== 'string') {
      throw new AcmeError('ACME_BAD_ANSWER', 'the order has no address')
    }
    this.#orders.set(order.finalize, location)
    return passedOn(answer)
  }

  /** Told to look once, and answered when the CA has: `valid`. */
  async #challenge(url: string, authorization: string): Promise<EngineAnswer> {
    const what = 'the challenge'
    if (authorization !== VALID) {
      await this.#session.post(what, url, '{}')
      const settled = await this.#session.poll(what, authorization, isDecided)
      if (settled.status !== 'valid') throw invalidatedBy(what, errorIn(settled, url))
    }
    return given({ status: 'valid', url })
  }

  /** The certificate is ready when this answers; that the engine asks once is all it needs. */
  async #finalize(url: string, order: string): Promise<EngineAnswer> {
    const what = 'the order'
    const ready = await this.#session.poll(what, order, ({ status }) => status !== 'pending')
    if (ready.status === 'ready') {
      const sent = this.#session.post(what, url, JSON.stringify({ csr: this.#options.csr }))
      // Its answer was lost on the way: the order tells what became of it, and is not paid for twice.
      await sent.catch(unlessUnreachable)
    }
    const isIssued = ({ status }: Progress) => status === 'valid' || status === 'invalid'
    const settled = await this.#session.poll(what, order, isIssued)
    if (settled.status !== 'valid') throw invalidatedBy(what, settled.error)
    return given(settled)
  }

  /** An authorization, or the certificate. */
  async #read(url: string): Promise<EngineAnswer> {
    const answer = await this.#session.post('the order', url, '')
    if (answer.body.startsWith('-----BEGIN')) return given(answer.body)
    const authorization = readProgress('the authorization', answer.body)
    return given(this.#learn(url, authorization))
  }

  #learn(url: string, authorization: Progress): Progress {
    const challenges = challengesIn(authorization)
    const isValid = authorization.status === 'valid'
    for (const challenge of challenges) {
      this.#authorizations.set(challenge.url, isValid ? VALID : url)
    }
    if (!isValid) return authorization
    // Valid since an order before: the engine shall find the challenge it knows, whichever it was then.
    const type = this.#options.challengeType
    return {
      ...authorization,
      challenges: challenges
        .slice(0, 1)
        .map((one) => ({ token: '', ...one, type, status: 'valid' })),
    }
  }
}

function checkProfile(profile: string | undefined, { profiles }: AcmeDirectory): void {
  if (profile === undefined || profiles?.includes(profile)) return
  const offered = profiles?.length ? `it has ${profiles.join(', ')}` : 'it has none'
  const text = `the CA has no profile "${profile}", ${offered}: correct ACME_PROFILE, or remove it`
  throw new AcmeError('ACME_ACCOUNT_REFUSED', text)
}

/** In the place of an authorization's address: there is nothing to be done. */
const VALID = ''

interface Challenge {
  readonly url: string
  readonly error?: unknown
}

function challengesIn({ challenges }: Progress): Challenge[] {
  return Array.isArray(challenges) ? challenges.filter((one) => typeof one?.url === 'string') : []
}

function errorIn(authorization: Progress, url: string): unknown {
  const challenges = challengesIn(authorization)
  const answered = challenges.find((one) => one.url === url)
  return answered?.error ?? challenges.find(({ error }) => error !== undefined)?.error
}

function isDecided({ status }: Progress): boolean {
  return status !== 'pending' && status !== 'processing'
}

function given(body: unknown): EngineAnswer {
  return { statusCode: 200, headers: {}, body }
}

function passedOn({ status, headers, body }: AcmeAnswer): EngineAnswer {
  // Without the nonce: those stay with us.
  return { statusCode: status, headers: { location: headers.location }, body: parsed(body) }
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return body
  }
}

function unlessUnreachable(error: unknown): void {
  if (!(error instanceof AcmeError) || error.code !== 'ACME_UNREACHABLE') throw error
}

function shown(url: string): string {
  return url.slice(0, 100).replace(/[^!-~]/g, '?')
}
