import { createHmac } from 'node:crypto'
import t from 'tap'
import type { MuxStream } from '../../src/mux/index.ts'
import { Refusal } from '../../src/server/offer.ts'
import type { Route, Visitor } from '../../src/server/upstream.ts'
import { pass, settle, until } from '../mux/turns.ts'
import { bytesOf, gateway, testSecret, token } from './fake-agent.ts'

const visitor: Visitor = {
  remoteAddress: '192.0.2.7',
  remotePort: 4711,
  localAddress: '198.51.100.1',
  localPort: 443,
}

t.test('an agent that offers free names', async (t) => {
  const { registry, connect } = gateway(t)
  const agent = connect()
  agent.register({
    routes: { 'App.Test.': 'localhost:3000', 'db.test': ':5432' },
    modes: { 'db.test': 'TCP' },
  })
  const tunnel = await agent.admitted

  t.test('is told so, with the names it has', async (t) => {
    await until('the ack', () => agent.messages.length === 1)
    t.match(agent.messages[0], {
      type: 'ack',
      ok: true,
      session: tunnel.id,
      hosts: ['app.test', 'db.test'],
      capabilities: ['proxy-preamble'],
    })
  })

  t.test('holds them, by their canonical names, with the keys it wrote', async (t) => {
    t.match(registry.lookup('app.test'), {
      key: 'App.Test.',
      mode: 'http',
      target: 'localhost:3000',
    })
    t.match(registry.lookup('db.test'), { key: 'db.test', mode: 'tcp', target: ':5432' })
    t.equal(registry.lookup('app.test')?.holder, tunnel)
  })

  t.test('shows on the status page', async (t) => {
    t.match(tunnel.status(), {
      id: tunnel.id,
      remoteAddress: '203.0.113.9',
      streams: 0,
      routes: [{ name: 'app.test' }, { name: 'db.test' }],
    })
  })

  t.test('gets streams with its own key in the preamble', async (t) => {
    const route = registry.lookup('app.test') as Route
    const stream = tunnel.open(route, visitor)
    stream.end('hello')
    const arrived = await agent.stream(0)
    t.equal((await bytesOf(arrived, 17)).toString('latin1'), '\x01\0\x09App.Test.hello')
    t.equal(tunnel.status().streams, 1)
    arrived.end()
    stream.resume()
    await until('the stream is closed', () => tunnel.status().streams === 0)
  })

  t.test('may open no stream but the first', async (t) => {
    const second = agent.session.open()
    const errors: unknown[] = []
    second.on('error', (error) => errors.push(error))
    second.write('{"type":"register"}\n')
    await until('the reset', () => second.destroyed)
    t.match(errors, [{ code: 'MUX_STREAM_RESET' }])
    t.equal(agent.session.isClosed, false)
  })

  t.test('may send messages that we do not know', async (t) => {
    agent.control.write('{"type":"metrics","cpu":1}\n{"type":"pong","ts":1}\n')
    await settle()
    t.equal(agent.session.isClosed, false)
  })

  t.test('has no name left in the tick its session ends', async (t) => {
    agent.transport.destroy()
    await until('the end', () => agent.ended.length === 1)
    t.equal(registry.size, 0)
  })
})

t.test('the visitor is told to agents that can read it, in tcp mode', async (t) => {
  const { registry, connect } = gateway(t)
  const agent = connect()
  agent.register({
    routes: { 'db.test': ':1', 'app.test': ':2' },
    modes: { 'db.test': 'tcp' },
    capabilities: ['proxy-preamble'],
  })
  const tunnel = await agent.admitted
  tunnel.open(registry.lookup('db.test') as Route, visitor).on('error', () => {})
  tunnel.open(registry.lookup('app.test') as Route, visitor).on('error', () => {})
  const v2 = await bytesOf(await agent.stream(0), 16)
  const v1 = await bytesOf(await agent.stream(1), 3)
  t.equal(v2.toString('hex', 0, 13), '0d0a0d0a000d0a515549540a21')
  t.equal(v1.toString('hex', 0, 3), '010008')
})

t.test('an upstream whose session is gone gives a stream that fails', async (t) => {
  const { registry, connect } = gateway(t)
  const agent = connect()
  agent.register({ routes: { 'app.test': ':1' } })
  const tunnel = await agent.admitted
  const route = registry.lookup('app.test') as Route
  agent.transport.destroy()
  await until('the end', () => agent.ended.length === 1)
  const stream = tunnel.open(route, visitor)
  const errors: unknown[] = []
  stream.on('error', (error) => errors.push(error))
  await until('the failure', () => errors.length > 0)
  t.match(errors, [{ code: 'MUX_SESSION_CLOSED' }])
})

