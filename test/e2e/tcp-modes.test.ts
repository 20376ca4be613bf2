import { once } from 'node:events'
import { request } from 'node:http'
import net, { type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { opensslPair } from '../certs/support.ts'
import {
  type Offer,
  type Program,
  spawnAgent,
  startAgent,
  startGateway,
} from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { bytesUpTo, closedPort, listen, serveHttp, serveTcp, sha256 } from './targets.ts'
import { connectTo, dial, heard } from './visitor.ts'

// tcp and tls tunnels, by every way in, between the real programs.

t.jobs = 8
const [port, heldPort, forbiddenPort, anyPort] = await freePorts(4)
const gateway = await startGateway(t, {
  env: { TCP_PORTS: `${port},${heldPort},${anyPort}`, SHUTDOWN_GRACE_SEC: '30' },
})
const echoPort = await serveTcp(t, (socket) => socket.pipe(socket))
const forPort = (listen_port: number): Offer => ({ mode: 'tcp', target: echoPort, listen_port })

/** They differ, and nobody listens on them, a moment ago at least. */
async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) ports.add(await closedPort())
  return [...ports]
}

/** The public port that the agent says it got. */
function portOf(agent: Program, hostname: string): number {
  const [connected] = agent.logged('connected')
  const ports = new Map(Object.entries(connected?.ports ?? {}))
  return Number(ports.get(hostname))
}

