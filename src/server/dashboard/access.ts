import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Logger } from '../../log.ts'
import { FailedAttempts } from '../failed-attempts.ts'
import { type DashboardRequest, headerOf } from './exchange.ts'
import { Logins } from './logins.ts'

/** Somebody who may see the dashboard. */
export interface Caller {
  /** Has to come with what a form of ours does. */
  readonly formToken: string
  /** Not where everybody may who is on this machine, and not for programs. */
  readonly canLogOut: boolean
  /** False: it was logged out since. */
  isWelcome(): boolean
}

export interface AccessOptions {
  /** Undefined: whoever reaches the dashboard may see it. */
  readonly password: string | undefined
  readonly log: Logger
}

/** Who may see the dashboard: people by a form and a cookie, programs by `Authorization: Bearer`. */
export class Access {
  readonly #passwordHash: Buffer | undefined
  readonly #log: Logger
  readonly #attempts = new FailedAttempts()
  readonly #logins = new Logins()
  readonly #everybody: Caller = {
    formToken: randomBytes(24).toString('base64url'),
    canLogOut: false,
    isWelcome: () => true,
  }

  constructor({ password, log }: AccessOptions) {
    this.#passwordHash = password === undefined ? undefined : hashOf(password)
    this.#log = log
  }

  get needsLogin(): boolean {
    return this.#passwordHash !== undefined
  }

  /** Undefined: they have to log in. A wrong password is answered late. */
  async identify(request: DashboardRequest): Promise<Caller | undefined> {
    if (!this.needsLogin) return this.#everybody
    const [, bearer] = /^Bearer +(.+)$/i.exec(headerOf(request, 'authorization') ?? '') ?? []
    if (bearer !== undefined) return (await this.#accepts(bearer, request)) ? program : undefined
    const token = cookieOf(request)
    const login = token === undefined ? undefined : this.#logins.find(token)
    return login && { ...login, canLogOut: true }
  }

  /** The cookie of a new login; undefined for a wrong password. */
  async logIn(password: string, request: DashboardRequest): Promise<string | undefined> {
    if (!(await this.#accepts(password, request))) return undefined
    this.#log.info('logged in to the dashboard', { remoteAddress: request.remoteAddress })
    return cookieLine(this.#logins.add(), request)
  }

  /** The cookie that takes the other one back. */
  logOut(request: DashboardRequest): string {
    const token = cookieOf(request)
    if (token !== undefined) this.#logins.remove(token)
    return `${cookieLine('', request)}; Max-Age=0`
  }

  async #accepts(password: string, { remoteAddress }: DashboardRequest): Promise<boolean> {
    if (this.#passwordHash === undefined) return true
    if (!this.#attempts.begin(remoteAddress)) return false
    try {
      if (timingSafeEqual(hashOf(password), this.#passwordHash)) return true
      this.#log.warn('a wrong password for the dashboard', { remoteAddress })
      await this.#attempts.fail(remoteAddress)
      return false
    } finally {
      this.#attempts.end(remoteAddress)
    }
  }
}

/** Programs send no forms. */
const program: Caller = { formToken: '', canLogOut: false, isWelcome: () => true }

/**
 * Whether what changes something was sent by a page of ours, or by no page at all: browsers say where a
 * request comes from, and other programs do not say anything.
 */
export function isFromOwnPage(request: DashboardRequest): boolean {
  const site = headerOf(request, 'sec-fetch-site')
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false
  const origin = headerOf(request, 'origin')
  return origin === undefined || hostOfOrigin(origin) === headerOf(request, 'host')?.toLowerCase()
}

/** Whether the form is one that we gave to this caller. */
export function isOwnForm(form: URLSearchParams, { formToken }: Caller): boolean {
  const given = form.get('token') ?? ''
  return formToken !== '' && timingSafeEqual(hashOf(given), hashOf(formToken))
}

function hostOfOrigin(origin: string): string | undefined {
  return /^https?:\/\/([^/?#@]+)$/i.exec(origin)?.[1]?.toLowerCase()
}

/** Of equal length, whatever it was that is compared. */
function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** `__Host-` keeps other names of the domain from setting it (RFC 6265bis §4.1.3.2). */
function cookieName({ isSecure }: DashboardRequest): string {
  return isSecure ? '__Host-gotunnel' : 'gotunnel'
}

function cookieLine(value: string, request: DashboardRequest): string {
  const secure = request.isSecure ? '; Secure' : ''
  return `${cookieName(request)}=${value}; Path=/; HttpOnly; SameSite=Strict${secure}`
}

/** HTTP/2 may have a line for each cookie. */
function cookieOf(request: DashboardRequest): string | undefined {
  const { rawHeaders } = request
  const start = `${cookieName(request)}=`
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() !== 'cookie') continue
    const cookies = (rawHeaders[index + 1] ?? '').split(';').map((cookie) => cookie.trim())
    const found = cookies.find((cookie) => cookie.startsWith(start))
    if (found !== undefined) return found.slice(start.length)
  }
  return undefined
}
