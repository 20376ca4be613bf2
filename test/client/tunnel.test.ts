import { once } from 'node:events'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Control } from '../../src/client/control.ts'
import type { ClientError } from '../../src/client/errors.ts'
import type { Route } from '../../src/client/forward.ts'
import { Tunnel, type TunnelOptions } from '../../src/client/tunnel.ts'
import type { Message } from '../../src/protocol/messages.ts'
import { CAPABILITIES } from '../../src/protocol/version.ts'
import { duplexPair } from '../support/duplex-pair.ts'
import { admitted, FakeGateway, refusal } from './fake-gateway.ts'

const routes: readonly Route[] = [
  {
    hostname: 'App.Example.com',
    mode: 'http',
    target: { host: '127.0.0.1', port: 3000, text: ':3000' },
  },
  {
    hostname: 'ssh.example.com',
    mode: 'tcp',
    target: { host: '127.0.0.1', port: 22, text: '127.0.0.1:22' },
  },
]
const never = new AbortController().signal

t.test('registers', async (t) => {
  t.test('on the first stream, as a Go gateway reads it, with our own fields beside', async (t) => {
    const [near, far] = duplexPair()
    const gateway = new FakeGateway(far)
    const bytes: Buffer[] = []
    gateway.session.prependListener('stream', (stream) => {
      t.equal(stream.id, 1)
      stream.on('data', (chunk: Buffer) => bytes.push(chunk))
    })
    const tunnel = await open(t, near, { agent: { id: 'a-1', version: '1.2.3' } })
    const [line] = Buffer.concat(bytes).toString().split('\n')
    t.same(JSON.parse(line ?? ''), {
      type: 'register',
      token: 'the token',
      routes: { 'App.Example.com': ':3000', 'ssh.example.com': '127.0.0.1:22' },
      modes: { 'ssh.example.com': 'tcp' },
      agent: { id: 'a-1', version: '1.2.3' },
      capabilities: CAPABILITIES.filter((each) => each !== 'request-news'),
      tunnels: [
        { hostname: 'App.Example.com', mode: 'http', target: ':3000' },
        { hostname: 'ssh.example.com', mode: 'tcp', target: '127.0.0.1:22' },
      ],
    })
    t.equal(tunnel.sessionId, 's-1')
    t.equal(tunnel.streamCount, 0)
  })

  t.test('with what its tunnels ask of the gateway', async (t) => {
    const [near, far] = duplexPair()
    const gateway = new FakeGateway(far)
    const register = once(gateway, 'message')
    const target = { host: 'localhost', port: 22, text: 'localhost:22' }
    await open(t, near, {
      routes: [
        { hostname: 'tcp:0', mode: 'tcp', target, listenPort: 0, ssh: true, proxyProtocol: 'v2' },
        { hostname: 'own.test', mode: 'tls', target, idleTimeoutSec: 60 },
        { hostname: 'db.test', mode: 'tcp', target, alpn: ['postgresql'] },
      ],
    })
    const [message] = await register
    t.match(message, {
      modes: new Map([
        ['tcp:0', 'tcp'],
        ['own.test', 'tls'],
        ['db.test', 'tcp'],
      ]),
      tunnels: [
        { hostname: 'tcp:0', mode: 'tcp', target: 'localhost:22', listenPort: 0, ssh: true },
        { hostname: 'own.test', mode: 'tls', target: 'localhost:22', idleTimeoutSec: 60 },
        { hostname: 'db.test', mode: 'tcp', target: 'localhost:22', alpn: ['postgresql'] },
      ],
    })
  })

  for (const [text, code, isFinal] of [
    ['auth failed', undefined, true],
    ['no routes', undefined, true],
    ['host already registered: app.example.com', undefined, false],
    ['something a later Go program says', undefined, false],
    ['auth failed', 'AUTH_FAILED', true],
    ['host already registered: app.example.com', 'HOST_TAKEN', false],
    ['hostname belongs to the gateway: a', 'HOST_RESERVED', true],
    ['port not allowed: 2222', 'PORT_NOT_ALLOWED', true],
    ['port already taken: 2222', 'PORT_TAKEN', false],
    ['ssh tunnel already registered: a', 'SSH_TAKEN', false],
    ['gateway is shutting down', 'SHUTTING_DOWN', false],
    ['later', 'NOT_KNOWN_TO_US', false],
  ] as const) {
    const what = isFinal ? 'final' : 'worth another try'
    t.test(`"${text}" with code ${code} is a refusal that is ${what}`, async (t) => {
      const [near, far] = duplexPair()
      new FakeGateway(far, refusal(text, code))
      const error = await open(t, near).catch((error: ClientError) => error)
      t.match(error, { code: 'CLIENT_REFUSED', refusal: { text, code, isFinal } })
      t.match(error, { message: text })
      await closed(near)
    })
  }

  for (const rules of [
    { basicAuth: [] },
    { allowIps: ['10.0.0.1'] },
    { denyIps: [] },
    { hostHeader: 'a' },
    { requestHeaders: { set: new Map(), remove: ['cookie'] } },
  ]) {
    t.test(`leaves a gateway that knows nothing of ${Object.keys(rules)}`, async (t) => {
      const [near, far] = duplexPair()
      new FakeGateway(far)
      const guarded = { ...(routes[0] as Route), ...rules }
      await t.rejects(open(t, near, { routes: [guarded] }), { code: 'CLIENT_GATEWAY_TOO_OLD' })
      await closed(near)
    })
  }

  t.test('leaves it also when rules are new', async (t) => {
    const [near, far] = duplexPair()
    const gateway = new FakeGateway(far, { ...admitted, capabilities: ['update'] })
    const tunnel = await open(t, near)
    const messages: Message[] = []
    gateway.on('message', (message) => messages.push(message))
    const update = tunnel.update([{ ...(routes[0] as Route), denyIps: ['10.0.0.1'] }])
    await t.rejects(update, {
      code: 'CLIENT_GATEWAY_TOO_OLD',
      message: 'too old for deny_ips of App',
    })
    await closed(near)
    t.same(messages, [], 'and does not ask')
    t.match(tunnel.error, { code: 'CLIENT_GATEWAY_TOO_OLD' })
  })

  t.test('hears the reason of a gateway whose go-away overtakes it', async (t) => {
    const [near, far] = duplexPair()
    const gateway = new FakeGateway(far, refusal('gateway is shutting down', 'SHUTTING_DOWN'))
    gateway.prependListener('message', () => gateway.session.goAway())
    await t.rejects(open(t, near), { code: 'CLIENT_REFUSED', refusal: { code: 'SHUTTING_DOWN' } })
  })

  t.test('gives up after 10 s without an answer', async (t) => {
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const [near, far] = duplexPair()
    const gateway = new FakeGateway(far, undefined)
    const opening = open(t, near)
    await once(gateway, 'message')
    t.clock.advance(9_999)
    t.notOk(near.destroyed)
    t.clock.advance(1)
    t.clock.advance(500) // in which what has come could have been read
    await t.rejects(opening, { code: 'CLIENT_NO_ANSWER', message: '10 s' })
  })

  t.test('fails at once when the gateway goes away instead', async (t) => {
    for (const [how, code] of [
      [(gateway: FakeGateway) => gateway.control?.end(), 'CLIENT_GATEWAY_GONE'],
      [(gateway: FakeGateway) => gateway.control?.destroy(), 'CLIENT_GATEWAY_GONE'],
      [(gateway: FakeGateway) => gateway.session.destroy(), 'CLIENT_GATEWAY_GONE'],
      [(gateway: FakeGateway) => gateway.say('Hello!\n'), 'CLIENT_GATEWAY_BROKEN'],
    ] as const) {
      const [near, far] = duplexPair()
      const gateway = new FakeGateway(far, undefined)
      gateway.on('message', () => how(gateway))
      await t.rejects(open(t, near), { code })
    }
  })

  t.test('stops when the signal aborts, before or while it waits', async (t) => {
    for (const isEarly of [true, false]) {
      const [near, far] = duplexPair()
      const gateway = new FakeGateway(far, undefined)
      const stop = new AbortController()
      if (isEarly) stop.abort()
      else gateway.on('message', () => stop.abort())
      await t.rejects(open(t, near, {}, stop.signal), { code: 'CLIENT_CLOSED' })
      await closed(near)
    }
  })

  t.test('refuses to send what no gateway would read', async (t) => {
    const [near, far] = duplexPair()
    far.on('error', () => {})
    await t.rejects(open(t, near, { token: 'x'.repeat(66_000) }), {
      code: 'PROTOCOL_LINE_TOO_LONG',
    })
  })
})

