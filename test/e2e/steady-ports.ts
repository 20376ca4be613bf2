import { once } from 'node:events'
import net, { type Server } from 'node:net'
import type { Ports } from '../support/programs.ts'

/**
 * Four that are free, and stay it between two programs: below those that the system gives to whoever
 * asks for any.
 */
export async function steadyPorts(): Promise<Ports> {
  const held: Server[] = []
  while (held.length < 4) {
    const server = net.createServer()
    server.listen(10_000 + Math.floor(Math.random() * 20_000), '127.0.0.1')
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    if (isFree) held.push(server)
  }
  const [a, b, c, d] = held.map((server) => (server.address() as net.AddressInfo).port) as number[]
  await Promise.all(held.map((server) => once(server.close(), 'close')))
  return { public: a, tunnel: b, http: c, dashboard: d } as Ports
}