t.test('refuses, says why, and closes the session', async (t) => {
  const hourAgo = Date.now() / 1000 - 3_600
  const good = { routes: { 'app.test': ':1' } }
  const cases: [name: string, message: object | string, error: string, code: string][] = [
    [
      'a token of another secret',
      { ...good, token: token({ secret: `${testSecret}?` }) },
      'auth failed',
      'AUTH_FAILED',
    ],
    [
      'an expired token',
      { ...good, token: token({ nowSec: hourAgo, expireSec: 60 }) },
      'auth failed',
      'TOKEN_EXPIRED',
    ],
    ['alg none', { ...good, token: forged('none', '') }, 'auth failed', 'AUTH_FAILED'],
    [
      'another HMAC than HS256',
      { ...good, token: forged('HS512', 'sha512') },
      'auth failed',
      'AUTH_FAILED',
    ],
    ['no token', { ...good, token: '' }, 'auth failed', 'AUTH_FAILED'],
    ['no routes', { routes: {} }, 'no routes', 'NO_ROUTES'],
    [
      'what is no hostname',
      { routes: { '../etc': ':1' } },
      'invalid hostname: ../etc',
      'HOST_INVALID',
    ],
    [
      'a wildcard',
      { routes: { '*.app.test': ':1' } },
      'invalid hostname: *.app.test',
      'HOST_INVALID',
    ],
    [
      'two spellings of a name',
      { routes: { 'a.test': ':1', 'A.test': ':2' } },
      'invalid hostname: A.test',
      'HOST_INVALID',
    ],
    [
      "the gateway's own name",
      { routes: { 'Gateway.test': ':1' } },
      'hostname belongs to the gateway: Gateway.test',
      'HOST_RESERVED',
    ],
    [
      'the name agents connect to',
      { routes: { 'tunnel.test.': ':1' } },
      'hostname belongs to the gateway: tunnel.test.',
      'HOST_RESERVED',
    ],
    [
      'a mode that it does not have',
      { ...good, modes: { 'app.test': 'udp' } },
      'unknown mode for app.test: udp',
      'MODE_UNKNOWN',
    ],
    ...(
      [
        ['a path that has two readings', 'http', 'a.test//x', {}],
        ['a path with a slash at its end', 'http', 'a.test/x/', {}],
        ['a path in tcp mode', 'tcp', 'a.test/x', {}],
      ] as const
    ).map(([name, mode, hostname, rules]): [string, object, string, string] => [
      name,
      { tunnels: [{ hostname, mode, ...rules }] },
      `invalid hostname: ${hostname}`,
      'HOST_INVALID',
    ]),
    [
      'paths that differ in case alone',
      { tunnels: [{ hostname: 'a.test/x' }, { hostname: 'a.test/X' }] },
      'invalid hostname: a.test/X',
      'HOST_INVALID',
    ],
    [
      'two modes of one name',
      { tunnels: [{ hostname: 'a.test', mode: 'tcp' }, { hostname: 'a.test/x' }] },
      'invalid hostname: a.test/x',
      'HOST_INVALID',
    ],
    ...(
      [
        ['basic_auth', ['alice:password']],
        ['basic_auth', [`alice:scrypt:1048576:8:1$12345678$${'ab'.repeat(64)}`]],
        ['allow_ips', ['10.0.0.0/33']],
        ['deny_ips', ['office']],
        ['host_header', 'a\r\nb: c'],
        ['request_headers', { set: { 'X-A': 'a\nb: c' } }],
        ['request_headers', { set: { 'X-A: b\r\nX-B': 'c' } }],
        ['request_headers', { remove: ['Transfer-Encoding'] }],
        ['response_headers', { set: { 'Content-Length': '1' } }],
        ['response_headers', { set: { 'X-A': 'ü' } }],
      ] as const
    ).map(([option, value]): [string, object, string, string] => [
      `a bad ${option}: ${JSON.stringify(value).slice(0, 50)}`,
      { tunnels: [{ hostname: 'a.test', [option]: value }] },
      `bad register message: bad ${option} of a.test`,
      'BAD_REGISTER',
    ]),
    [
      'basic_auth in tcp mode, which would not ask for it',
      { tunnels: [{ hostname: 'a.test', mode: 'tcp', basic_auth: [] }] },
      'bad register message: basic_auth of a.test needs mode http, not tcp',
      'BAD_REGISTER',
    ],
    ['another first message', '{"type":"pong","ts":1}', 'bad register message', 'BAD_REGISTER'],
    ['what is no JSON', 'GET / HTTP/1.1', 'bad register message', 'BAD_REGISTER'],
    [
      'fields of the wrong type',
      '{"type":"register","token":1}',
      'bad register message',
      'BAD_REGISTER',
    ],
    ['a line beyond 64 KiB', 'x'.repeat(70_000), 'bad register message', 'BAD_REGISTER'],
  ]
  for (const [name, message, error, code] of cases) {
    t.test(name, async (t) => {
      const { registry, connect } = gateway(t)
      const agent = connect()
      if (typeof message === 'string') agent.control.write(`${message}\n`)
      else agent.register(message)
      await t.rejects(agent.admitted, { code: 'SERVER_REGISTER_REFUSED', cause: { code } })
      await until('the end of the session', () => agent.session.isClosed)
      t.match(agent.messages, [{ type: 'ack', ok: false, error, code }])
      t.equal(registry.size, 0)
      t.same(agent.ended, [], 'it was never there')
    })
  }
})

