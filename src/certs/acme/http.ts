import { Agent, request } from 'node:https'
import { AcmeError } from './errors.ts'

export interface AcmeHttpOptions {
  readonly directoryUrl: string
  /** PEM, in place of the CAs that Node knows. */
  readonly ca?: string | undefined
  readonly userAgent: string
  readonly timeoutMs?: number | undefined
}

export interface AcmeAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
  readonly retryAfterMs: number | undefined
}

export interface AcmeRequest {
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly url: string
  readonly body?: string
}

/**
 * https to one CA and to nobody else: its directory's host, and those that the directory names. An
 * answer is bounded in time and size, and a redirect is an answer like others, not followed.
 */
export class AcmeHttp {
  readonly #options: AcmeHttpOptions
  readonly #agent: Agent
  readonly #hosts: Set<string>

  constructor(options: AcmeHttpOptions) {
    this.#options = options
    this.#agent = new Agent({ keepAlive: true, ca: options.ca, minVersion: 'TLSv1.2' })
    this.#hosts = new Set([new URL(options.directoryUrl).host])
  }

  /** From now on also the hosts of these. */
  allow(urls: readonly string[]): void {
    for (const url of urls) this.#hosts.add(new URL(url).host)
  }

  /** Whatever the CA answers. @throws AcmeError ACME_HOST_REFUSED, ACME_UNREACHABLE. */
  async send({ method, url, body }: AcmeRequest, signal?: AbortSignal): Promise<AcmeAnswer> {
    const target = URL.canParse(url) ? new URL(url) : undefined
    if (target?.protocol !== 'https:' || !this.#hosts.has(target.host)) {
      const shown = target ? `${target.protocol}//${target.host}` : 'an address that is none'
      const text = `refused to send to ${shown}: the directory of the CA does not name it`
      throw new AcmeError('ACME_HOST_REFUSED', text)
    }
    return this.#send(target, method, body, signal)
  }

  close(): void {
    this.#agent.destroy()
  }

  #send(
    target: URL,
    method: string,
    body: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<AcmeAnswer> {
    const { userAgent, timeoutMs = TIMEOUT_MS } = this.#options
    return new Promise((resolve, reject) => {
      const outgoing = request(target, {
        method,
        agent: this.#agent,
        ...(signal && { signal }),
        headers: {
          'User-Agent': userAgent,
          'Accept-Language': 'en',
          ...(body !== undefined && {
            'Content-Type': 'application/jose+json',
            'Content-Length': Buffer.byteLength(body),
          }),
        },
      })
      const fail = (reason: string, cause?: unknown) => {
        clearTimeout(timer)
        outgoing.destroy()
        const text = `no answer from ${target.host}: ${reason}`
        reject(new AcmeError('ACME_UNREACHABLE', text, { cause }))
      }
      const timer = setTimeout(() => fail(`nothing within ${timeoutMs / 1000} s`), timeoutMs)
      outgoing.on('error', (error) => fail(error.message, error))
      outgoing.on('response', (response) => {
        const chunks: Buffer[] = []
        let held = 0
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk)
          held += chunk.length
          if (held > LIMIT_BYTES) fail(`more than ${LIMIT_BYTES} bytes`)
        })
        response.on('error', (error) => fail(error.message, error))
        response.on('end', () => {
          clearTimeout(timer)
          const { statusCode: status = 0, headers } = response
          const retryAfterMs = readRetryAfter(headers['retry-after'], Date.now())
          const text = Buffer.concat(chunks).toString('utf8')
          resolve({ status, headers, body: text, retryAfterMs })
        })
      })
      outgoing.end(body)
    })
  }
}

/** RFC 9110 §10.2.3: seconds, or a date. */
export function readRetryAfter(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined
}

const TIMEOUT_MS = 15_000
// A chain is some KiB, a directory one.
const LIMIT_BYTES = 256 * 1024
