import { createServer } from 'node:net'
import t from 'tap'
import { listen } from '../../src/net/listen.ts'
import { until } from '../mux/turns.ts'
import { knock } from './edge-fixture.ts'
import { connectAgent, start } from './gateway-fixture.ts'

// An agent changes its tunnels while its session lives.

const saying = (text: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`
const http = (hostname: string, target = 'x') => ({ hostname, mode: 'http', target })
const tcp = (hostname: string, listenPort: number) => {
  return { hostname, mode: 'tcp', target: 'x', listen_port: listenPort }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const bound = await Promise.all(
    servers.map((each) => listen(each, { port: 0, host: '127.0.0.1' })),
  )
  await Promise.all(servers.map((each) => new Promise((resolve) => each.close(resolve))))
  return bound.map(({ port }) => port)
}

t.test('tunnels are added, removed and changed, and what runs goes on', async (t) => {
  const { gateway, visit, log } = await start(t)
  const agent = await connectAgent(t, gateway.addresses.tunnel?.port)
  await agent.register({}, [http('a.test'), http('b.test', 'old'), http('c.test')])
  const running = []
  for (const name of ['a.test', 'b.test', 'c.test']) {
    const visitor = await visit(name)
    visitor.get('/', name, 'Connection: close')
    running.push(visitor)
    await until('the request', () => agent.streams.length === running.length)
  }

  const answer = await agent.update([http('b.test', 'new'), http('c.test'), http('d.test')])
  t.match(answer, { type: 'updated', ok: true, hosts: ['b.test', 'c.test', 'd.test'] })
  t.match(gateway.status().sessions[0]?.routes, [
    { name: 'b.test', target: 'new' },
    { name: 'c.test' },
    { name: 'd.test' },
  ])
  t.equal(log.count('tunnels changed'), 1)
  agent.serve = () => saying('after')
  for (const name of ['b.test', 'd.test']) {
    const visitor = await visit(name)
    visitor.get('/', name, 'Connection: close')
    t.match(await visitor.rest(), /after$/)
  }
  await t.rejects(visit('a.test'), { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' })
  for (const [index, visitor] of running.entries()) {
    agent.streams[index]?.write(saying(`before ${index}`))
    t.match(await visitor.rest(), new RegExp(`before ${index}$`))
  }
})

t.test('an update that is refused changes nothing', async (t) => {
  const [first = 0, second = 0] = await freePorts(2)
  const ranges = [first, second].map((port) => ({ min: port, max: port }))
  const { gateway } = await start(t, { tcpPorts: { ranges } })
  const port = gateway.addresses.tunnel?.port
  const other = await connectAgent(t, port)
  await other.register({}, [http('taken.test')])
  const agent = await connectAgent(t, port)
  await agent.register({}, [http('a.test'), tcp('db.test', first)])
  const before = gateway.status().sessions[1]?.routes
  const cases: [tunnels: object[], code: string][] = [
    [[], 'NO_ROUTES'],
    [[http('b.test'), http('taken.test')], 'HOST_TAKEN'],
    [[http('b.test'), http('gateway.test')], 'HOST_RESERVED'],
    [[http('b.test'), tcp('db.test', 1)], 'PORT_NOT_ALLOWED'],
    [[http('taken.test'), tcp('db.test', first), tcp('two.test', second)], 'HOST_TAKEN'],
  ]
  for (const [tunnels, code] of cases) {
    t.match(await agent.update(tunnels), { ok: false, code, error: String })
    t.strictSame(gateway.status().sessions[1]?.routes, before)
  }
  t.ok((await knock(t, first)).socket.remotePort, 'its port is still open')
  t.match((await knock(t, second)).error, { code: 'ECONNREFUSED' })
})

t.test('ports that stay are not closed, those that go are', async (t) => {
  const ports = await freePorts(2)
  const [first = 0, second = 0] = ports
  const ranges = ports.map((port) => ({ min: port, max: port }))
  const { gateway } = await start(t, { tcpPorts: { ranges } })
  const agent = await connectAgent(t, gateway.addresses.tunnel?.port)
  await agent.register({}, [tcp('a.test', first), tcp('b.test', second)])
  const visitor = await knock(t, first)
  await until('the stream', () => agent.streams.length === 1)
  const answer = await agent.update([tcp('a.test', first), http('c.test')])
  t.match(answer, { ok: true, ports: { 'a.test': first } })
  t.match((await knock(t, second)).error, { code: 'ECONNREFUSED' })
  await knock(t, first)
  await until('another stream', () => agent.streams.length === 2)
  t.notOk(visitor.error ?? visitor.hasEnded)
  t.match(await agent.update([tcp('a.test', 0)]), { ok: true, ports: { 'a.test': first } })
})
