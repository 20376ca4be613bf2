import { once } from 'node:events'
import { createServer, connect as dial } from 'node:net'
import t from 'tap'
import { listen } from '../../src/net/listen.ts'
import { Gateway } from '../../src/server/gateway.ts'
import { until } from '../mux/turns.ts'
import { knock } from './edge-fixture.ts'
import { connectAgent, options, start } from './gateway-fixture.ts'

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

t.test('a request goes through a gateway and its agent, and back', async (t) => {
  const { gateway, visit } = await start(t)
  const agent = await connectAgent(t, gateway.addresses.tunnel?.port, { servername: 'tunnel.test' })
  await agent.register({ 'app.test': 'here' })
  agent.serve = () => ok
  const visitor = await visit('app.test')
  visitor.get('/', 'app.test', 'Connection: close')
  t.match(await visitor.rest(), /^HTTP\/1\.1 200 OK[\s\S]*ok$/)

  t.test('which the status tells of', async (t) => {
    await until(
      'the end of the visit',
      () => gateway.status().gateway.counters.openConnections === 0,
    )
    t.match(gateway.status(), {
      gateway: {
        version: '1.2.3',
        gatewayHost: 'gateway.test',
        isClosing: false,
        addresses: { public: { port: Number }, dashboard: { address: '127.0.0.1' } },
        counters: { connections: 1, requests: 1, failedRequests: 0, admittedAgents: 1 },
      },
      sessions: [{ remoteAddress: '127.0.0.1', routes: [{ name: 'app.test', target: 'here' }] }],
    })
  })

  t.test('and the dashboard shows', async (t) => {
    const dashboard = await knock(t, gateway.addresses.dashboard?.port ?? 0)
    dashboard.get('/', 'localhost', 'Connection: close')
    t.match(await dashboard.rest(), /app\.test/)
  })

  t.test('port 80 knows the name', async (t) => {
    const plain = await knock(t, gateway.addresses.http?.port ?? 0)
    plain.get('/x', 'app.test')
    t.match(
      await plain.rest(),
      `Location: https://app.test:${gateway.addresses.public?.port}/x\r\n`,
    )
  })
})

t.test('agents may come', async (t) => {
  const { gateway } = await start(t)
  const tunnelPort = gateway.addresses.tunnel?.port
  const publicPort = gateway.addresses.public?.port
  const cases: [name: string, port: number | undefined, hello: object][] = [
    ['to the tunnel port', tunnelPort, { servername: 'tunnel.test' }],
    ['there without a name', tunnelPort, {}],
    ['there with any name', tunnelPort, { servername: 'localhost' }],
    ['to the public port, by name', publicPort, { servername: 'tunnel.test' }],
    ['to the public port, by protocol', publicPort, { ALPNProtocols: ['gotunnel'] }],
  ]
  for (const [index, [name, port, hello]] of cases.entries()) {
    t.test(name, async (t) => {
      const agent = await connectAgent(t, port, hello)
      t.match(await agent.register({ [`a${index}.test`]: 'x' }), { ok: true })
      t.match(agent.socket.getPeerCertificate().subjectaltname, 'DNS:tunnel.test')
    })
  }
})

t.test('an agent behind a trusted proxy is known by its own address', async (t) => {
  const trustedProxies = { matches: () => true }
  const { gateway } = await start(t, { trustedProxies })
  const { public: at, tunnel } = gateway.addresses
  const socket = dial(at?.port ?? 0, '127.0.0.1')
  socket.write('PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n')
  const proxied = await connectAgent(t, 0, { socket, servername: 'tunnel.test' })
  await proxied.register({ 'app.test': 'x' })
  // The tunnel port is for agents alone, and takes no headers.
  const direct = await connectAgent(t, tunnel?.port, {})
  await direct.register({ 'other.test': 'x' })
  t.match(gateway.status().sessions, [
    { remoteAddress: '192.0.2.7' },
    { remoteAddress: '127.0.0.1' },
  ])
})

t.test('certificates are for no name in tls mode, and for no port', async (t) => {
  const free = createServer()
  const { port } = await listen(free, { port: 0, host: '127.0.0.1' })
  await new Promise((resolve) => free.close(resolve))
  const { gateway, decide } = await start(t, { tcpPorts: { ranges: [{ min: port, max: port }] } })
  const agent = await connectAgent(t, gateway.addresses.tunnel?.port, {})
  const tunnels = [
    { hostname: 'own.test', mode: 'tls', target: 'x' },
    { hostname: 'ssh.test', mode: 'tcp', target: 'x', ssh: true },
    { hostname: `tcp:${port}`, mode: 'tcp', target: 'x', listen_port: port },
  ]
  t.match(await agent.register({}, tunnels), { ok: true, ports: { [`tcp:${port}`]: port } })
  t.equal(decide('ssh.test'), true)
  for (const name of ['own.test', 'ssh:', `tcp:${port}`]) t.equal(decide(name), false, name)
})