/** A connection without TLS; half-open allowed, ends with the test. */
async function dialPlain(t: Test, port: number): Promise<Socket> {
  const socket = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** How a connection that we do not end comes to its end. */
async function endOf(socket: Socket): Promise<string | undefined> {
  socket.resume()
  const failed = once(socket, 'error').then(([error]) => error.code)
  return Promise.race([failed, once(socket, 'end').then(() => 'end')])
}

t.test('a port of its own', async (t) => {
  const agent = await startAgent(t, gateway, [forPort(heldPort as number)])

  t.test('is told to the agent, and logged on both sides', async (t) => {
    const [connected] = agent.logged('connected')
    t.strictSame(connected?.ports, { [`tcp:${heldPort}`]: heldPort })
    const admitted = await gateway.program.waitFor('agent admitted', {
      session: connected?.session,
    })
    t.strictSame([admitted.ports, admitted.hosts], [[heldPort], []])
  })

  t.test('shows on the dashboard', async (t) => {
    const outgoing = request({
      ...{ host: '127.0.0.1', port: gateway.ports.dashboard, path: '/sessions' },
      headers: { host: 'localhost' },
    }).end()
    const [response] = await once(outgoing, 'response')
    t.match(String(await buffer(response)), `port ${heldPort}`)
  })

  t.test('carries bytes without TLS, each half to its own end', async (t) => {
    const sent = 32 * 1024 * 1024
    const socket = await dialPlain(t, heldPort as number)
    bytesUpTo(sent).pipe(socket)
    t.equal(await sha256(socket), await sha256(bytesUpTo(sent)))
  })

  t.test('carries many connections at one time, whole', async (t) => {
    const expected = await sha256(bytesUpTo(1 << 20))
    const one = async () => {
      const socket = await dialPlain(t, heldPort as number)
      bytesUpTo(1 << 20).pipe(socket)
      return sha256(socket)
    }
    const hashes = await Promise.all(Array.from({ length: 50 }, one))
    t.same(new Set(hashes), new Set([expected]))
  })

  t.test('is refused to others, who go on trying, and get it', async (t) => {
    const [first, second] = [
      await startAgent(t, gateway, [forPort(port as number)]),
      spawnAgent(t, gateway, [{ ...forPort(port as number), hostname: 'second.localhost' }]),
    ]
    t.match(await gateway.program.waitFor('agent refused', { code: 'PORT_TAKEN' }), {
      reason: `port already taken: ${port}`,
    })
    const running = await dialPlain(t, port as number)
    running.write('x')
    await once(running, 'data')
    first.signal('SIGTERM')
    t.match(await second.waitFor('connected'), { ports: { 'second.localhost': port } })

    running.end('the rest')
    t.equal(await heard(running), 'the rest', 'a connection outlives its port')
    await first.exited
    const next = await dialPlain(t, port as number)
    next.end('to the second')
    t.equal(await heard(next), 'to the second')
    await second.kill('SIGTERM')
  })

  t.test('is any that is free, for 0', async (t) => {
    const any = await startAgent(t, gateway, [forPort(0)])
    const got = portOf(any, 'tcp:0')
    t.ok([anyPort, port].includes(got))
    const socket = await dialPlain(t, got)
    socket.end('hello')
    t.equal(await heard(socket), 'hello')
    await any.kill('SIGTERM')
  })

  t.test('that is not allowed: the agent ends for good', async (t) => {
    const refused = spawnAgent(t, gateway, [forPort(forbiddenPort as number)])
    t.strictSame(await refused.exited, { code: 77, signal: null })
    t.match(refused.stderr, `port not allowed: ${forbiddenPort}`)
  })

  t.test('closes with an agent that dies, and its connections are reset', async (t) => {
    const own = await startAgent(t, gateway, [{ ...forPort(0), hostname: 'dies.localhost' }])
    const at = portOf(own, 'dies.localhost')
    const socket = await dialPlain(t, at)
    socket.write('x')
    await once(socket, 'data')
    const end = endOf(socket)
    await own.kill('SIGKILL')
    t.equal(await end, 'ECONNRESET')
    await t.rejects(dialPlain(t, at), { code: 'ECONNREFUSED' })
  })
})

t.test('plain SSH on the public port', async (t) => {
  const banner = 'SSH-2.0-of_the_server\r\n'
  const sshd = await serveTcp(t, (socket) => {
    socket.write(banner)
    socket.pipe(socket)
  })
  const none = await dialPlain(t, gateway.ports.public)
  none.end('SSH-2.0-early\r\n')
  t.match(await heard(none), 'no tunnel for plain ssh', 'which nobody has at first')

  const offer: Offer = { hostname: 'ssh.localhost', mode: 'tcp', target: sshd, ssh: true }
  await startAgent(t, gateway, [offer])

  t.test('for a client that begins', async (t) => {
    const socket = await dialPlain(t, gateway.ports.public)
    socket.end('SSH-2.0-of_the_client\r\n')
    t.equal(await heard(socket), `${banner}SSH-2.0-of_the_client\r\n`)
    t.match(await gateway.program.waitFor('connection', { entrance: 'ssh:' }), {
      ...{ host: 'ssh.localhost', remoteAddress: '127.0.0.1', bytesIn: 23 },
    })
  })

  t.test('for a client that waits for the server', async (t) => {
    const socket = await dialPlain(t, gateway.ports.public)
    t.equal(String((await once(socket, 'data'))[0]), banner)
    socket.end()
  })

  t.test('and inside TLS, by its name', async (t) => {
    const socket = await connectTo(t, gateway, 'ssh.localhost')
    socket.end('x')
    t.equal(await heard(socket), `${banner}x`)
  })

  t.test('is for one tunnel', async (t) => {
    const other = spawnAgent(t, gateway, [{ ...offer, hostname: 'other.localhost' }])
    await gateway.program.waitFor('agent refused', { code: 'SSH_TAKEN' })
    t.match(other.logged('connected'), [])
    await other.kill('SIGTERM')
  })
})

t.test('tls mode', { skip: lacks('openssl') }, async (t) => {
  const { key, chain } = opensslPair(t.testdir(), 'DNS:own.localhost')
  const options = { key, cert: chain, ALPNProtocols: ['acme-tls/1', 'x'], allowHalfOpen: true }
  const target = await listen(
    t,
    tls.createServer(options, (socket) => socket.on('error', () => {}).pipe(socket)),
  )
  await startAgent(t, gateway, [
    { hostname: 'own.localhost', mode: 'tls', target },
    { hostname: 'refuses.localhost', mode: 'tls', target: await closedPort() },
  ])
  const visit = async (servername: string, ALPNProtocols?: string[]) => {
    const tcp = net.connect({ host: '127.0.0.1', port: gateway.ports.public, allowHalfOpen: true })
    const to = { socket: tcp, servername, ca: chain, ...(ALPNProtocols && { ALPNProtocols }) }
    const socket = tls.connect(to)
    socket.allowHalfOpen = true
    t.teardown(() => socket.destroy())
    await once(socket, 'secureConnect')
    return socket
  }

  t.test('is the key and the certificate of the target', async (t) => {
    const socket = await visit('own.localhost')
    socket.end(Buffer.alloc(1 << 20, 'tls'))
    t.ok((await heard(socket)) === String(Buffer.alloc(1 << 20, 'tls')))
  })

  t.test("lets a certificate authority's tls-alpn-01 through", async (t) => {
    const socket = await visit('own.localhost', ['acme-tls/1'])
    t.equal(socket.alpnProtocol, 'acme-tls/1')
  })

  t.test('makes no certificate of the gateway', async (t) => {
    const outgoing = request({
      ...{ host: '127.0.0.1', port: gateway.ports.dashboard, path: '/api/v1/status' },
      headers: { host: 'localhost' },
    }).end()
    const [response] = await once(outgoing, 'response')
    const { certificates } = JSON.parse(String(await buffer(response)))
    const names = certificates.map(({ name }: { name: string }) => name)
    t.notMatch(names, ['own.localhost'])
  })

  t.test('a target that refuses: a reset without a word, and a log line', async (t) => {
    await t.rejects(visit('refuses.localhost'), { code: 'ECONNRESET' })
    t.match(await gateway.program.waitFor('connection', { host: 'refuses.localhost' }), {
      ...{ outcome: 'refused', code: 'TARGET_UNREACHABLE', bytesOut: 0 },
    })
  })
})

t.test('a broken connection is broken on the other side too', async (t) => {
  const connections: Socket[] = []
  const target = await serveTcp(t, (socket) => {
    connections.push(socket)
    socket.write('x')
  })
  await startAgent(t, gateway, [{ hostname: 'raw.localhost', mode: 'tcp', target, alpn: ['raw'] }])

  t.test('from target to visitor', async (t) => {
    const socket = await connectTo(t, gateway, 'raw.localhost')
    await once(socket, 'data')
    connections.at(-1)?.resetAndDestroy()
    t.equal(await endOf(socket), 'ECONNRESET')
  })

  t.test('from visitor to target', async (t) => {
    const { socket, tcp } = await dial(t, gateway, 'raw.localhost')
    await once(socket, 'data')
    const end = endOf(connections.at(-1) as Socket)
    tcp.resetAndDestroy()
    t.equal(await end, 'ECONNRESET')
  })

  t.test('a protocol that the tunnel does not speak: an alert of TLS', async (t) => {
    const options = { port: gateway.ports.public, host: '127.0.0.1', ca: gateway.ca }
    const socket = tls.connect({ ...options, servername: 'raw.localhost', ALPNProtocols: ['h2'] })
    const [error] = await once(socket, 'error')
    t.equal(error.code, 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL')
  })
})

t.test('a connection that is idle for too long is reset, and the log says so', async (t) => {
  await startAgent(t, gateway, [
    { hostname: 'idle.localhost', mode: 'tcp', target: echoPort, idle_timeout: '1s' },
  ])
  const socket = await connectTo(t, gateway, 'idle.localhost')
  socket.write('x')
  await once(socket, 'data')
  t.equal(await endOf(socket), 'ECONNRESET')
  await gateway.program.waitFor('connection', { host: 'idle.localhost', outcome: 'idle' })
})

t.test('the visitor is known to all, through proxies as well', async (t) => {
  const door = await startGateway(t, {
    env: { TRUSTED_PROXIES: '127.0.0.1', TCP_PORTS: String(await closedPort()) },
  })
  const heads: Promise<string>[] = []
  const target = await serveTcp(t, (socket) => {
    heads.push(buffer(socket).then((bytes) => bytes.toString('latin1')))
    socket.end()
  })
  const site = await serveHttp(t, ({ headers }, response) => {
    response.end(JSON.stringify(headers))
  })
  const agent = await startAgent(
    t,
    door,
    [
      { hostname: 'v1.localhost', mode: 'tcp', target, proxy_protocol: 'v1', listen_port: 0 },
      { hostname: 'v2.localhost', mode: 'tcp', target, proxy_protocol: 'v2' },
      { hostname: 'app.localhost', target: site },
    ],
    { env: { LOG_LEVEL: 'debug' } },
  )
  const line = 'PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n'
  const v2 = '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x12\x67\x01\xbb'
  const come = async (header: string, servername: string) => {
    const tcp = await dialPlain(t, door.ports.public)
    tcp.write(header, 'latin1')
    const socket = tls.connect({ socket: tcp, servername, ca: door.ca })
    socket.allowHalfOpen = true
    t.teardown(() => socket.destroy())
    await once(socket, 'secureConnect')
    return socket
  }

  t.test('version 2 in, version 1 out', async (t) => {
    const socket = await come(v2, 'v1.localhost')
    socket.end('hello')
    t.equal(await heard(socket), '')
    t.equal(await heads.at(-1), `${line}hello`)
    await door.program.waitFor('connection', { host: 'v1.localhost', remoteAddress: '192.0.2.7' })
    const [logged] = agent.log.filter(({ hostname }) => hostname === 'v1.localhost')
    t.match(JSON.stringify(logged), '192.0.2.7')
  })

  t.test('version 1 in, version 2 out', async (t) => {
    const socket = await come(line, 'v2.localhost')
    socket.end('hello')
    t.equal(await heard(socket), '')
    t.equal(await heads.at(-1), `${v2}hello`)
  })

  t.test('on a port of its own', async (t) => {
    const socket = await dialPlain(t, portOf(agent, 'v1.localhost'))
    socket.end(`${line}hello`)
    t.equal(await heard(socket), '')
    t.equal(await heads.at(-1), `${line}hello`)
  })

  t.test('in requests', async (t) => {
    const socket = await come(line, 'app.localhost')
    socket.write('GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n')
    t.match(await heard(socket), '"x-forwarded-for":"192.0.2.7"')
  })

  t.test('at the plain http port', async (t) => {
    const socket = await dialPlain(t, door.ports.http)
    socket.end(`${line}GET /a HTTP/1.1\r\nHost: app.localhost\r\n\r\n`)
    t.match(await heard(socket), /^HTTP\/1\.1 308 /)
  })

  t.test('who brings no header is cut off', async (t) => {
    const socket = await dialPlain(t, door.ports.public)
    socket.write('GET / HTTP/1.1\r\n\r\n')
    await endOf(socket)
    await door.program.waitFor('PROXY header missing or malformed', { remoteAddress: '127.0.0.1' })
  })
})

t.test('a gateway that stops closes the ports at once, and lets connections end', async (t) => {
  const [own = 0] = await freePorts(1)
  const stopping = await startGateway(t, { env: { TCP_PORTS: String(own) } })
  await startAgent(t, stopping, [forPort(own)])
  const socket = await dialPlain(t, own)
  socket.write('x')
  await once(socket, 'data')
  stopping.program.signal('SIGTERM')
  await stopping.program.waitFor('closing when what runs has ended')
  await t.rejects(dialPlain(t, own), { code: 'ECONNREFUSED' })
  socket.end('to the end')
  t.equal(await heard(socket), 'to the end')
  t.strictSame(await stopping.program.exited, { code: 0, signal: null })
})

t.test('nothing of all this was an error', { buffered: false }, async (t) => {
  t.strictSame(
    gateway.program.log.filter(({ level }) => level === 'error'),
    [],
  )
  t.equal(gateway.program.stderr, '')
})
