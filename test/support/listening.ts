import { once } from 'node:events'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Scope } from './scope.ts'

/** Its port on loopback, until the test ends; what breaks a connection is for the other end to say. */
export async function listening(t: Scope, server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