t.test('refuses a second agent for a name, and leaves it none of its others', async (t) => {
  const { registry, connect } = gateway(t)
  const first = connect()
  first.register({ routes: { 'app.test': ':1' } })
  const holder = await first.admitted
  const second = connect()
  second.register({ routes: { 'other.test': ':1', 'APP.test': ':1' } })
  await t.rejects(second.admitted, { code: 'SERVER_REGISTER_REFUSED' })
  await until('the end of the session', () => second.session.isClosed)
  t.match(second.messages, [
    { ok: false, error: 'host already registered: APP.test', code: 'HOST_TAKEN' },
  ])
  t.same(
    [...registry].map(({ name }) => name),
    ['app.test'],
  )
  t.equal(registry.lookup('app.test')?.holder, holder)
  t.equal(first.session.isClosed, false)
})

t.test('refuses agents while it takes none', async (t) => {
  const { connect } = gateway(t, {
    refusal: () => new Refusal('SHUTTING_DOWN', 'gateway is shutting down'),
  })
  const agent = connect()
  agent.register({ routes: { 'app.test': ':1' } })
  await t.rejects(agent.admitted)
  await until('the ack', () => agent.messages.length === 1)
  t.match(agent.messages, [{ ok: false, code: 'SHUTTING_DOWN' }])
})

t.test(
  'takes a register message that comes byte by byte, and what follows in the same chunk',
  async (t) => {
    const { connect } = gateway(t)
    const agent = connect()
    const line = `${JSON.stringify({ type: 'register', token: token(), routes: { 'app.test': ':1' } })}\n`
    for (const byte of line.slice(0, -1)) {
      agent.control.write(byte)
      await settle(1)
    }
    agent.control.write(`\n{"type":"pong","ts":0}\n`)
    t.ok(await agent.admitted)
  },
)

t.test('deadlines', async (t) => {
  t.test('no stream within 10 s', async (t) => {
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const { connect } = gateway(t)
    const agent = connect({ opensControl: false })
    const failed = t.rejects(agent.admitted, { code: 'SERVER_REGISTER_TIMEOUT' })
    await pass(t.clock, 9_000)
    t.equal(agent.session.isClosed, false)
    await pass(t.clock, 1_000)
    await failed
    t.equal(agent.session.isClosed, true)
  })

  t.test('no register message within 10 s, however busy the line is', async (t) => {
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const { registry, connect } = gateway(t)
    const agent = connect()
    const failed = t.rejects(agent.admitted, { code: 'SERVER_REGISTER_TIMEOUT' })
    await settle()
    for (let second = 0; second < 10; second += 1) {
      agent.control.write('{')
      await pass(t.clock, 1_000)
    }
    await failed
    t.equal(agent.session.isClosed, true)
    t.equal(registry.size, 0)
  })

  t.test('a refusal that nobody reads holds the session for 5 s at most', async (t) => {
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const { connect } = gateway(t)
    const agent = connect()
    agent.register({ routes: {} })
    agent.transport.pause()
    const failed = t.rejects(agent.admitted, { code: 'SERVER_REGISTER_REFUSED' })
    await pass(t.clock, 6_000)
    await failed
  })
})

