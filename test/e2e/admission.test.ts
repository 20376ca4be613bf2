import net, { type Socket } from 'node:net'
import t from 'tap'
import { sharedSecret, spawnAgent, startAgent, startGateway } from '../support/programs.ts'
import { dialTunnelPort, GoAgent, goToken, registerLine } from './go-peers.ts'
import { serveHttp } from './targets.ts'
import { visit } from './visitor.ts'

// Who is let in, and who is not and is told what.

t.jobs = 16
const site = await serveHttp(t, (_request, response) => response.end('hello'))
const gateway = await startGateway(t)
const first = await startAgent(t, gateway, [{ hostname: 'app.localhost', target: site }])
const routes = { 'new.localhost': '127.0.0.1:3000' }

/** What a register is answered with; the capabilities, which grow, and the time are left out. */
const refusals: Record<string, { line: string; ack: string }> = {
  'an expired token': {
    line: registerLine(routes, { token: goToken({ expireSec: -60 }) }),
    ack: '{"type":"ack","ok":false,"error":"auth failed","code":"TOKEN_EXPIRED"}',
  },
  'alg none, and no signature': {
    line: registerLine(routes, {
      token: goToken({ header: '{"alg":"none","typ":"JWT"}' }).replace(/[^.]+$/, ''),
    }),
    ack: '{"type":"ack","ok":false,"error":"auth failed","code":"AUTH_FAILED"}',
  },
  'alg none over a good signature': {
    line: registerLine(routes, { token: goToken({ header: '{"alg":"none","typ":"JWT"}' }) }),
    ack: '{"type":"ack","ok":false,"error":"auth failed","code":"AUTH_FAILED"}',
  },
  'another algorithm with the right secret': {
    line: registerLine(routes, {
      token: goToken({ header: '{"alg":"HS512","typ":"JWT"}', hash: 'sha512' }),
    }),
    ack: '{"type":"ack","ok":false,"error":"auth failed","code":"AUTH_FAILED"}',
  },
  'another secret': {
    line: registerLine(routes, { token: goToken({ secret: 'x'.repeat(32) }) }),
    ack: '{"type":"ack","ok":false,"error":"auth failed","code":"AUTH_FAILED"}',
  },
  'no token': {
    line: '{"type":"register","routes":{"new.localhost":"127.0.0.1:3000"}}\n',
    ack: '{"type":"ack","ok":false,"error":"auth failed","code":"AUTH_FAILED"}',
  },
  'no routes': {
    line: registerLine({}),
    ack: '{"type":"ack","ok":false,"error":"no routes","code":"NO_ROUTES"}',
  },
  'a name that is held': {
    line: registerLine({ ...routes, 'app.localhost': '127.0.0.1:3000' }),
    ack: '{"type":"ack","ok":false,"error":"host already registered: app.localhost","code":"HOST_TAKEN"}',
  },
  'a name of the gateway': {
    line: registerLine({ ...routes, 'gateway.localhost': '127.0.0.1:3000' }),
    ack: '{"type":"ack","ok":false,"error":"hostname belongs to the gateway: gateway.localhost","code":"HOST_RESERVED"}',
  },
  'a name that is none': {
    line: registerLine({ ...routes, '10.0.0.1': '127.0.0.1:3000' }),
    ack: '{"type":"ack","ok":false,"error":"invalid hostname: 10.0.0.1","code":"HOST_INVALID"}',
  },
  'a mode that is none': {
    line: registerLine(routes, { modes: { 'new.localhost': 'gopher' } }),
    ack: '{"type":"ack","ok":false,"error":"unknown mode for new.localhost: gopher","code":"MODE_UNKNOWN"}',
  },
  'a line that is no JSON': {
    line: 'GET / HTTP/1.1\r\n',
    ack: '{"type":"ack","ok":false,"error":"bad register message","code":"BAD_REGISTER"}',
  },
  'routes that are a list': {
    line: '{"type":"register","token":"x","routes":["new.localhost"]}\n',
    ack: '{"type":"ack","ok":false,"error":"bad register message","code":"BAD_REGISTER"}',
  },
  'another message first': {
    line: '{"type":"pong","ts":1}\n',
    ack: '{"type":"ack","ok":false,"error":"bad register message","code":"BAD_REGISTER"}',
  },
  'a line without end': {
    line: `{"type":"register","token":"${'x'.repeat(65_536)}`,
    ack: '{"type":"ack","ok":false,"error":"bad register message","code":"BAD_REGISTER"}',
  },
}

