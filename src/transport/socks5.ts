import type { Socket } from 'node:net'
import { SocksClient } from 'socks'
import type { HostPort } from '../net/address.ts'
import type { ProxyCredentials } from '../net/proxy-server.ts'

/**
 * Asks a SOCKS5 proxy (RFC 1928, RFC 1929) for a connection; the name is looked up there. When this resolves, what
 * is read of the socket comes from there. The deadline is the caller's, who destroys the socket.
 */
export async function requestSocks5(
  socket: Socket,
  to: HostPort,
  credentials?: ProxyCredentials,
): Promise<void> {
  try {
    await SocksClient.createConnection({
      command: 'connect',
      existing_socket: socket,
      destination: to,
      proxy: { ...placeless, type: 5, ...(credentials && plain(credentials)) },
    })
  } catch (error) {
    // Not as its cause: that has the credentials in it.
    throw new Error(explain((error as Error).message, credentials !== undefined))
  }
}

/** The library wants to know, though it is given the connection. */
const placeless = { host: 'proxy', port: 1080 }

function plain({ username, password }: ProxyCredentials) {
  return { userId: username, password: password.reveal() }
}

function explain(message: string, hadCredentials: boolean): string {
  if (/authentication/i.test(message)) {
    return hadCredentials
      ? 'it does not take these credentials'
      : 'it wants credentials: socks5://user:password@host:port'
  }
  return /invalid socks version/i.test(message)
    ? 'it answers, but not as a SOCKS5 proxy does'
    : message
}
