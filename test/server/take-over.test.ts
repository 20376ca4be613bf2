import { createServer } from 'node:net'
import t from 'tap'
import { mintToken } from '../../src/auth/jwt.ts'
import { listen } from '../../src/net/listen.ts'
import { PortRanges } from '../../src/net/port-ranges.ts'
import { until } from '../mux/turns.ts'
import { knock } from './edge-fixture.ts'
import { testSecret, token } from './fake-agent.ts'
import { connectAgent, start } from './gateway-fixture.ts'

// An agent that comes back while the gateway still holds its last session, or has just lost it.

const saying = (text: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`
const capabilities = ['take-over']
const shed = { agent: { id: 'shed' }, capabilities }
const names = { 'app.test': 'x', 'old.test': 'x' }

function tokenOf(name: string): string {
  return mintToken({
    secret: testSecret,
    name,
    scope: { hosts: ['*.test'], ports: new PortRanges([]), ssh: false },
  })
}

t.test('the same agent takes its names over', async (t) => {
  const { gateway, visit, log } = await start(t, { limits: { agents: 1 } })
  const port = gateway.addresses.tunnel?.port
  const first = await connectAgent(t, port)
  first.serve = () => undefined
  t.match(await first.register(names, undefined, shed), { ok: true })
  const waiting = await visit('app.test')
  waiting.get('/', 'app.test', 'Connection: close')
  await until('the request', () => first.streams.length === 1)

  const second = await connectAgent(t, port)
  second.serve = () => saying('second')
  t.match(
    await second.register({ 'app.test': 'x' }, undefined, shed),
    { ok: true },
    'though the gateway takes no more agents',
  )
  // Too late: it must not take them back.
  first.control?.write(
    `${JSON.stringify({ type: 'update', tunnels: [{ hostname: 'app.test' }] })}\n`,
  )
  const { sessions } = gateway.status()
  t.match(sessions, [{ routes: [] }, { routes: [{ name: 'app.test' }] }])

  t.test('new visitors go to its new session', async (t) => {
    const visitor = await visit('app.test')
    visitor.get('/', 'app.test', 'Connection: close')
    t.match(await visitor.rest(), /second$/)
  })
  t.test('a name that it wants no more is free', async (t) => {
    await t.rejects(visit('old.test'), { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' })
  })
  t.test('the old session is told, and finishes what it has', async (t) => {
    await until('two words', () => first.messages.length === 3)
    t.strictSame(first.messages[1], { type: 'replaced', session: sessions[1]?.id })
    t.match(first.messages[2], { type: 'updated', ok: false })
    await until('the go-away', () => !first.session.canOpen)
    t.equal(first.session.isClosed, false)
    first.streams[0]?.write(saying('first'))
    t.match(await waiting.rest(), /first$/)
    await until('its end', () => first.session.isClosed)
    t.equal(log.count('agent replaced'), 1)
  })
  t.test('which takes nothing from the new one', async (t) => {
    t.match(gateway.status().sessions, [{ routes: [{ name: 'app.test' }] }])
  })
})

t.test('an old session that does not finish is cut off', async (t) => {
  const { gateway, visit } = await start(t, { shutdownGraceMs: 50 })
  const port = gateway.addresses.tunnel?.port
  const first = await connectAgent(t, port)
  await first.register(names, undefined, shed)
  const waiting = await visit('app.test')
  waiting.get('/', 'app.test', 'Connection: close')
  await until('the request', () => first.streams.length === 1)
  const second = await connectAgent(t, port)
  await second.register(names, undefined, shed)
  t.match(await waiting.rest(), /^HTTP\/1\.1 50[23] /)
  await until('its end', () => first.session.isClosed)
})

t.test('any other agent is refused', async (t) => {
  const { gateway } = await start(t)
  const port = gateway.addresses.tunnel?.port
  const holder = await connectAgent(t, port)
  await holder.register({ 'app.test': 'x' }, undefined, shed)
  const go = await connectAgent(t, port)
  await go.register({ 'go.test': 'x' })
  const cases: [name: string, hostname: string, more: object][] = [
    ['with another id', 'app.test', { agent: { id: 'office' } }],
    ['without an id, as Go agents are', 'app.test', {}],
    ['with an empty id', 'app.test', { agent: { id: '' } }],
    ['with the id, and a token made for another', 'app.test', { ...shed, token: tokenOf('bob') }],
    ['for the name of a Go agent, another Go agent', 'go.test', {}],
    ['for the name of a Go agent, one with an id', 'go.test', shed],
  ]
  for (const [name, hostname, more] of cases) {
    t.test(name, async (t) => {
      const other = await connectAgent(t, port)
      const error = `host already registered: ${hostname}`
      t.match(await other.register({ [hostname]: 'x' }, undefined, more), { ok: false, error })
      t.equal(holder.session.isClosed || go.session.isClosed, false)
    })
  }
})

t.test('after a loss names wait for whoever had them', async (t) => {
  const { gateway } = await start(t)
  const port = gateway.addresses.tunnel?.port
  const register = async (hostname: string, more: object) => {
    const agent = await connectAgent(t, port)
    const ack = await agent.register({ [hostname]: 'x' }, undefined, more)
    return { agent, ack }
  }
  const alice = { ...shed, token: tokenOf('alice') }
  const gone = () => until('its end', () => gateway.status().sessions.length === 0)

  t.test('and for no other', async (t) => {
    const { agent } = await register('app.test', alice)
    agent.socket.destroy()
    await gone()
    for (const more of [{ token: tokenOf('bob') }, {}]) {
      const { ack } = await register('app.test', more)
      t.match(ack, { ok: false, error: 'host already registered: app.test', code: 'HOST_TAKEN' })
    }
    const { agent: back, ack } = await register('app.test', {
      ...alice,
      agent: { id: 'her new machine' },
    })
    t.match(ack, { ok: true })
    back.session.goAway()
    await back.session.ping()
    back.socket.end()
    await gone()
  })

  t.test('but not of one that says goodbye', async (t) => {
    const { agent } = await register('app.test', alice)
    agent.session.goAway()
    await agent.session.ping()
    agent.socket.end()
    await gone()
    const { agent: other, ack } = await register('app.test', { token: tokenOf('bob') })
    t.match(ack, { ok: true })
    other.session.goAway()
    await other.session.ping()
    other.socket.end()
    await gone()
  })

  t.test('nor of one without an id', async (t) => {
    const { agent } = await register('app.test', {})
    agent.socket.destroy()
    await gone()
    const { ack } = await register('app.test', { token: tokenOf('bob') })
    t.match(ack, { ok: true })
  })
})

t.test('ports stay open over a take-over', async (t) => {
  const free = createServer()
  const { port } = await listen(free, { port: 0, host: '127.0.0.1' })
  await new Promise((resolve) => free.close(resolve))
  const { gateway } = await start(t, { tcpPorts: { ranges: [{ min: port, max: port }] } })
  const agentPort = gateway.addresses.tunnel?.port
  for (const listenPort of [port, 0, 0]) {
    t.test(`listen_port ${listenPort === 0 ? 'any' : 'by number'}`, async (t) => {
      const agent = await connectAgent(t, agentPort)
      const tunnel = { hostname: 'db.test', mode: 'tcp', target: 'x', listen_port: listenPort }
      const ack = await agent.register({}, [tunnel], shed)
      t.match(ack, { ok: true, ports: { 'db.test': port } })
      const visitor = await knock(t, port)
      await until('the stream', () => agent.streams.length === 1)
      visitor.socket.destroy()
    })
  }
  t.test('and close with the last session', async (t) => {
    const last = await connectAgent(t, agentPort)
    await last.register({ 'app.test': 'x' }, undefined, { ...shed, token: token() })
    const visitor = await knock(t, port)
    await visitor.rest()
    t.match(visitor.error, { code: 'ECONNREFUSED' })
  })
})
