import { createHmac } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { buffer } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { sharedSecret, spawnAgent, startGateway } from '../support/programs.ts'
import { type GatewaySession, GoAgent, GoGateway, goToken, registerLine } from './go-peers.ts'
import { closedPort, serveHttp, serveTcp } from './targets.ts'
import { connectTo, heard, visit } from './visitor.ts'

// Our programs with peers that are the Go program's.

t.jobs = 8
const requestHead = 'HTTP/1.1\r\nHost: app.localhost\r\n'
const events = new EventEmitter<{ held: []; release: [] }>()
const site = await serveHttp(t, async (request, response) => {
  const { method, url } = request
  const body = await buffer(request)
  if (url?.startsWith('/slow')) await delay(100)
  if (url === '/held') {
    events.emit('held')
    await once(events, 'release')
  }
  response.end(`${method} ${url} ${body}`)
})
const echo = await serveTcp(t, (socket) => socket.pipe(socket))
const gateway = await startGateway(t)

t.test('a Go agent is served as it expects', async (t) => {
  const agent = await GoAgent.connect(t, gateway)
  // Names to the letter as it registered them, whatever visitors and we make of them.
  const preambles = agent.serve({ 'Go.Localhost.': site, 'go-tcp.localhost': echo })
  agent.control.write(
    `{"type":"register","token":"${goToken()}","routes":{"Go.Localhost.":"127.0.0.1:${site}","go-tcp.localhost":"127.0.0.1:${echo}"},"modes":{"go-tcp.localhost":"TCP"}}\n`,
  )
  t.match(await agent.line(), /^\{"type":"ack","ok":true[,}]/)
  const { body } = await visit(gateway, 'go.localhost', '/a', { method: 'POST', body: 'b' })
  t.equal(body.toString(), 'POST /a b')
  const socket = await connectTo(t, gateway, 'go-tcp.localhost')
  socket.end('to a Go agent')
  t.equal(await heard(socket), 'to a Go agent')
  t.strictSame(preambles.map(String), ['\x01\x00\x0dGo.Localhost.', '\x01\x00\x10go-tcp.localhost'])

  t.match(await agent.line(), /^\{"type":"ping","ts":\d{13}\}$/)
  agent.control.write(`{"type":"pong","ts":${Date.now()}}\n`)
  t.match(await visit(gateway, 'go.localhost'), { status: 200 })
  agent.session.destroy()
  await gateway.program.waitFor('agent gone', {})
})

t.test('a Go agent that answers no heartbeat is gone, and its names with it', async (t) => {
  const agent = await GoAgent.connect(t, gateway)
  agent.control.write(registerLine({ 'silent.localhost': '127.0.0.1:1' }))
  const { session } = JSON.parse((await agent.line()) ?? '')
  const startMs = performance.now()
  await agent.closed
  const tookMs = performance.now() - startMs
  t.ok(tookMs > 30_000 && tookMs < 40_000, `${Math.round(tookMs)} ms`)
  await gateway.program.waitFor('agent gone', { session, code: 'SERVER_HEARTBEAT_LOST' })
  const next = await GoAgent.connect(t, gateway)
  next.control.write(registerLine({ 'silent.localhost': '127.0.0.1:1' }))
  t.match(await next.line(), /"ok":true/)
})

t.test('a Go gateway is served as it expects', async (t) => {
  const go = await GoGateway.start(t)
  const agent = spawnAgent(t, go.destination, [
    { hostname: 'App.localhost', target: site },
    { hostname: 'tcp.localhost', target: echo, mode: 'tcp' },
    { hostname: 'none.localhost', target: await closedPort() },
  ])
  const peer = await go.agent()
  const { type, token, routes, modes } = JSON.parse(await peer.line())
  t.equal(type, 'register')
  t.match(routes, {
    'App.localhost': `127.0.0.1:${site}`,
    'tcp.localhost': `127.0.0.1:${echo}`,
  })
  t.strictSame(modes, { 'tcp.localhost': 'tcp' })
  checkToken(t, token)
  await peer.say('{"type":"ack","ok":true}')
  await agent.waitFor('connected')
  await peer.say('{"type":"ping","ts":1700000000000}')
  t.match(await peer.line(), /^\{"type":"pong","ts":\d{13}\}$/)

  // It ends its half behind each request, and servers of Node take that for a visitor who has left.
  const requests = Array.from({ length: 20 }, (_, index) =>
    peer.request(
      'App.localhost',
      `POST /slow/${index} ${requestHead}Content-Length: 4\r\n\r\nbody`,
    ),
  )
  const answers = await Promise.all(requests)
  t.strictSame(
    answers,
    requests.map((_, index) => ['200', `POST /slow/${index} body`]),
  )
  t.equal(await peer.exchange('tcp.localhost', 'bytes'), 'bytes')
  const get = `GET / ${requestHead}\r\n`
  t.strictSame(await peer.request('none.localhost', get), ['502', 'cannot reach local target'])
  t.strictSame(await peer.request('app.localhost', get), ['502', 'no route for hostname'])
})

t.test('a Go gateway that goes away, or restarts, has its agent back', async (t) => {
  const go = await GoGateway.start(t)
  const agent = spawnAgent(t, go.destination, [{ hostname: 'app.localhost', target: site }])
  const leaving = await admitted(go)
  const running = leaving.request('app.localhost', `GET /held ${requestHead}\r\n`)
  await once(events, 'held')
  leaving.session.goAway()
  const next = await admitted(go)
  await agent.waitFor('connected', {}, 2)
  events.emit('release')
  t.strictSame(await running, ['200', 'GET /held '], 'what ran has finished')

  next.session.destroy()
  const last = await admitted(go)
  const answer = await last.request('app.localhost', `GET /back ${requestHead}\r\n`)
  t.strictSame(answer, ['200', 'GET /back '])
})

t.test('what a Go gateway refuses for good ends the agent, the rest does not', async (t) => {
  for (const last of ['auth failed', 'no routes']) {
    const go = await GoGateway.start(t)
    const agent = spawnAgent(t, go.destination, [{ hostname: 'app.localhost', target: site }])
    await refused(go, 'host already registered: app.localhost')
    await agent.waitFor('refused')
    await refused(go, last)
    t.match(await agent.exited, { code: 77 })
    t.match(agent.stderr, `the gateway refused the registration: ${last}`)
  }
})

async function admitted(go: GoGateway): Promise<GatewaySession> {
  const peer = await go.agent()
  await peer.line()
  await peer.say('{"type":"ack","ok":true}')
  return peer
}

async function refused(go: GoGateway, error: string): Promise<void> {
  const peer = await go.agent()
  await peer.line()
  await peer.say(JSON.stringify({ type: 'ack', ok: false, error }))
  await peer.session.close()
}

/** That a Go gateway would take it: HS256 with the shared secret, and not expired. */
function checkToken(t: Test, token: string): void {
  const [header = '', payload = '', signature] = token.split('.')
  const parse = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString())
  const expected = createHmac('sha256', sharedSecret).update(`${header}.${payload}`)
  t.equal(signature, expected.digest('base64url'))
  t.match(parse(header), { alg: 'HS256', typ: 'JWT' })
  t.ok(parse(payload).exp > Date.now() / 1000)
}
