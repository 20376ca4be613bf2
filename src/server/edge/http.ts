import { Server, type Socket } from 'node:net'
import { canonicalHostname } from '../../net/hostname.ts'
import type { ChallengeSource } from '../certificate-source.ts'
import { type EdgeError, edgeErrors, sendError } from './error-page.ts'
import { valuesOf } from './headers.ts'
import { type Reception, visitorSocketOptions } from './reception.ts'
import { Http1Server } from './visits/http1-server.ts'
import type { Visit } from './visits/visit.ts'

export interface HttpOptions {
  /** Whether the canonical hostname is one that visitors find at the https port. */
  readonly isKnown: (hostname: string) => boolean
  /** Whether it is in mode tls: then its target answers challenges too, and is found by redirect. */
  readonly hasOwnCertificate: (hostname: string) => boolean
  readonly challenges?: ChallengeSource | undefined
  /** The https port. */
  readonly publicPort: () => number
  readonly headerLines: number
  readonly reception: Reception
}

/**
 * The plain http port: answers the CA's http-01 challenges (RFC 8555 §8.3), and sends visitors of known
 * names to https, one request a connection. Not listening yet. Closing it also ends connections that have
 * asked nothing.
 */
export class HttpRedirector extends Server {
  readonly #visits: Http1Server

  constructor(options: HttpOptions) {
    super(visitorSocketOptions)
    this.#visits = new Http1Server({
      headerBytes: 16_384,
      timeouts: { headerMs: 10_000, idleMs: 10_000 },
      isSingle: true,
      serve: (visit) => serve(visit, options),
      onUnreadable: () => {},
    })
    this.on('connection', (socket: Socket) => {
      options.reception.receive(socket, (visitor) => {
        this.#visits.accept(socket, { serverName: '', isShared: () => false, visitor })
      })
    })
    this.once('close', () => this.#visits.close())
  }

  override close(onClosed?: (error?: Error) => void): this {
    this.#visits.drain()
    return super.close(onClosed)
  }
}

function serve(visit: Visit, options: HttpOptions): void {
  visit.handler = { onClose: () => visit.done() }
  try {
    answer(visit, options)
  } catch {
    sendError(visit, edgeErrors.badRequest) // a target that fits in no header
  }
}

function answer(visit: Visit, options: HttpOptions): void {
  const { isKnown, publicPort, headerLines } = options
  const { method, url, rawHeaders } = visit.head
  const hosts = valuesOf(rawHeaders, 'host')
  const host = canonicalHostname(hosts[0] ?? '')
  let error: EdgeError | undefined
  if (rawHeaders.length > 2 * headerLines) error = edgeErrors.headerTooLarge
  else if (hosts.length !== 1 || host === undefined) error = edgeErrors.badHost
  else if (!url.startsWith('/') || url.includes('#')) error = edgeErrors.badRequest
  else if (url.startsWith(challengePath) && !options.hasOwnCertificate(host)) {
    const token = method === 'GET' ? url.slice(challengePath.length) : ''
    const answer = options.challenges?.httpAnswer(host, token)
    if (answer !== undefined) return sendText(visit, answer)
    error = edgeErrors.notFound
  } else if (!isKnown(host)) error = edgeErrors.hostUnknown
  if (error !== undefined) {
    sendError(visit, error)
    return
  }
  const port = publicPort()
  const authority = port === 443 ? host : `${host}:${port}`
  // 308: the method and the body stay what they are (RFC 9110 §15.4.9).
  const lines = ['Location', `https://${authority}${url}`, 'Content-Length', '0']
  visit.respond({ status: 308, lines })
  visit.end()
}

const challengePath = '/.well-known/acme-challenge/'

function sendText(visit: Visit, text: string): void {
  const type = ['Content-Type', 'application/octet-stream']
  visit.respond({ status: 200, lines: [...type, 'Content-Length', String(text.length)] })
  visit.write(Buffer.from(text))
  visit.end()
}
