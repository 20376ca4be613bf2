import * as net from 'node:net'
import * as tls from 'node:tls'
import type { HostPort } from '../net/address.ts'
import { lookup } from '../net/lookup.ts'
import type { ProxyServer } from '../net/proxy-server.ts'
import { type DialPlace, type DialStep, dialFailure, dialTooLate } from './dial-failure.ts'
import { TransportError } from './errors.ts'
import { connectByProxy } from './proxy.ts'
import { untilReady } from './ready.ts'

export interface DialTlsOptions extends DialPlace {
  /** PEM, and checked already (tls takes any text); instead of the CAs that Node knows, not beside them. */
  readonly ca?: string | Buffer | undefined
  /** False takes whatever certificate comes: whoever is on the way can read and change everything. */
  readonly verify?: boolean
  /** Who makes the connection for us; the handshake is with the peer all the same. */
  readonly proxy?: ProxyServer | undefined
  /** Protocols to offer, the best first; see the socket's `alpnProtocol` for what came of it. */
  readonly alpn?: readonly string[] | undefined
  /** For name look-up, connection (also the proxy's) and handshake together. */
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
  const { host, port, proxy, timeoutMs = 10_000, keepAliveMs = 15_000 } = options
  let step: DialStep = proxy ? 'proxy' : net.isIP(host) === 0 ? 'name look-up' : 'connection'
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(dialTooLate(options, step, timeoutMs)), timeoutMs)
  const onAbort = () => over.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    const tcp = proxy
      ? await connectByProxy(proxy, { host, port }, over.signal)
      : await connectDirectly({ host, port }, () => (step = 'connection'), over.signal)
    step = 'TLS handshake'
    tcp.setKeepAlive(true, keepAliveMs)
    const socket = secure(tcp, options)
    await untilReady(socket, 'secureConnect', over.signal)
    return socket
  } catch (error) {
    if (over.signal.aborted) throw over.signal.reason
    throw error instanceof TransportError ? error : dialFailure(error as Error, options, step)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

async function connectDirectly(
  to: HostPort,
  onLookup: () => void,
  signal: AbortSignal,
): Promise<net.Socket> {
  const tcp = net.connect({ ...to, lookup, noDelay: true })
  tcp.once('lookup', onLookup)
  await untilReady(tcp, 'connect', signal)
  return tcp
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