t.test('the control stream', async (t) => {
  t.test('answers a ping with a pong, before and after the ack', async (t) => {
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    t.clock.travel(1_700_000_000_000)
    const [near, far] = duplexPair()
    const gateway = new FakeGateway(far, undefined)
    const opening = open(t, near)
    await heard(gateway, 'register')
    gateway.say({ type: 'ping', ts: 1 })
    t.same(await heard(gateway, 'pong'), { type: 'pong', ts: 1_700_000_000_000 })
    gateway.say(admitted)
    await opening
    t.clock.advance(15_000)
    gateway.say({ type: 'ping', ts: 2 })
    t.same(await heard(gateway, 'pong'), { type: 'pong', ts: 1_700_000_015_000 })
  })

  t.test('ignores what it does not know, and what only agents send', async (t) => {
    const { gateway, tunnel } = await pair(t)
    gateway.say('{"type":"news","text":"from a later version"}\n')
    gateway.say('{"type":"ack","ok":false,"error":"auth failed"}\n')
    gateway.say('{"type":"pong","ts":1}\n{"type":"register","token":"","routes":{}}\n')
    gateway.say({ type: 'ping', ts: 1 })
    await heard(gateway, 'pong')
    t.notOk(tunnel.isLeaving)
  })

  for (const [what, line, reason] of [
    ['a line over 64 KiB', `{"type":"${'x'.repeat(65_536)}`, /65536/],
    ['a line that is no message', 'HTTP/1.1 400 Bad Request\n', /gateway broke the protocol/],
  ] as const) {
    t.test(`${what} ends the tunnel`, async (t) => {
      const { gateway, tunnel } = await pair(t)
      const ended = once(tunnel, 'close')
      gateway.say(line)
      const [error] = await ended
      t.match(error, { code: 'CLIENT_GATEWAY_BROKEN', message: reason })
    })
  }

  t.test('without a ping for 40 s the gateway is dead', async (t) => {
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const { gateway, tunnel } = await pair(t)
    for (let beat = 0; beat < 4; beat += 1) {
      t.clock.advance(39_000)
      gateway.say({ type: 'ping', ts: beat })
      await heard(gateway, 'pong')
    }
    t.clock.advance(39_999)
    t.notOk(tunnel.isClosed)
    t.clock.advance(1)
    t.clock.advance(500)
    t.match(tunnel.error, { code: 'CLIENT_GATEWAY_SILENT', message: '40 s' })
  })

  t.test('its end is the end of the tunnel and of all streams', async (t) => {
    for (const how of ['end', 'destroy'] as const) {
      const { gateway, tunnel } = await pair(t)
      const ended = once(tunnel, 'close')
      gateway.control?.[how]()
      t.match(await ended, [{ code: 'CLIENT_GATEWAY_GONE' }])
      t.equal(tunnel.streamCount, 0)
    }
  })

  t.test('a gateway that does not read its pongs gets no more of them', async (t) => {
    const [near, far] = duplexPair({ highWaterMark: 1024 })
    const control = new Control(near, 'register\n')
    t.teardown(() => control.end())
    far.write('{"type":"ack","ok":true}\n')
    for (let count = 0; count < 1_000; count += 1) far.write('{"type":"ping","ts":1}\n')
    far.write('{"type":"ack","ok":true}\nnonsense\n')
    await once(control, 'failure') // all of it has been read
    t.ok(near.writableLength < 2_048, `${near.writableLength} bytes wait`)
  })
})