for (const [what, { line, ack }] of Object.entries(refusals)) {
  t.test(`refuses ${what}, in so many words`, async (t) => {
    const agent = await GoAgent.connect(t, gateway)
    agent.control.write(line)
    t.equal(withoutCapabilities(await agent.line()), ack)
    await agent.closed
  })
}

t.test('whoever does not register is gone after 10 s', async (t) => {
  const silent = net.connect(gateway.ports.tunnel, '127.0.0.1')
  t.teardown(() => silent.destroy())
  const handshaken = await dialTunnelPort(t, gateway)
  const opened = await GoAgent.connect(t, gateway)
  const started = await GoAgent.connect(t, gateway)
  started.control.write('{"type":"register",')
  const startMs = performance.now()
  await Promise.all([closed(silent), closed(handshaken), opened.closed, started.closed])
  const tookMs = performance.now() - startMs
  t.ok(tookMs < 15_000, `${Math.round(tookMs)} ms`)
  // All but the silent one, of whom the gateway never heard a byte; each is told of.
  await gateway.program.waitFor('no agent at the other end', { code: 'SERVER_REGISTER_TIMEOUT' }, 3)
})

t.test('an agent with another secret ends with 77, and says why', async (t) => {
  const config = { jwt_secret: 'another-secret-of-no-less-than-32-bytes' }
  const agent = spawnAgent(t, gateway, [{ hostname: 'new.localhost', target: site }], { config })
  t.match(await agent.exited, { code: 77 })
  t.match(agent.stderr, /^error: the gateway refused the registration: auth failed/)
})

t.test('an agent with a wrong configuration ends with 2, and says where', async (t) => {
  const config = { jwt_secrets: 'x' }
  const agent = spawnAgent(t, gateway, [{ hostname: 'not a name', target: site }], { config })
  t.match(await agent.exited, { code: 2 })
  t.match(agent.stderr, /config-\S+\.yaml:1:\d+: jwt_secrets: is no key here/)
  t.match(agent.stderr, /config-\S+\.yaml:1:\d+: tunnels\[0\]\.hostname: "not a name"/)
})

t.test('a second agent for a name is refused, keeps asking, and gets it in the end', async (t) => {
  const offer = [{ hostname: 'wanted.localhost', target: site }]
  const holder = await startAgent(t, gateway, offer)
  const second = spawnAgent(t, gateway, offer)
  const refused = await second.waitFor('refused', { code: 'HOST_TAKEN' })
  t.match(refused.reason, /host already registered: wanted\.localhost$/)
  await second.waitFor('refused', {}, 2)
  t.match(await visit(gateway, 'wanted.localhost'), { status: 200 })
  await holder.kill('SIGKILL')
  await second.waitFor('connected')
  t.match(await visit(gateway, 'wanted.localhost'), { status: 200 })
})

t.test('nothing of all this moved the first agent', { buffered: false }, async (t) => {
  t.match(await visit(gateway, 'app.localhost'), { status: 200 })
  t.equal(first.logged('connected').length, 1)
  t.equal(first.logged('connection lost').length, 0)
  const said = [...gateway.program.log, ...first.log].map((line) => JSON.stringify(line)).join()
  t.notMatch(said, sharedSecret)
  t.notMatch(said, goToken().split('.')[0])
})

async function closed(socket: Socket): Promise<void> {
  socket.resume()
  await new Promise((resolve) => socket.once('close', resolve))
}

function withoutCapabilities(line = ''): string {
  return line.replace(/,"(?:capabilities":\[[^\]]*\]|ts":\d+)/g, '')
}