t.test('heartbeat', async (t) => {
  t.test('a ping every 15 s; the answer gives the round trip', async (t) => {
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const { connect } = gateway(t)
    const agent = connect()
    agent.register({ routes: { 'app.test': ':1' } })
    const tunnel = await agent.admitted
    await pass(t.clock, 14_000)
    t.equal(agent.pings(), 0)
    await pass(t.clock, 1_000)
    t.equal(agent.pings(), 1)
    t.equal(tunnel.status().lastPongAgoMs, undefined)
    await pass(t.clock, 2_000)
    agent.control.write('{"type":"pong","ts":5}\n')
    await settle()
    t.equal(tunnel.status().rttMs, 2_000)
    t.equal(tunnel.status().lastPongAgoMs, 0)
    await pass(t.clock, 13_000)
    t.equal(agent.pings(), 2)
    t.equal(tunnel.status().lastPongAgoMs, 13_000)
  })

  t.test('without a pong for 20 s the session ends, and its names are free', async (t) => {
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const { registry, connect } = gateway(t)
    const agent = connect()
    agent.register({ routes: { 'app.test': ':1' } })
    await agent.admitted
    await pass(t.clock, 34_000)
    t.equal(registry.size, 1)
    await pass(t.clock, 1_000)
    t.equal(registry.size, 0)
    t.match(agent.ended, [{ code: 'SERVER_HEARTBEAT_LOST' }])
  })

  t.test('a token that has expired meanwhile ends the session', async (t) => {
    const now = Date.now()
    t.clock.enter()
    t.clock.travel(now)
    t.teardown(() => t.clock.exit())
    const { registry, connect } = gateway(t)
    const agent = connect()
    agent.answersPings = true
    agent.register({ routes: { 'app.test': ':1' }, token: token({ expireSec: 60 }) })
    await agent.admitted
    await pass(t.clock, 59_000)
    t.equal(registry.size, 1)
    await pass(t.clock, 1_000)
    t.equal(registry.size, 0)
    t.match(agent.ended, [{ code: 'SERVER_TOKEN_EXPIRED' }])
  })
})

t.test('ends the session of an agent that', async (t) => {
  const cases: [name: string, act: (control: MuxStream) => void, code: string][] = [
    ['ends its control stream', (control) => control.end(), 'SERVER_CONTROL_ENDED'],
    ['resets it', (control) => control.destroy(), 'MUX_STREAM_RESET'],
    [
      'sends a line beyond 64 KiB',
      (control) => control.write('x'.repeat(70_000)),
      'PROTOCOL_LINE_TOO_LONG',
    ],
    ['sends what is no message', (control) => control.write('hello\n'), 'PROTOCOL_BAD_MESSAGE'],
  ]
  for (const [name, act, code] of cases) {
    t.test(name, async (t) => {
      const { registry, connect } = gateway(t)
      const agent = connect()
      agent.register({ routes: { 'app.test': ':1' } })
      await agent.admitted
      act(agent.control)
      await until('the end', () => agent.ended.length === 1)
      const reason = agent.ended[0] as { code?: string; cause?: { code?: string } }
      t.ok([reason.code, reason.cause?.code].includes(code), `${reason.code}`)
      t.equal(registry.size, 0)
    })
  }
})

t.test('an agent that says go-away leaves its names to others, and ends what it has', async (t) => {
  const { registry, connect } = gateway(t)
  const [first, second] = [connect(), connect()]
  first.register({ routes: { 'app.test': ':1' } })
  const tunnel = await first.admitted
  tunnel.open(registry.lookup('app.test') as Route, visitor).on('error', () => {})
  await first.stream(0)
  first.session.goAway()
  await until('the name is free', () => registry.size === 0)
  second.register({ routes: { 'app.test': ':1' } })
  t.equal((await second.admitted).id, registry.lookup('app.test')?.holder.id)
  first.transport.destroy()
  await until('the end of the first', () => first.ended.length === 1)
  t.equal(registry.size, 1, 'which takes nothing from the second')
})

t.test('closing a tunnel', async (t) => {
  t.test('waits for its streams', async (t) => {
    const { registry, connect } = gateway(t)
    const agent = connect()
    agent.register({ routes: { 'app.test': ':1' } })
    const tunnel = await agent.admitted
    const stream = tunnel.open(registry.lookup('app.test') as Route, visitor)
    const far = await agent.stream(0)
    const closed = tunnel.close(60_000, new Error('closing'))
    await settle()
    t.equal(agent.session.isClosed, false)
    far.resume().end('the rest')
    stream.end()
    t.equal((await bytesOf(stream, 8)).toString(), 'the rest')
    await closed
    await until('the end', () => agent.session.isClosed)
  })

  t.test('but not longer than it may', async (t) => {
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const { registry, connect } = gateway(t)
    const agent = connect()
    agent.register({ routes: { 'app.test': ':1' } })
    const tunnel = await agent.admitted
    tunnel.open(registry.lookup('app.test') as Route, visitor).on('error', () => {})
    const closed = tunnel.close(3_000, new Error('closing'))
    await pass(t.clock, 3_000)
    await closed
    t.equal(registry.size, 0)
  })
})

/** Made without the code under test. */
function forged(alg: string, digest: string): string {
  const [header, payload] = [
    { alg, typ: 'JWT' },
    { iss: 'test', exp: 4_102_444_800 },
  ].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  const signed = `${header}.${payload}`
  const signature = digest ? createHmac(digest, testSecret).update(signed).digest('base64url') : ''
  return `${signed}.${signature}`
}