t.test('a lost transport says why the tunnel is over', async (t) => {
  const { tunnel, far } = await pair(t)
  const ended = once(tunnel, 'close')
  far.destroy()
  t.match(await ended, [{ code: 'CLIENT_GATEWAY_GONE', message: 'destroyed' }])
  t.ok(tunnel.isLeaving)
  t.match(tunnel.error, { code: 'CLIENT_GATEWAY_GONE' })
  await tunnel.close(1_000)
})

t.test('serves the streams that the gateway opens', async (t) => {
  const { gateway, tunnel } = await pair(t, { routes: [await echo(t, 'tcp')] })
  const streams = [gateway.open('echo.test'), gateway.open('echo.test')]
  for (const stream of streams) {
    stream.end('hello')
    t.equal(await text(stream), 'hello')
  }
  while (tunnel.streamCount > 0) await setImmediate()
})

t.test('streams beyond the limit are reset, the others go on', async (t) => {
  const { gateway, tunnel } = await pair(t, { routes: [await echo(t, 'tcp')], maxStreams: 2 })
  const first = gateway.open('echo.test')
  const second = gateway.open('echo.test')
  const third = gateway.open('echo.test')
  await t.rejects(once(third, 'data'), { code: 'MUX_STREAM_RESET' })
  t.equal(tunnel.streamCount, 2)
  for (const stream of [first, second]) stream.end('still here')
  t.same(await Promise.all([text(first), text(second)]), ['still here', 'still here'])
})

