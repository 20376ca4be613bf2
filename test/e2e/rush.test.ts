import { once } from 'node:events'
import net from 'node:net'
import t, { type Test } from 'tap'
import { signToken } from '../../src/auth/jwt.ts'
import { Tunnel } from '../../src/client/tunnel.ts'
import { Session } from '../../src/mux/index.ts'
import { MemoryRegistry } from '../../src/registry/memory-registry.ts'
import { admit } from '../../src/server/admission.ts'
import type { Route } from '../../src/server/upstream.ts'
import { settle, until } from '../mux/turns.ts'
import { duplexPair } from '../support/duplex-pair.ts'
import { sharedSecret, startAgent, startGateway } from '../support/programs.ts'
import { closedPort, serveTcp } from './targets.ts'

// Visitors who leave as soon as they have come, more of them than any peer of a session may reset
// streams of its own. They must cost the tunnel nothing: it is everybody's.

/** Through the programs: `E2E_RUSH_VISITORS=20000` for what a release has to show. */
const visitors = Number(process.env.E2E_RUSH_VISITORS ?? 5_000)

t.test('20,000 streams that are opened and reset at once do not end the session', async (t) => {
  const { gateway, agent, open } = await tunnel(t, await serveTcp(t, greet))
  for (let rush = 0; rush < 20; rush += 1) {
    const streams = Array.from({ length: 1_000 }, open)
    await settle(rush % 5) // some leave before the agent has heard of them
    for (const stream of streams) stream.destroy()
    await settle()
  }
  t.same([gateway.isClosed, agent.isClosed], [false, false])
  await until('all is quiet', () => agent.streamCount === 0 && gateway.streamCount === 1)
  t.equal(await greeting(open()), 'hello')
})

t.test('10,000 visitors who leave in the same moment do not end the session', async (t) => {
  const { gateway, agent, open } = await tunnel(t, await serveTcp(t, greet))
  const streams = Array.from({ length: 10_500 }, open)
  await until('the agent has what it takes', () => agent.streamCount === 10_000)
  await settle()
  for (const stream of streams) stream.destroy()
  await until('all is quiet', () => agent.streamCount === 0 && gateway.streamCount === 1)
  t.same([gateway.isClosed, agent.isClosed], [false, false])
  t.equal(await greeting(open()), 'hello')
})

t.test(`${visitors} visitors who reset their connection leave the tunnel up`, async (t) => {
  const port = await closedPort()
  const gateway = await startGateway(t, { env: { TCP_PORTS: `${port}` } })
  const offer = { listen_port: port, target: await serveTcp(t, greet), mode: 'tcp' as const }
  const agent = await startAgent(t, gateway, [offer])
  let left = visitors
  const comeAndGo = async () => {
    for (; left > 0; left -= 1) (await visitor(port)).resetAndDestroy()
  }
  await Promise.all(Array.from({ length: 200 }, comeAndGo))
  t.equal(await greeting(await visitor(port)), 'hello')
  t.equal(agent.logged('connected').length, 1, 'and it never was down')
})

async function visitor(port: number): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1' })
  await once(socket, 'connect')
  return socket
}

function greet(socket: net.Socket): void {
  socket.end('hello')
}

async function greeting(stream: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += chunk
  return text
}

/** An agent's tunnel and a gateway's, joined by a pair; `open` does as a visitor does at the edge. */
async function tunnel(t: Test, port: number) {
  const [near, far] = duplexPair()
  const gateway = new Session(near, { role: 'server' })
  const admission = admit(gateway, {
    registry: new MemoryRegistry<Route>(),
    jwtSecrets: [sharedSecret],
    ownNames: [],
    ports: { open: async () => [], close: () => {} },
    remoteAddress: '203.0.113.9',
    onStart: () => {},
    onEnd: () => {},
  })
  const target = { host: '127.0.0.1', port, text: `:${port}` }
  const agent = await Tunnel.open(
    {
      transport: far,
      token: signToken({ secret: sharedSecret, issuer: 'test', expireSec: 60 }),
      routes: [{ hostname: 'raw.test', mode: 'tcp', target }],
    },
    new AbortController().signal,
  )
  t.teardown(() => {
    gateway.destroy()
    for (const end of [near, far]) end.destroy()
  })
  const upstream = await admission
  const route = { name: 'raw.test', key: 'raw.test', mode: 'tcp' as const, target: 'any' }
  const visitor = { remoteAddress: '192.0.2.1', remotePort: 1, localAddress: '::1', localPort: 2 }
  const open = () => upstream.open({ ...route, holder: upstream }, visitor).on('error', () => {})
  return { gateway, agent, open }
}
