import * as net from 'node:net'
import { formatHostPort, type HostPort } from '../net/address.ts'
import { lookup } from '../net/lookup.ts'
import type { ProxyServer } from '../net/proxy-server.ts'
import { TransportError } from './errors.ts'
import { untilReady } from './ready.ts'

/**
 * A connection to `to` by way of the proxy; what comes next is from there. An aborted signal ends it.
 * @throws TransportError TRANSPORT_PROXY_FAILED
 */
export async function connectByProxy(
  proxy: ProxyServer,
  to: HostPort,
  signal: AbortSignal,
): Promise<net.Socket> {
  const { host, port } = proxy
  const request = await requestFor(proxy)
  const socket = net.connect({ host, port, lookup, noDelay: true })
  const destroy = () => void socket.destroy()
  signal.addEventListener('abort', destroy, { once: true })
  try {
    await untilReady(socket, 'connect', signal)
    socket.on('error', () => {}) // whoever reads has it as well
    await request(socket, to, proxy.credentials)
    return socket
  } catch (cause) {
    socket.destroy()
    if (signal.aborted) throw signal.reason
    const reason = cause instanceof Error ? cause.message : String(cause)
    const text = `the proxy ${formatHostPort(proxy)}: ${reason}`
    throw new TransportError('TRANSPORT_PROXY_FAILED', text, { cause })
  } finally {
    signal.removeEventListener('abort', destroy)
  }
}

/** How to ask it. Few agents need either; loaded before there is a connection, of which nothing may be missed. */
async function requestFor({ kind }: ProxyServer) {
  if (kind === 'http') return (await import('./http-connect.ts')).requestHttpConnect
  return (await import('./socks5.ts')).requestSocks5
}
