import * as net from 'node:net'
import * as tls from 'node:tls'
import { lookup } from '../net/lookup.ts'
import { type DialPlace, type DialStep, dialFailure, dialTooLate } from './dial-failure.ts'

export interface DialTlsOptions extends DialPlace {
  /** PEM, and checked already (tls takes any text); instead of the CAs that Node knows, not beside them. */
  readonly ca?: string | Buffer | undefined
  /** False takes whatever certificate comes: whoever is on the way can read and change everything. */
  readonly verify?: boolean
  /** Protocols to offer, the best first; see the socket's `alpnProtocol` for what came of it. */
  readonly alpn?: readonly string[] | undefined
  /** For name look-up, connection and handshake together. */
  readonly timeoutMs?: number
  /** After how long a silence the kernel starts to ask whether the peer's machine is still there. */
  readonly keepAliveMs?: number
}

/**
 * A `Dial` over TLS 1.2 or better, on a socket that can be reset (see net/reset.ts). What it throws
 * says which step failed, and what to do about it.
 */
export function dialTls(options: DialTlsOptions): (signal: AbortSignal) => Promise<tls.TLSSocket> {
  return (signal) => dial(options, signal)
}

async function dial(options: DialTlsOptions, signal: AbortSignal): Promise<tls.TLSSocket> {
  signal.throwIfAborted()
  const { host, port, timeoutMs = 10_000, keepAliveMs = 15_000 } = options
  let step: DialStep = net.isIP(host) === 0 ? 'name look-up' : 'connection'
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(dialTooLate(options, step, timeoutMs)), timeoutMs)
  const onAbort = () => over.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    const tcp = net.connect({ host, port, lookup, noDelay: true })
    tcp.once('lookup', () => (step = 'connection'))
    await untilReady(tcp, 'connect', over.signal)
    step = 'TLS handshake'
    tcp.setKeepAlive(true, keepAliveMs)
    const socket = secure(tcp, options)
    await untilReady(socket, 'secureConnect', over.signal)
    return socket
  } catch (error) {
    if (over.signal.aborted) throw over.signal.reason
    throw dialFailure(error as Error, options, step)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

function secure(tcp: net.Socket, options: DialTlsOptions): tls.TLSSocket {
  const { servername = options.host, ca, verify = true, alpn } = options
  tcp.on('error', () => {}) // the TLS socket has them too
  return tls.connect({
    socket: tcp,
    // RFC 6066 §3: an address is no server name. It may still be in the certificate.
    ...(net.isIP(servername) === 0 && { servername }),
    ...(ca !== undefined && { ca }),
    ...(alpn !== undefined && { ALPNProtocols: [...alpn] }),
    checkServerIdentity: (_, certificate) => tls.checkServerIdentity(servername, certificate),
    rejectUnauthorized: verify,
    minVersion: 'TLSv1.2',
  })
}

/** Destroys the socket where it does not get there: by an error, its end, or the signal. */
function untilReady(
  socket: net.Socket,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onReady = () => settle()
    const onError = (error: Error) => settle(error)
    const onClose = () => settle(new Error('closed'))
    const onAbort = () => settle(signal.reason)
    const settle = (problem?: Error) => {
      signal.removeEventListener('abort', onAbort)
      socket.off(event, onReady).off('close', onClose)
      if (problem === undefined) {
        socket.off('error', onError)
        resolve()
      } else {
        // onError stays: what a socket says that nobody wants any more is no news.
        socket.destroy()
        reject(problem)
      }
    }
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on(event, onReady).on('error', onError).on('close', onClose)
    if (signal.aborted) onAbort()
  })
}
