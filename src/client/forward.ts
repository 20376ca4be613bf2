import type { Duplex } from 'node:stream'
import { ignoreErrors } from '../net/ignore-errors.ts'
import { splice } from '../net/splice.ts'
import type { Mode, TargetProtocol, TunnelRules } from '../protocol/messages.ts'
import { type Preamble, PreambleDecoder } from '../protocol/preamble.ts'
import { type Addresses, encodeProxyHeader, encodeProxyLine } from '../protocol/proxy-protocol.ts'
import { type Connect, dialTarget, type Target } from './dial-target.ts'
import { ClientError } from './errors.ts'
import { exchange } from './exchange.ts'

/** What the agent offers: a public name or port, and the local service behind it. */
export interface Route extends TunnelRules {
  /** To the letter as it is registered: a gateway asks for it by these bytes. See `portRouteKey`, `pathRouteKey`. */
  readonly hostname: string
  readonly mode: Mode
  readonly target: Target
  /** Tells the target who the visitor is, before the visitor's first byte; not in http mode. */
  readonly proxyProtocol?: 'v1' | 'v2'
  /** What is spoken in http mode, if not HTTP/1.1; by the gateway, so that it must know. */
  readonly protocol?: TargetProtocol
  /** For the gateway to heed; see `TunnelOffer`. */
  readonly responseTimeoutSec?: number
  readonly listenPort?: number
  readonly ssh?: boolean
  readonly alpn?: readonly string[]
  readonly idleTimeoutSec?: number
}

export interface ForwardOptions {
  /** By hostname. */
  readonly routes: ReadonlyMap<string, Route>
  /** Told of each stream that could not be served. */
  readonly onFailure?: (error: ClientError, route: Route | undefined) => void
  /** Told of each stream whose target took the connection; of the visitor, if the gateway said who it is. */
  readonly onConnection?: (route: Route, visitor: Addresses | undefined) => void
  readonly connect?: Connect
}

/** Longer than any honest peer needs, shorter than a visitor's patience. */
const preambleTimeoutMs = 10_000

/**
 * Serves one data stream: reads its preamble, dials the target, joins the two. A stream that cannot
 * be served is answered as a Go agent answers (docs/wire.md, "Data streams"): with a 502 in http
 * mode and while the mode is unknown, with a reset in the others.
 *
 * The stream is ours from the call on; resolves when both ends are closed, and never rejects.
 */
export async function forward(stream: Duplex, options: ForwardOptions): Promise<void> {
  const { routes, onFailure, onConnection, connect } = options
  const closed = untilClosed(stream)
  let route: Route | undefined
  try {
    const { hostname, addresses } = await readPreamble(stream)
    route = routes.get(hostname)
    if (route === undefined) throw noRoute(hostname)
    const target = await dialTarget(stream, route, connect)
    onConnection?.(route, addresses)
    if (speaksHttp1(route)) await exchange(stream, target)
    else {
      if (route.proxyProtocol) target.write(proxyHeader(route.proxyProtocol, addresses))
      await splice(stream, target)
    }
  } catch (error) {
    if (!(error instanceof ClientError)) throw error
    // A stream that its visitor gave up is no failure of ours.
    if (stream.destroyed) return closed
    onFailure?.(error, route)
    if (route === undefined || speaksHttp1(route)) answer(stream, bodies[error.code] ?? '')
    else stream.destroy()
  }
  return closed
}

function speaksHttp1({ mode, protocol }: Route): boolean {
  return mode === 'http' && protocol === undefined
}

const bodies: { readonly [Code in ClientError['code']]?: string } = {
  CLIENT_BAD_PREAMBLE: 'bad tunnel header',
  CLIENT_NO_ROUTE: 'no route for hostname',
  CLIENT_TARGET_UNREACHABLE: 'cannot reach local target',
  CLIENT_TARGET_UNTRUSTED: 'cannot reach local target',
}

/** Resolves when the stream is closed. Its errors are not ours to report: whoever broke it knows. */
function untilClosed(stream: Duplex): Promise<void> {
  ignoreErrors(stream)
  return new Promise((resolve) => stream.once('close', () => resolve()))
}

/** Leaves the stream paused, and what came behind the preamble in it. */
function readPreamble(stream: Duplex): Promise<Preamble> {
  const decoder = new PreambleDecoder()
  return new Promise((resolve, reject) => {
    const timer = setTimeout(onTimeout, preambleTimeoutMs)
    stream.on('data', onData).once('end', onEnd).once('close', onEnd)

    function onData(chunk: Buffer): void {
      try {
        const preamble = decoder.push(chunk)
        if (preamble === undefined) return
        settle(() => resolve(preamble))
        if (preamble.rest.length > 0) stream.unshift(preamble.rest)
      } catch (error) {
        settle(fail((error as Error).message, error))
      }
    }

    function onTimeout(): void {
      settle(fail(`not complete after ${preambleTimeoutMs} ms`))
    }

    function onEnd(): void {
      settle(fail('the stream ended before it was complete'))
    }

    function fail(problem: string, cause?: unknown): () => void {
      const message = `a stream came with a bad preamble: ${problem}`
      return () => reject(new ClientError('CLIENT_BAD_PREAMBLE', message, { cause }))
    }

    function settle(outcome: () => void): void {
      clearTimeout(timer)
      stream.off('data', onData).off('end', onEnd).off('close', onEnd).pause()
      outcome()
    }
  })
}

function noRoute(hostname: string): ClientError {
  const message = `a stream came for ${JSON.stringify(hostname)}, which is not one of our hostnames`
  return new ClientError('CLIENT_NO_ROUTE', message)
}

/** Without addresses, as from a Go gateway, it says that they are not known. */
function proxyHeader(version: 'v1' | 'v2', addresses: Addresses | undefined): Buffer {
  return version === 'v1'
    ? encodeProxyLine(addresses)
    : encodeProxyHeader({ ...(addresses && { addresses }) })
}

function answer(stream: Duplex, body: string): void {
  const head = [
    'HTTP/1.1 502 Bad Gateway',
    'Content-Type: text/plain',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  stream.end(`${head.join('\r\n')}\r\n\r\n${body}`)
  // What is still sent to us is not wanted; unread, it would keep its sender waiting.
  stream.resume()
}