t.test('close', async (t) => {
  t.test('lets running streams finish, and takes no new ones', async (t) => {
    const { gateway, tunnel } = await pair(t, { routes: [await echo(t, 'tcp')] })
    const running = gateway.open('echo.test')
    running.write('one ')
    await once(running, 'data')
    const told = once(gateway.session, 'goAway')
    const leaving = once(tunnel, 'leave')
    const closing = tunnel.close(60_000)
    await told
    await leaving
    t.ok(tunnel.isLeaving)
    t.notOk(tunnel.isClosed)
    running.end('two')
    t.equal(await text(running), 'two')
    await closing
    t.equal(tunnel.error, undefined)
    t.ok(tunnel.isClosed)
    await tunnel.close(60_000)
  })

  t.test('answers heartbeats until the last stream has finished', async (t) => {
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const { gateway, tunnel } = await pair(t, { routes: [await echo(t, 'tcp')] })
    const running = gateway.open('echo.test')
    running.write('x')
    await once(running, 'data')
    const closing = tunnel.close(200_000)
    gateway.say({ type: 'ping', ts: 1 })
    await heard(gateway, 'pong')
    t.clock.advance(41_000) // a gateway that has been left need not send more
    t.notOk(tunnel.isClosed)
    running.end()
    await closing
    t.equal(tunnel.error, undefined)
  })

  t.test('cuts off what still runs after the grace period', async (t) => {
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const { gateway, tunnel } = await pair(t, { routes: [await echo(t, 'tcp')] })
    const running = gateway.open('echo.test')
    running.write('x')
    await once(running, 'data')
    const closing = tunnel.close(5_000)
    t.clock.advance(4_999)
    t.notOk(tunnel.isClosed)
    t.clock.advance(1)
    await closing
    t.match(tunnel.error, { code: 'CLIENT_CLOSED', message: '5000 ms' })
  })

  t.test('does not wait long for a gateway that keeps its half open', async (t) => {
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const { gateway, tunnel } = await pair(t)
    gateway.control?.removeAllListeners('end')
    const leaving = once(tunnel, 'leave')
    const closing = tunnel.close(60_000)
    await leaving
    t.clock.advance(2_000)
    await closing
    t.match(tunnel.error, { code: 'CLIENT_CLOSED' })
  })
})

t.test('a gateway that leaves', async (t) => {
  t.test('lets the running streams finish, and with the last the tunnel closes', async (t) => {
    const { gateway, tunnel } = await pair(t, { routes: [await echo(t, 'tcp')] })
    const running = gateway.open('echo.test')
    running.write('one ')
    await once(running, 'data')
    const left = once(tunnel, 'leave')
    const ended = once(tunnel, 'close')
    gateway.session.goAway()
    gateway.control?.end()
    await left
    t.notOk(tunnel.isClosed)
    running.end('two')
    t.equal(await text(running), 'two')
    t.same(await ended, [undefined])
  })

  t.test('and has nothing running is left at once', async (t) => {
    const { gateway, tunnel } = await pair(t)
    const ended = once(tunnel, 'close')
    await gateway.session.close()
    t.same(await ended, [undefined])
  })
})

/** An admitted tunnel and its gateway. */
async function pair(t: Test, options: Partial<TunnelOptions> = {}) {
  const [near, far] = duplexPair()
  const gateway = new FakeGateway(far)
  const tunnel = await open(t, near, options)
  return { gateway, tunnel, far }
}

async function open(
  t: Test,
  transport: Duplex,
  options: Partial<TunnelOptions> = {},
  signal: AbortSignal = never,
): Promise<Tunnel> {
  t.teardown(() => transport.destroy())
  return Tunnel.open({ transport, token: 'the token', routes, ...options }, signal)
}

async function heard(gateway: FakeGateway, type: Message['type']): Promise<Message> {
  for (;;) {
    const [message] = await once(gateway, 'message')
    if (message.type === type) return message
  }
}

async function echo(t: Test, mode: 'http' | 'tcp'): Promise<Route> {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as net.AddressInfo
  return { hostname: 'echo.test', mode, target: { host: '127.0.0.1', port, text: `:${port}` } }
}

async function text(stream: Duplex): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

async function closed(stream: Duplex): Promise<void> {
  if (!stream.closed) await once(stream, 'close')
}
