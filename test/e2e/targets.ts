import { createCipheriv, createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { Scope } from '../support/scope.ts'

// Private services, as the tests need them. They end with the test.

/** A web service; its port. */
export function serveHttp(
  t: Scope,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<number> {
  return listen(t, createHttpServer(handler))
}

/** A TCP service that allows half-open connections; its port. */
export function serveTcp(t: Scope, onConnection: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    onConnection(socket)
  })
  return listen(t, server)
}

export async function listen(t: Scope, server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** A port where nothing listens, at least a moment ago. */
export async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Bytes that differ all along, the same at each call. */
export function bytesUpTo(length: number): Readable {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16))
  const zeros = Buffer.alloc(64 * 1024)
  let left = length
  return new Readable({
    read() {
      const size = Math.min(left, zeros.length)
      left -= size
      this.push(size === 0 ? null : cipher.update(zeros.subarray(0, size)))
    },
  })
}

export async function sha256(bytes: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of bytes) hash.update(chunk)
  return hash.digest('hex')
}
