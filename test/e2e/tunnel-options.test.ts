import { scryptSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import net from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { connect } from 'node:tls'
import t, { type Test } from 'tap'
import { cli, spawnAgent, startAgent, startGateway } from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { GoGateway } from './go-peers.ts'
import { closedPort, listen, serveTcp } from './targets.ts'
import { curl, heard, run, visit } from './visitor.ts'

// What a tunnel's options make of requests and visitors, through the real programs: one gateway and one
// agent, and a service that says what it was asked. Visitors come from several addresses of this machine.

interface Asked {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** As they were sent: names and values. */
  readonly lines: readonly string[]
}

/** What reached the service. */
const arrived: string[] = []
const service = createServer((request, response) => {
  arrived.push(`${request.url}`)
  response.setHeader('x-powered-by', 'magic')
  response.setHeader('set-cookie', ['a=1', 'b=2'])
  const { url, headers, rawHeaders: lines } = request
  response.end(JSON.stringify({ url, headers, lines }))
})
service.on('upgrade', ({ url }: IncomingMessage, socket) => {
  arrived.push(`upgrade ${url}`)
  socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello')
})
const target = await listen(t, service)
const echo = await serveTcp(t, (socket) => socket.pipe(socket))
const [ownPort, freePort] = [await closedPort(), await closedPort()]
const gateway = await startGateway(t, { env: { HTTP2: 'on', TCP_PORTS: `${ownPort}` } })
const password = 'correct horse: battery'
const made = (await hashPassword('alice', `${password}\n`)).stdout.toString().trim()
/** The same, that costs next to nothing to check: the tests fail often. */
const login = `alice:scrypt:2:1:1$12345678$${scryptSync(password, '12345678', 64, { N: 2, r: 1, p: 1 }).toString('hex')}`
await startAgent(t, gateway, [
  {
    ...{ hostname: 'headers.localhost', target, host_header: 'target' },
    request_headers: { set: { 'X-Env': 'production', 'x-twice': '1' }, remove: ['Cookie'] },
    response_headers: { set: { 'X-Robots-Tag': 'noindex' }, remove: ['X-Powered-By'] },
  },
  { hostname: 'fixed.localhost', target, host_header: 'internal.example:8080' },
  { hostname: 'made.localhost', target, basic_auth: [made] },
  { hostname: 'login.localhost', target, basic_auth: [login] },
  { hostname: 'shared.localhost', target },
  { hostname: 'shared.localhost', target, path: '/api', strip_prefix: true },
  { hostname: 'shared.localhost', target, path: '/admin', basic_auth: [login] },
  { hostname: 'shared.localhost', target, path: '/admin/open/' },
  { hostname: 'only.localhost', target, path: '/only' },
  { hostname: 'office.localhost', target, allow_ips: ['127.0.0.2', '2001:db8::/32'] },
  { hostname: 'others.localhost', target, deny_ips: ['127.0.0.2/31'] },
  { hostname: 'tcp.localhost', target: echo, mode: 'tcp', allow_ips: ['127.0.0.2'] },
  { hostname: 'tls.localhost', target: echo, mode: 'tls', allow_ips: ['127.0.0.2'] },
  { target: echo, mode: 'tcp', listen_port: ownPort, deny_ips: ['127.0.0.3'] },
])
const alice = { authorization: basic('alice', password) }
const lacksCurl = { skip: lacks('curl') }

t.test('header lines', async (t) => {
  t.test('of requests are set and removed, once each', async (t) => {
    const { lines, headers } = await asked('headers.localhost', '/', {
      'x-env': 'forged',
      'X-ENV': 'forged',
      cookie: 'a=b',
      'x-kept': 'yes',
    })
    const env = lines.filter((_, index) => lines[index - 1]?.toLowerCase() === 'x-env')
    t.same(env, ['production'])
    t.match(headers, { 'x-twice': '1', 'x-kept': 'yes', cookie: undefined })
  })

  t.test('of responses too, and the rest stays', async (t) => {
    const { headers } = await visit(gateway, 'headers.localhost')
    t.match(headers, { 'x-robots-tag': 'noindex', 'set-cookie': ['a=1', 'b=2'] })
    t.notOk('x-powered-by' in headers)
  })

  t.test(
    "Host is the target's, or a fixed one; the visitor's is in X-Forwarded-Host",
    async (t) => {
      const own = await asked('headers.localhost')
      const forwarded = `headers.localhost:${gateway.ports.public}`
      t.match(own.headers, { host: `127.0.0.1:${target}`, 'x-forwarded-host': forwarded })
      t.equal((await asked('fixed.localhost')).headers.host, 'internal.example:8080')
    },
  )
})

t.test('paths of one name', async (t) => {
  t.test('go to the tunnel with the longest, a whole segment at least', async (t) => {
    t.equal((await asked('shared.localhost', '/apis?x=/admin')).url, '/apis?x=/admin')
    t.match((await asked('shared.localhost', '/api/a%20b//c?d=%2F')).url, '/a%20b//c?d=%2F')
    t.match((await asked('shared.localhost', '/api?d')).url, '/?d')
    t.equal((await visit(gateway, 'shared.localhost', '/admin/x')).status, 401)
    t.equal((await asked('shared.localhost', '/admin/open/x')).url, '/admin/open/x')
    t.equal((await asked('shared.localhost', '/administrator')).url, '/administrator')
  })

  t.test('what is taken off is told', async (t) => {
    const forged = { 'x-forwarded-prefix': '/forged' }
    t.match((await asked('shared.localhost', '/api/', forged)).headers, {
      'x-forwarded-prefix': '/api',
    })
    t.notOk('x-forwarded-prefix' in (await asked('shared.localhost', '/', forged)).headers)
  })

  t.test('without a tunnel have a page that says so', async (t) => {
    const { status, headers } = await visit(gateway, 'only.localhost', '/other')
    t.match([status, headers['gotunnel-error']], [404, 'PATH_UNKNOWN'])
  })

  t.test('no spelling of a path leads around its password', async (t) => {
    arrived.length = 0
    const http2 = http2To(t, 'shared.localhost')
    for (const spelling of spellings) {
      const first = `GET ${spelling} HTTP/1.1`
      t.match(await raw('shared.localhost', first), /^HTTP\/1\.1 (?:400|401) /, spelling)
      if (!spelling.startsWith('/')) continue // not a form that HTTP/2 has
      const stream = http2.request({ ':path': spelling, ':authority': 'shared.localhost' })
      const [{ ':status': status }] = await once(stream, 'response')
      t.ok([400, 401].includes(status), `${spelling} by HTTP/2: ${status}`)
      stream.close()
    }
    t.same(arrived, [])
  })
})

/** Each is `/admin` to some server; the service answers all that reaches it. */
const spellings = [
  '/admin',
  '/admin/',
  '/admin?x',
  '/%61dmin',
  '/%2561dmin',
  '/%252561dmin',
  '/%25252525252561dmin',
  '/%2%35%36%31dmin',
  '/ADMIN/x',
  '/aDmin',
  '//admin',
  '///admin//x',
  '//x/admin',
  '//shared.localhost/admin',
  '/\\x/admin',
  '/./admin',
  '/x/../admin',
  '/%2e/admin',
  '/x/%2e%2e/admin',
  '/x/%2E%2e%2fadmin',
  '/x%2f..%2fadmin',
  '/x%252f..%252fadmin',
  '/admin%2fx',
  '/admin;x=1/y',
  '/;x/admin',
  '/x/..;/admin',
  '/x;/../admin',
  '/api/../admin',
  '/api/%2e%2e/admin',
  '/api/..%2fadmin',
  '/api/..;/admin',
  '/\\admin',
  '/x\\..\\admin',
  '/x/..%5cadmin',
  '/admin%5cx',
  '/admin%00',
  '/admin%00.html',
  '/admin%20',
  '/admin.',
  '/admin./x',
  '/ad%0amin',
  '/%c0%aeadmin',
  '/admin/open/../x',
  '/admin/open/%2e%2e/x',
  '/admin/open/..;/x',
  `https://shared.localhost/admin`,
  `https://SHARED.localhost:443/x/../admin`,
]

t.test('basic_auth', async (t) => {
  t.test('asks for a password, by a page that scripts can read too', async (t) => {
    const { status, headers, body } = await visit(gateway, 'login.localhost', '/', {
      headers: { accept: 'application/json' },
    })
    t.match([status, headers['www-authenticate']], [401, /^Basic realm=/])
    t.match(JSON.parse(body.toString()), { error: { code: 'LOGIN_REQUIRED' } })
  })

  t.test('lets in who has it, and keeps it from the service', async (t) => {
    const { headers } = await asked('made.localhost', '/', {
      ...alice,
      'x-forwarded-user': 'root',
    })
    t.match(headers, { 'x-forwarded-user': 'alice', authorization: undefined })
    t.notOk(
      'x-forwarded-user' in
        (await asked('shared.localhost', '/', { 'x-forwarded-user': 'root' })).headers,
    )
  })

  for (const [title, authorization] of [
    ['a wrong password', basic('alice', 'wrong')],
    ['the password of nobody', basic('bob', password)],
    ['no user', basic('', password)],
    ['an empty password', basic('alice', '')],
    ['another scheme', 'Bearer abc'],
    ['what is no base64', 'Basic *'],
    ['a password with more behind it', `${basic('alice', password)}, x`],
  ]) {
    t.test(`refuses ${title}`, async (t) => {
      arrived.length = 0
      const headers = { authorization: authorization as string }
      t.equal((await visit(gateway, 'login.localhost', '/', { headers })).status, 401)
      t.same(arrived, [])
    })
  }

  t.test('refuses two Authorization lines', async (t) => {
    const line = `Authorization: ${alice.authorization}`
    t.match(await raw('login.localhost', 'GET / HTTP/1.1', line, line), /^HTTP\/1\.1 401 /)
  })

  t.test('whatever the way its host is written', async (t) => {
    arrived.length = 0
    const { public: port } = gateway.ports
    for (const host of ['LOGIN.localhost', 'login.localhost.', `login.LOCALHOST.:${port}`]) {
      const request = `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
      t.match(await said('login.localhost', request), /^HTTP\/1\.1 401 /, host)
      t.match(await said('shared.localhost', request), /^HTTP\/1\.1 (?:401|421) /, host)
    }
    const absolute = `GET https://LOGIN.localhost:443/ HTTP/1.1`
    t.match(await raw('login.localhost', absolute), /^HTTP\/1\.1 401 /)
    t.same(arrived, [])
  })

  t.test('each of several requests that are sent at one time', async (t) => {
    arrived.length = 0
    const head = 'Host: login.localhost\r\n'
    const first = `GET /1 HTTP/1.1\r\n${head}Authorization: ${alice.authorization}\r\n\r\n`
    const second = `POST /2 HTTP/1.1\r\n${head}Content-Length: 5\r\n\r\nGET /`
    const third = `GET /3 HTTP/1.1\r\n${head}Connection: close\r\n\r\n`
    const answers = await said('login.localhost', first + second + third)
    t.same(
      answers.match(/HTTP\/1\.1 \d+/g),
      [200, 401, 401].map((each) => `HTTP/1.1 ${each}`),
    )
    t.same(arrived, ['/1'])
  })

  t.test('guards a WebSocket over HTTP/2 as well', async (t) => {
    arrived.length = 0
    const session = http2To(t, 'login.localhost')
    await once(session, 'remoteSettings')
    const asking = { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'https' }
    const stream = session.request({ ...asking, ':path': '/', ':authority': 'login.localhost' })
    t.match(await once(stream, 'response'), [{ ':status': 401 }])
    stream.close()
    t.same(arrived, [])
  })

  for (const version of ['--http1.1', '--http2']) {
    t.test(`asks anew for each request of a connection: ${version}`, lacksCurl, async (t) => {
      const url = `https://login.localhost:${gateway.ports.public}/`
      const format = ['--output', '/dev/null', '--write-out', '%{http_code} %{num_connects}\\n']
      const options = [version, ...format, '--cacert', gateway.caFile, '--noproxy', '*']
      const to = ['--resolve', `login.localhost:${gateway.ports.public}:127.0.0.1`]
      const once = ['--silent', '--user', `alice:${password}`, ...options, ...to, url, '--next']
      const { stdout } = await curl(gateway, url, [...once, ...options])
      t.equal(stdout.toString(), '200 1\n401 0\n')
    })
  }

  t.test('guards an Upgrade as well', async (t) => {
    arrived.length = 0
    const upgrade = ['GET /socket HTTP/1.1', 'Upgrade: x', 'Connection: Upgrade'] as const
    t.match(await raw('login.localhost', ...upgrade), /^HTTP\/1\.1 401 /)
    t.same(arrived, [])
    const authorized = await raw(
      'login.localhost',
      ...upgrade,
      `Authorization: ${alice.authorization}`,
    )
    t.match(authorized, /^HTTP\/1\.1 101 [\s\S]*hello$/)
  })

  t.test('slows down who guesses, by address', lacksCurl, async (t) => {
    const guess = async (guessed: string, address = '127.0.0.9') => {
      const options = [
        '--interface',
        address,
        '--user',
        `alice:${guessed}`,
        '--output',
        '/dev/null',
      ]
      const written = ['--write-out', '%{http_code} %{time_total}']
      const url = `https://login.localhost:${gateway.ports.public}/`
      const { stdout } = await curl(gateway, url, [...options, ...written])
      return stdout.toString().split(' ').map(Number)
    }
    const first = await Promise.all(Array.from({ length: 10 }, (_, index) => guess(`no ${index}`)))
    t.ok(first.every(([status]) => status === 401))
    await guess('no 10')
    const [status, seconds = 0] = await guess('no 11')
    t.equal(status, 401)
    t.ok(seconds >= 0.5, `the twelfth took ${seconds} s`)
    t.match(await guess(password, '127.0.0.9'), [200], 'and who has it is let in')
  })
})

t.test('allow_ips and deny_ips', async (t) => {
  const from = async (address: string, host: string) => {
    const options = ['--interface', address, '--header', 'X-Forwarded-For: 127.0.0.2']
    const { stdout } = await curl(gateway, `https://${host}:${gateway.ports.public}/`, options)
    return stdout.toString()
  }

  t.test('let in who may, whatever a header says', lacksCurl, async (t) => {
    t.match(JSON.parse(await from('127.0.0.2', 'office.localhost')), { url: '/' })
    t.match(await from('127.0.0.1', 'office.localhost'), 'ADDRESS_FORBIDDEN')
    t.match(JSON.parse(await from('127.0.0.1', 'others.localhost')), { url: '/' })
    t.match(await from('127.0.0.3', 'others.localhost'), 'ADDRESS_FORBIDDEN')
  })

  t.test('say so by 403', async (t) => {
    const { status, headers } = await visit(gateway, 'office.localhost')
    t.match([status, headers['gotunnel-error']], [403, 'ADDRESS_FORBIDDEN'])
  })

  t.test('hold in tcp mode', async (t) => {
    const say = async (localAddress: string) => {
      const tcp = net.connect({ host: '127.0.0.1', port: gateway.ports.public, localAddress })
      const socket = connect({ socket: tcp, servername: 'tcp.localhost', ca: gateway.ca })
      t.teardown(() => socket.destroy())
      socket.end('hello')
      return heard(socket).catch(({ code }) => code)
    }
    t.equal(await say('127.0.0.2'), 'hello')
    t.match(await say('127.0.0.1'), /^(?:ECONNRESET)?$/)
    t.match(await gateway.program.waitFor('connection', { code: 'ADDRESS_FORBIDDEN' }), {
      ...{ host: 'tcp.localhost', outcome: 'refused', remoteAddress: '127.0.0.1' },
    })
  })

  t.test('hold in tls mode, and at a port of its own', async (t) => {
    const hello = connect({
      ...{ host: '127.0.0.1', port: gateway.ports.public, servername: 'tls.localhost' },
    })
    t.match(await once(hello, 'error'), [{ code: 'ECONNRESET' }])
    const plain = async (localAddress: string) => {
      const socket = net.connect({ host: '127.0.0.1', port: ownPort, localAddress })
      socket.end('hello')
      return text(socket).catch(({ code }) => code)
    }
    t.equal(await plain('127.0.0.2'), 'hello')
    t.equal(await plain('127.0.0.3'), 'ECONNRESET')
  })
})

t.test('while the agent is away, a page says so', async (t) => {
  const agent = await startAgent(t, gateway, [{ hostname: 'away.localhost', target }])
  t.equal((await visit(gateway, 'away.localhost')).status, 200)
  const session = agent.logged('connected')[0]?.session
  await agent.kill('SIGTERM')
  await gateway.program.waitFor('agent gone', { session })
  const { status, headers } = await visit(gateway, 'away.localhost')
  t.match([status, headers['gotunnel-error'], headers['retry-after']], [503, 'AGENT_AWAY', '5'])
})

t.test('an agent serves nothing by a gateway that would let everybody in', async (t) => {
  arrived.length = 0
  const older = await GoGateway.start(t)
  const offers = [
    { hostname: 'open.localhost', target },
    { hostname: 'guarded.localhost', target, allow_ips: ['192.0.2.1'] },
  ]
  const agent = spawnAgent(t, older.destination, offers)
  const session = await older.agent()
  t.match(JSON.parse(await session.line()), { type: 'register' })
  const get = (host: string) => session.exchange(host, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
  for (const { hostname } of offers) await t.rejects(get(hostname), 'before the ack')
  await session.say('{"type":"ack","ok":true}')
  const { reason } = await agent.waitFor('cannot connect', { code: 'CLIENT_GATEWAY_TOO_OLD' })
  t.match(reason, 'too old for allow_ips of guarded.localhost')
  await older.agent() // it tries again
  t.same(arrived, [])
})

t.test('what cannot be meant is refused at the start', async (t) => {
  const { stderr } = await hashPassword('al:ice', 'x\n')
  t.match(stderr, 'USER must be')
  t.match((await hashPassword('alice', '\n')).stderr, 'the password must have')
  const offers = [{ hostname: 'a.localhost', target: freePort, allow_ips: [''] }]
  const agent = spawnAgent(t, gateway, offers)
  t.match(await agent.exited, { code: 2 })
  t.match(agent.stderr, 'allow_ips: is empty: remove it, if everybody may come in')
})

/** `gotunnel-agent hash-password USER` */
function hashPassword(user: string, typed: string) {
  const args = ['-u', 'NODE_OPTIONS', process.execPath, join(cli, 'agent.js')]
  return run('env', [...args, 'hash-password', user], ({ stdin }) => void stdin.end(typed))
}

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

/** What the service was asked. */
async function asked(
  host: string,
  path = '/',
  headers: Readonly<Record<string, string>> = {},
): Promise<Asked> {
  const { status, body } = await visit(gateway, host, path, { headers })
  if (status !== 200) throw new Error(`${status}: ${body}`)
  return JSON.parse(body.toString())
}

function http2To(t: Test, servername: string): ClientHttp2Session {
  const { ca, ports } = gateway
  const options = { host: '127.0.0.1', port: ports.public, servername, ca, ALPNProtocols: ['h2'] }
  const session = connectHttp2(`https://${servername}`, {
    createConnection: () => connect(options),
  })
  t.teardown(() => session.destroy())
  return session
}

/** A request to the letter, and all that comes back. */
function raw(host: string, first: string, ...lines: string[]): Promise<string> {
  const close = lines.some((line) => line.startsWith('Connection:')) ? [] : ['Connection: close']
  return said(host, `${[first, `Host: ${host}`, ...lines, ...close].join('\r\n')}\r\n\r\n`)
}

/** All that comes back for the bytes, over a connection to that name. */
function said(servername: string, bytes: string): Promise<string> {
  const { ca, ports } = gateway
  const socket = connect({ host: '127.0.0.1', port: ports.public, servername, ca })
  socket.write(bytes)
  return text(socket)
}
