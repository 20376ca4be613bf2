import type { TLSSocket } from 'node:tls'
import type { Logger } from '../../log.ts'
import { splice } from '../../net/splice.ts'
import type { Registry } from '../../registry/registry.ts'
import type { Route } from '../upstream.ts'
import type { Counters } from './counters.ts'
import { visitorOf } from './visitor.ts'

export interface TcpOptions {
  readonly registry: Registry<Route>
  readonly counters: Counters
  readonly log: Logger
}

/** Joins a visitor's decrypted connection with the target of a tcp route. Resolves when both are closed; never rejects. */
export async function forwardTcp(
  socket: TLSSocket,
  serverName: string,
  { registry, counters, log }: TcpOptions,
): Promise<void> {
  socket.on('error', () => {})
  const route = registry.lookup(serverName)
  if (route?.mode !== 'tcp') {
    socket.destroy() // its agent left during the handshake
    return
  }
  const startMs = performance.now()
  const visitor = visitorOf(socket)
  counters.tcpConnections += 1
  await splice(socket, route.holder.open(route, visitor))
  log.info('connection', {
    host: serverName,
    durationMs: Math.round(performance.now() - startMs),
    bytesIn: socket.bytesRead,
    bytesOut: socket.bytesWritten,
    remoteAddress: visitor.remoteAddress,
    session: route.holder.id,
  })
}
