import { once } from 'node:events'
import { createServer, connect as dial, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { listen } from '../../src/net/listen.ts'
import { encodeProxyHeader } from '../../src/protocol/proxy-protocol.ts'
import { sshName } from '../../src/server/claims.ts'
import { opensslPair } from '../certs/support.ts'
import { pass, settle, until } from '../mux/turns.ts'
import { FakeUpstream, knock, startEdge, startOrigin, startRedirector } from './edge-fixture.ts'
import { ask as askHttp2, http2Over } from './http2-client.ts'

// How the public port finds out who comes and what for, with real sockets. What it does with requests is
// in edge.test.ts.

const addresses = {
  remoteAddress: '192.0.2.7',
  remotePort: 4711,
  localAddress: '198.51.100.1',
  localPort: 443,
}
const line = 'PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n'
const everybody = { matches: () => true }

async function echo(t: Test): Promise<FakeUpstream> {
  return new FakeUpstream(await startOrigin(t, (socket) => socket.pipe(socket)))
}

/** A target that has a certificate of its own, and what its visitors asked for. */
async function startTlsTarget(t: Test) {
  const { key, chain } = opensslPair(t.testdir(), 'DNS:own.test')
  const options = { key, cert: chain, ALPNProtocols: ['acme-tls/1', 'x'], allowHalfOpen: true }
  const accepted: TLSSocket[] = []
  const server = createTlsServer(options, (socket) => {
    accepted.push(socket)
    socket.on('error', () => {}).pipe(socket)
  })
  await listen(server, { port: 0, host: '127.0.0.1' })
  t.teardown(() => {
    server.close()
    for (const socket of accepted) socket.destroy()
  })
  return { upstream: new FakeUpstream(server), accepted }
}

/** A TLS connection whose bytes arrive in pieces of this size. */
async function visitInPieces(t: Test, port: number, size: number, alpn: string[]) {
  const relay = createServer(async (near) => {
    const far = dial(port, '127.0.0.1').setNoDelay()
    far.pipe(near)
    for (const socket of [near, far]) socket.on('error', () => {})
    for await (const chunk of near) {
      for (let at = 0; at < chunk.length; at += size) {
        far.write(chunk.subarray(at, at + size))
        await setImmediate()
      }
    }
    far.end()
  })
  const { port: relayPort } = await listen(relay, { port: 0, host: '127.0.0.1' })
  t.teardown(() => relay.close())
  return visitOwn(t, dial(relayPort, '127.0.0.1'), alpn)
}

async function visitOwn(t: Test, socket: Socket, alpn: string[] = ['x']): Promise<TLSSocket> {
  const options = { servername: 'own.test', ALPNProtocols: alpn, rejectUnauthorized: false }
  const visitor = connectTls({ socket, ...options })
  t.teardown(() => visitor.destroy())
  await once(visitor, 'secureConnect')
  return visitor
}

t.test('a name in tls mode', async (t) => {
  const edge = await startEdge(t)
  const { upstream, accepted } = await startTlsTarget(t)
  edge.route('own.test', upstream, 'tls')

  t.test('has the certificate of its target, and its bytes', async (t) => {
    const visitor = await visitOwn(t, dial(edge.port, '127.0.0.1'))
    t.equal(visitor.getPeerCertificate().subjectaltname, 'DNS:own.test')
    visitor.write('hello')
    t.equal(String((await once(visitor, 'data'))[0]), 'hello')
    visitor.end('bye')
    t.equal(String((await once(visitor, 'data'))[0]), 'bye')
    await once(visitor, 'close')
    await until('the line', () => edge.log.count('connection') === 1)
    t.match(edge.log.lines.at(-1)?.fields, { host: 'own.test', session: 'fake' })
    t.match(upstream.opened, [{ remoteAddress: '127.0.0.1', localPort: edge.port }])
  })

  for (const size of [1, 7, 100, 1_400]) {
    t.test(`however its ClientHello is cut: ${size} bytes at a time`, async (t) => {
      const large = Array.from({ length: 12 }, (_, index) => `${index}`.padStart(250, 'x'))
      const visitor = await visitInPieces(t, edge.port, size, [...large, 'x'])
      t.equal(visitor.alpnProtocol, 'x')
      t.equal(visitor.getPeerCertificate().subjectaltname, 'DNS:own.test')
    })
  }

  t.test("gets its certificate authority's visits as well", async (t) => {
    const visitor = await visitOwn(t, dial(edge.port, '127.0.0.1'), ['acme-tls/1'])
    t.equal(visitor.alpnProtocol, 'acme-tls/1')
    await until('the handshake', () => accepted.at(-1)?.alpnProtocol === 'acme-tls/1')
  })
})

t.test('a broken ClientHello: the alert decode_error', async (t) => {
  const edge = await startEdge(t)
  const visitor = await knock(t, edge.port)
  visitor.socket.write(Buffer.from('1603010005ff00000100', 'hex'))
  await visitor.rest()
  t.equal(Buffer.from(visitor.text, 'latin1').toString('hex'), '15030300020232')
})

t.test('a name that nobody holds any more', async (t) => {
  const edge = await startEdge(t)
  const upstream = await echo(t)
  const ask = async (ALPNProtocols: string[]) => {
    const visitor = await edge.visit('away.test', { ALPNProtocols })
    visitor.get('/', 'away.test', 'Connection: close')
    return visitor.rest()
  }
  const alert = { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' }

  t.test('has a page for who asks for HTTP, or says nothing', async (t) => {
    for (const alpn of [['http/1.1'], []]) t.match(await ask(alpn), /^HTTP\/1\.1 404 /)
    const { socket } = await edge.visit('away.test', { ALPNProtocols: ['h2', 'http/1.1'] })
    const answer = await askHttp2(await http2Over(t, socket), { ':authority': 'away.test' })
    t.equal(answer.headers[':status'], 404)
  })

  t.test('has an alert for who asks for something else', async (t) => {
    for (const alpn of [['postgresql'], ['acme-tls/1']]) await t.rejects(ask(alpn), alert)
  })

  for (const mode of ['tcp', 'tls'] as const) {
    t.test(`has an alert for who says nothing, if it was in ${mode} mode`, async (t) => {
      edge.route('away.test', upstream, mode)
      edge.registry.release(upstream)
      await t.rejects(ask([]), alert)
      t.match(await ask(['http/1.1']), /^HTTP\/1\.1 503 /)
      edge.route('away.test', upstream, 'http')
      edge.registry.release(upstream)
      t.match(await ask([]), /^HTTP\/1\.1 503 [\s\S]*AGENT_AWAY/)
    })
  }
})

t.test('ALPN for a name in tcp mode', async (t) => {
  const edge = await startEdge(t)
  edge.route('db.test', await echo(t), 'tcp', { alpn: ['postgresql', 'pg'] })
  t.test('is what the tunnel says, and its order counts', async (t) => {
    const visitor = await edge.visit('db.test', { ALPNProtocols: ['h2', 'pg', 'postgresql'] })
    t.equal(visitor.socket.alpnProtocol, 'postgresql')
    visitor.socket.end('hello')
    t.equal(await visitor.rest(), 'hello')
  })
  t.test('of which the visitor must know one', async (t) => {
    await t.rejects(edge.visit('db.test', { ALPNProtocols: ['h2'] }), {
      code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
    })
  })
  t.test('but need not speak it', async (t) => {
    const options = { port: edge.port, host: '127.0.0.1', rejectUnauthorized: false }
    const socket = connectTls({ ...options, servername: 'db.test' })
    t.teardown(() => socket.destroy())
    await once(socket, 'secureConnect')
    t.equal(socket.alpnProtocol, false)
  })
})

t.test('plain SSH', async (t) => {
  const banner = 'SSH-2.0-test\r\n'

  t.test('goes to the tunnel for it, from the first byte on', async (t) => {
    const edge = await startEdge(t)
    const upstream = await echo(t)
    edge.route(sshName, upstream, 'tcp', { key: 'ssh.test' })
    const visitor = await knock(t, edge.port)
    for (const char of banner) {
      visitor.socket.write(char)
      await settle(2)
    }
    await visitor.have(banner)
    visitor.socket.end()
    t.equal(await visitor.rest(), banner)
    await until('the line', () => edge.log.count('connection') === 1)
    t.match(edge.log.lines.at(-1)?.fields, { host: 'ssh.test', entrance: 'ssh:' })
    t.equal(edge.log.lines.at(-1)?.fields.outcome, undefined)
  })

  t.test('is told in its own protocol that there is none, and so is the log', async (t) => {
    const edge = await startEdge(t)
    const visitor = await knock(t, edge.port)
    visitor.socket.write(banner)
    t.equal(await visitor.rest(), 'no tunnel for plain ssh is connected\r\n')
    t.match(edge.log.lines, [{ message: 'no tunnel for host', fields: { host: 'ssh:' } }])
  })

  t.test('may wait for the server to begin: 2 s of silence', async (t) => {
    const edge = await startEdge(t)
    const origin = await startOrigin(t, (socket) => socket.write(banner))
    const upstream = new FakeUpstream(origin)
    edge.route(sshName, upstream, 'tcp')
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const visitor = await knock(t, edge.port)
    await until('the connection', () => edge.connections.openCount === 1)
    await pass(t.clock, 1_000)
    t.equal(upstream.opened.length, 0)
    await pass(t.clock, 1_000)
    await visitor.have(banner)
  })

  t.test('silence without a tunnel for it lasts 10 s, and ends', async (t) => {
    const edge = await startEdge(t)
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const visitor = await knock(t, edge.port)
    await until('the connection', () => edge.connections.openCount === 1)
    await pass(t.clock, 9_000)
    t.equal(edge.connections.openCount, 1)
    await pass(t.clock, 1_000)
    t.equal(await visitor.rest(), '')
    t.equal(edge.connections.openCount, 0)
  })

  t.test('one that came before the tunnel waits no longer than it must', async (t) => {
    const edge = await startEdge(t)
    const visitor = await knock(t, edge.port)
    await until('the connection', () => edge.connections.openCount === 1)
    edge.route(sshName, await echo(t), 'tcp')
    visitor.socket.write(banner)
    await visitor.have(banner)
  })
})

t.test('what is neither TLS nor SSH is told so', async (t) => {
  const edge = await startEdge(t)
  edge.route(sshName, await echo(t), 'tcp')
  for (const text of ['GET / HTTP/1.1\r\n\r\n', 'SEARCH / HTTP/1.1\r\n\r\n', '\0\0\0\x08']) {
    const visitor = await knock(t, edge.port)
    visitor.socket.write(text)
    t.match(await visitor.rest(), /^HTTP\/1\.1 400 Bad Request\r\n/, JSON.stringify(text))
  }
})

t.test('behind a trusted proxy', async (t) => {
  const headers: [name: string, bytes: Buffer][] = [
    ['version 1', Buffer.from(line)],
    ['version 2', encodeProxyHeader({ addresses })],
  ]
  for (const [name, header] of headers) {
    t.test(`the visitor is who the PROXY header says: ${name}`, async (t) => {
      const edge = await startEdge(t, { trustedProxies: everybody })
      const upstream = await echo(t)
      edge.route('db.test', upstream, 'tcp')
      edge.route('own.test', upstream, 'tls')
      const socket = dial(edge.port, '127.0.0.1')
      socket.write(header)
      const options = { socket, servername: 'db.test', rejectUnauthorized: false }
      const visitor = connectTls(options)
      t.teardown(() => visitor.destroy())
      visitor.end('hello')
      t.equal(String((await once(visitor, 'data'))[0]), 'hello')
      t.same(upstream.opened, [addresses])
      await until('the line', () => edge.log.count('connection') === 1)
      t.match(edge.log.lines.at(-1)?.fields, { remoteAddress: '192.0.2.7' })
    })

    t.test(`however the header is cut: ${name}`, async (t) => {
      const edge = await startEdge(t, { trustedProxies: everybody })
      const upstream = await echo(t)
      edge.route(sshName, upstream, 'tcp')
      const visitor = await knock(t, edge.port)
      for (const byte of Buffer.concat([header, Buffer.from('SSH-')])) {
        visitor.socket.write(Buffer.from([byte]))
        await settle(2)
      }
      await visitor.have('SSH-')
      t.equal(visitor.text, 'SSH-')
      t.same(upstream.opened, [addresses])
    })
  }

  t.test('requests are of that visitor as well', async (t) => {
    const edge = await startEdge(t, { trustedProxies: everybody })
    const socket = dial(edge.port, '127.0.0.1')
    socket.write(line)
    const visitor = connectTls({ socket, servername: 'gateway.test', rejectUnauthorized: false })
    t.teardown(() => visitor.destroy())
    visitor.write('GET / HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n')
    t.match(String((await once(visitor, 'data'))[0]), /^HTTP\/1\.1 200 OK/)
    await until('the line', () => edge.log.count('request') === 1)
    t.match(edge.log.lines.at(-1)?.fields, { remoteAddress: '192.0.2.7' })
  })

  t.test('limits are by visitor, not by proxy', async (t) => {
    const edge = await startEdge(t, { trustedProxies: everybody, connectionsPerAddress: 2 })
    const come = async (address: string) => {
      const visitor = await knock(t, edge.port)
      visitor.socket.write(line.replace('192.0.2.7', address))
      return visitor
    }
    for (const address of ['192.0.2.1', '192.0.2.1', '192.0.2.2']) await come(address)
    await (await come('192.0.2.1')).rest()
    t.equal(edge.connections.limitedCount, 1)
    t.equal(edge.connections.openCount, 3)
  })

  t.test('a health check, which says LOCAL, is of the proxy itself', async (t) => {
    const edge = await startEdge(t, { trustedProxies: everybody })
    const upstream = await echo(t)
    edge.route(sshName, upstream, 'tcp')
    const visitor = await knock(t, edge.port)
    visitor.socket.write(Buffer.concat([encodeProxyHeader({}), Buffer.from('SSH-')]))
    await visitor.have('SSH-')
    t.match(upstream.opened, [{ remoteAddress: '127.0.0.1' }])
  })

  t.test('who comes without the header is cut off, and the log says so', async (t) => {
    for (const text of ['GET / HTTP/1.1\r\n\r\n', 'PROXY nonsense\r\n', line.slice(0, -2)]) {
      const edge = await startEdge(t, { trustedProxies: everybody })
      const visitor = await knock(t, edge.port)
      visitor.socket.end(text)
      t.equal(await visitor.rest(), '')
      t.match(
        edge.log.lines,
        [{ level: 'warn', message: 'PROXY header missing or malformed', fields: { reason: /./ } }],
        JSON.stringify(text),
      )
      t.equal(edge.connections.openCount, 0)
    }
  })

  t.test('who says nothing is waited for 5 s', async (t) => {
    const edge = await startEdge(t, { trustedProxies: everybody })
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const visitor = await knock(t, edge.port)
    await until('the connection', () => edge.connections.openCount === 1)
    await pass(t.clock, 5_000)
    t.equal(await visitor.rest(), '')
  })

  t.test('port 80 takes the header off too', async (t) => {
    const { port } = await startRedirector(t, 443, everybody)
    for (const pause of [false, true]) {
      const visitor = await knock(t, port)
      visitor.socket.write(line)
      if (pause) await settle()
      visitor.get('/x', 'app.test')
      t.match(await visitor.rest(), /^HTTP\/1\.1 308 [\s\S]*Location: https:\/\/app\.test\/x\r\n/)
    }
  })
})

t.test('a PROXY header from anybody else is not taken', async (t) => {
  const edge = await startEdge(t)
  const visitor = await knock(t, edge.port)
  visitor.socket.write(line)
  t.match(await visitor.rest(), /^HTTP\/1\.1 400 /)
})

t.test('a connection that has ended', async (t) => {
  t.test('is one line, without an outcome where all went well', async (t) => {
    const edge = await startEdge(t)
    edge.route(sshName, await echo(t), 'tcp', { key: 'ssh.test' })
    const visitor = await knock(t, edge.port)
    visitor.socket.end('SSH-')
    await visitor.rest()
    await until('the line', () => edge.log.count('connection') === 1)
    const { durationMs, ...fields } = edge.log.lines.at(-1)?.fields ?? {}
    t.type(durationMs, 'number')
    t.same(fields, {
      ...{ host: 'ssh.test', entrance: 'ssh:', bytesIn: 4, bytesOut: 4 },
      ...{ remoteAddress: '127.0.0.1', session: 'fake' },
    })
  })

  const cases: [
    name: string,
    act: (upstream: FakeUpstream, socket: Socket) => void,
    what: object,
  ][] = [
    [
      'because the target could not be had',
      ({ streams }) => streams[0]?.destroy(gone('MUX_STREAM_RESET')),
      { outcome: 'refused', code: 'TARGET_UNREACHABLE', reason: 'it is gone' },
    ],
    [
      'because its agent is away',
      ({ streams }) => streams[0]?.destroy(gone('MUX_TRANSPORT_CLOSED')),
      { outcome: 'refused', code: 'AGENT_AWAY' },
    ],
    [
      'because the visitor reset it',
      (_upstream, socket) => socket.resetAndDestroy(),
      { outcome: 'aborted' },
    ],
  ]
  for (const [name, act, what] of cases) {
    t.test(`says what was wrong: ${name}`, async (t) => {
      const edge = await startEdge(t)
      const upstream = new FakeUpstream(await startOrigin(t, () => {}))
      edge.route(sshName, upstream, 'tcp')
      const visitor = await knock(t, edge.port)
      visitor.socket.write('SSH-')
      await until('the stream', () => upstream.streams.length === 1)
      act(upstream, visitor.socket)
      await visitor.rest()
      await until('the line', () => edge.log.count('connection') === 1)
      t.match(edge.log.lines.at(-1)?.fields, what)
      t.equal(visitor.text, '', 'never a word of ours')
      t.ok(upstream.streams[0]?.destroyed)
    })
  }

  t.test('because the target broke off', async (t) => {
    const edge = await startEdge(t)
    const upstream = await echo(t)
    edge.route(sshName, upstream, 'tcp')
    const visitor = await knock(t, edge.port)
    visitor.socket.write('SSH-')
    await visitor.have('SSH-')
    upstream.streams[0]?.destroy(gone('MUX_STREAM_RESET'))
    await visitor.rest()
    t.equal(visitor.error?.code, 'ECONNRESET')
    await until('the line', () => edge.log.count('connection') === 1)
    t.match(edge.log.lines.at(-1)?.fields, { outcome: 'broken', code: 'TARGET_UNREACHABLE' })
  })
})

t.test('idle_timeout ends what is silent both ways for so long', async (t) => {
  const edge = await startEdge(t)
  const upstream = await echo(t)
  t.clock.enter()
  t.teardown(() => t.clock.exit())
  edge.route(sshName, upstream, 'tcp', { idleTimeoutMs: 5_000 })
  const visitor = await knock(t, edge.port)
  visitor.socket.write('SSH-')
  await visitor.have('SSH-')
  await pass(t.clock, 4_000)
  visitor.socket.write('x')
  await visitor.have('SSH-x')
  await pass(t.clock, 4_000)
  t.equal(visitor.socket.destroyed, false)
  await pass(t.clock, 3_000)
  await visitor.rest()
  t.equal(visitor.error?.code, 'ECONNRESET')
  await until('the line', () => edge.log.count('connection') === 1)
  t.match(edge.log.lines.at(-1)?.fields, { outcome: 'idle' })
  t.ok(upstream.streams[0]?.destroyed)
})

t.test('without it a connection may be silent for days', async (t) => {
  const edge = await startEdge(t)
  t.clock.enter()
  t.teardown(() => t.clock.exit())
  edge.route(sshName, await echo(t), 'tcp')
  const visitor = await knock(t, edge.port)
  visitor.socket.write('SSH-')
  await visitor.have('SSH-')
  t.clock.advance(3 * 24 * 3_600_000)
  await settle()
  visitor.socket.write('x')
  await visitor.have('SSH-x')
})

function gone(code: string): Error {
  return Object.assign(new Error('it is gone'), { code })
}
