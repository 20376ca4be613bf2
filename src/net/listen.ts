import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'
import { formatHostPort } from './address.ts'
import { NetError } from './errors.ts'

/**
 * Starts to listen; port 0 is any free one. Without a `host` on all addresses, IPv6 and IPv4, on a
 * machine without IPv6 on IPv4 alone.
 * @throws NetError NET_PORT_TAKEN, NET_PORT_FORBIDDEN or NET_LISTEN_FAILED; the cause is the system's
 * error. Which option holds the port is the caller's to add.
 */
export async function listen(
  server: Server,
  { port, host }: { port: number; host?: string | undefined },
): Promise<AddressInfo> {
  try {
    return await bind(server, port, host ?? '::')
  } catch (error) {
    if (host !== undefined || !hasCode(error, NO_IPV6)) throw explain(error, port, host)
  }
  try {
    return await bind(server, port, '0.0.0.0')
  } catch (error) {
    throw explain(error, port, host)
  }
}

/**
 * Stops listening, and resolves when the last connection is gone: those are for whoever accepted
 * them to end. No error where the server does not listen.
 */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}

// Not left to Node, which falls back to IPv4 on any error: also where the port is taken on IPv6
// only, and then half of the visitors would reach another program.
const NO_IPV6 = ['EAFNOSUPPORT', 'EADDRNOTAVAIL']

// How many connections may wait for us to accept them: what Linux allows by default (somaxconn).
// With Node's 511 a restarted gateway drops some of the agents and visitors that come back at once.
const BACKLOG = 4096

async function bind(server: Server, port: number, host: string): Promise<AddressInfo> {
  server.listen({ port, host, backlog: BACKLOG })
  await once(server, 'listening')
  return server.address() as AddressInfo // a string only for unix sockets
}

function explain(error: unknown, port: number, host: string | undefined): unknown {
  const place = host === undefined ? `port ${port}` : formatHostPort({ host, port })
  const options = { cause: error }
  if (hasCode(error, ['EADDRINUSE'])) {
    const message = `cannot listen on ${place}: another program already does; stop it or choose another port`
    return new NetError('NET_PORT_TAKEN', message, options)
  }
  if (hasCode(error, ['EACCES', 'EPERM'])) {
    const message = `cannot listen on ${place}: ports below 1024 need a privilege; grant CAP_NET_BIND_SERVICE or choose a higher port`
    return new NetError('NET_PORT_FORBIDDEN', message, options)
  }
  const reason = hasCode(error, ['EADDRNOTAVAIL'])
    ? 'this machine has no such address'
    : error instanceof Error
      ? error.message
      : String(error)
  return new NetError('NET_LISTEN_FAILED', `cannot listen on ${place}: ${reason}`, options)
}

function hasCode(error: unknown, codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}