t.test('who is no agent yet', async (t) => {
  t.test('may not be many', async (t) => {
    const { gateway } = await start(t, { limits: { pendingAgents: 2 } })
    const port = gateway.addresses.tunnel?.port ?? 0
    const waiting = [await knock(t, port), await knock(t, port)]
    const third = await knock(t, port)
    await third.rest()
    t.equal(third.text, '')
    for (const client of waiting) client.socket.destroy()
    let agent: Awaited<ReturnType<typeof connectAgent>> | undefined
    while (agent === undefined) agent = await connectAgent(t, port, {}).catch(() => undefined)
    t.match(await agent.register({ 'app.test': 'x' }), { ok: true })
  })

  t.test('may become none, beyond the limit of agents', async (t) => {
    const { gateway, log } = await start(t, { limits: { agents: 1 } })
    const port = gateway.addresses.tunnel?.port
    await (await connectAgent(t, port, {})).register({ 'app.test': 'x' })
    const second = await connectAgent(t, port, {})
    t.match(await second.register({ 'b.test': 'x' }), { ok: false, code: 'AGENT_LIMIT' })
    await until('the line', () => log.count('agent refused') === 1)
    t.equal(gateway.status().gateway.counters.refusedAgents, 1)
  })
})

t.test('certificates are for its own names and for those that agents hold', async (t) => {
  const { gateway, decide } = await start(t)
  t.equal(decide('gateway.test'), true)
  t.equal(decide('tunnel.test'), true)
  t.equal(decide('app.test'), false)
  const agent = await connectAgent(t, gateway.addresses.tunnel?.port, {})
  await agent.register({ 'app.test': 'x' })
  t.equal(decide('app.test'), true)
  agent.socket.destroy()
  await until('the end of the agent', () => gateway.status().sessions.length === 0)
  t.equal(decide('app.test'), false)
})

t.test('a port that is taken: none is bound, and the error says what to change', async (t) => {
  const other = createServer()
  const { port } = await listen(other, { port: 0, host: '127.0.0.1' })
  t.teardown(() => other.close())
  const gateway = new Gateway(options(t, { tunnelPort: port }).options)
  const message = `TUNNEL_PORT=${port}: `
  await t.rejects(gateway.start(), { code: 'SERVER_LISTEN_FAILED', message })
  const none = { public: undefined, tunnel: undefined, http: undefined, dashboard: undefined }
  t.strictSame(gateway.addresses, none)
  await t.rejects(gateway.start(), { code: 'SERVER_NOT_STARTABLE' })
})

t.test('without the http port it goes on, and says so', async (t) => {
  const other = createServer()
  const { port } = await listen(other, { port: 0, host: '127.0.0.1' })
  t.teardown(() => other.close())
  let hasHttp = true
  const challenges = {
    httpAnswer: () => undefined,
    tlsAnswer: () => undefined,
    withoutHttp: () => (hasHttp = false),
  }
  const { gateway, log } = await start(t, { httpPort: port, challenges })
  t.match(gateway.addresses, { http: undefined, public: { port: Number } })
  const warnings = log.lines.filter(({ level }) => level === 'warn')
  t.match(warnings, [{ message: /no http port/, fields: { error: `HTTP_PORT=${port}: ` } }])
  t.equal(hasHttp, false, 'a CA is not sent there')
})

t.test('listens on IPv6 and IPv4', async (t) => {
  const { gateway } = await start(t, { bindAddress: undefined })
  for (const host of ['127.0.0.1', '::1']) {
    const socket = dial(gateway.addresses.http?.port ?? 0, host)
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    t.pass(host)
  }
})

t.test('closing', async (t) => {
  t.test('lets what runs end, and takes nothing new', async (t) => {
    const { gateway, visit } = await start(t, { shutdownGraceMs: 60_000 })
    const agent = await connectAgent(t, gateway.addresses.tunnel?.port, {})
    await agent.register({ 'app.test': 'x' })
    const busy = await visit('app.test')
    busy.get('/', 'app.test')
    await until('the request', () => agent.streams.length === 1)
    const idle = await visit('app.test')
    const { dashboard, ...ports } = gateway.addresses
    const closed = gateway.close()
    t.equal(gateway.status().gateway.isClosing, true)
    await idle.rest()
    for (const address of Object.values(ports)) {
      const late = dial(address?.port ?? 0, '127.0.0.1')
      const [error] = await once(late, 'error')
      t.equal(error.code, 'ECONNREFUSED')
    }
    const ready = await fetch(`http://127.0.0.1:${dashboard?.port}/readyz`)
    t.equal(ready.status, 503, 'and a balancer is told not to send anything')
    await ready.body?.cancel()
    t.equal(agent.session.isClosed, false)
    agent.streams[0]?.write(ok)
    t.match(await busy.rest(), /ok$/)
    await closed
    await until('the end of the agent', () => agent.session.isClosed)
  })

  t.test('ends what does not end by itself', async (t) => {
    const { gateway, visit } = await start(t, { shutdownGraceMs: 300 })
    const agent = await connectAgent(t, gateway.addresses.tunnel?.port, {})
    await agent.register({ 'app.test': 'x' })
    const busy = await visit('app.test')
    busy.get('/', 'app.test')
    const silent = await knock(t, gateway.addresses.public?.port ?? 0)
    const pending = await knock(t, gateway.addresses.tunnel?.port ?? 0)
    await until('the request', () => agent.streams.length === 1)
    await gateway.close()
    t.match(await busy.rest(), /^HTTP\/1\.1 503 /, 'the visitor is told')
    await Promise.all([silent.rest(), pending.rest()])
    await until('the end of the agent', () => agent.session.isClosed)
    t.equal(gateway.status().gateway.counters.openConnections, 0)
  })

  t.test('is done once', async (t) => {
    const { gateway } = await start(t)
    t.equal(gateway.close(), gateway.close())
    await gateway.close()
  })
})
