import { type IncomingMessage, request } from 'node:http'
import type { Socket } from 'node:net'
import { formatHostPort, type HostPort } from '../net/address.ts'
import type { ProxyCredentials } from '../net/proxy-server.ts'

/**
 * Asks an HTTP proxy for a connection (RFC 9110 §9.3.6). When this resolves, what is read of the socket comes
 * from there. The deadline is the caller's, who destroys the socket.
 */
export function requestHttpConnect(
  socket: Socket,
  to: HostPort,
  credentials?: ProxyCredentials,
): Promise<void> {
  const authority = formatHostPort(to)
  return new Promise((resolve, reject) => {
    const asked = request({
      createConnection: () => socket,
      method: 'CONNECT',
      path: authority,
      headers: {
        Host: authority,
        Connection: 'keep-alive', // Node's own word would be close
        ...(credentials && { 'Proxy-Authorization': `Basic ${basic(credentials)}` }),
      },
    })
    asked.on('connect', ({ statusCode = 0, statusMessage = '' }: IncomingMessage, _, head) => {
      if (head.length > 0) socket.unshift(head)
      if (statusCode >= 200 && statusCode < 300) resolve()
      else reject(new Error(refusal(statusCode, statusMessage, credentials !== undefined)))
    })
    asked.on('error', (error: NodeJS.ErrnoException) => {
      const isHttp = !error.code?.startsWith('HPE_')
      reject(isHttp ? error : new Error('it answers, but not as an HTTP proxy does'))
    })
    asked.end()
  })
}

/** RFC 7617 §2.1, in UTF-8. */
function basic({ username, password }: ProxyCredentials): string {
  return Buffer.from(`${username}:${password.reveal()}`).toString('base64')
}

function refusal(status: number, reason: string, hadCredentials: boolean): string {
  // 401 is wrong, and what tinyproxy says to wrong ones.
  if (hadCredentials && (status === 407 || status === 401)) {
    return `it does not take these credentials (${status})`
  }
  if (status === 407) return 'it wants credentials (407): http://user:password@host:port'
  const shown = reason.slice(0, 100).replace(/[^ -~]/g, '?')
  return `it refuses the connection: ${status} ${shown}`.trim()
}
