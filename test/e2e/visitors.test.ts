import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { connect } from 'node:tls'
import t from 'tap'
import { startAgent, startGateway } from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { listen, serveTcp } from './targets.ts'
import { ask, connectTo, curl, heard, sClient, visit } from './visitor.ts'

// What a visitor gets through a gateway and an agent: one of each, with two private services.

t.jobs = 8
const site = createServer((request, response) => {
  if (request.url === '/headers') {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(request.headers))
  } else if (request.url === '/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: first\n\n')
    site.once('second event', () => response.end('data: second\n\n'))
  } else {
    response.setHeader('x-of-the-target', 'kept')
    response.end(`hello from ${request.method} ${request.url}\n`)
  }
})
site.on('upgrade', (_request: IncomingMessage, socket: Socket, head: Buffer) => {
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
  )
  if (head.length > 0) socket.write(head)
  socket.pipe(socket)
})
const sitePort = await listen(t, site)
const echoPort = await serveTcp(t, (socket) => socket.pipe(socket))
/** Says what it has to say and ends its half; what comes after that it counts. */
const afterwards: Promise<string>[] = []
const saysAllPort = await serveTcp(t, (socket) => {
  afterwards.push(buffer(socket).then(String))
  socket.end('all I have to say')
})

const gateway = await startGateway(t)
const url = (path: string, host = 'app.localhost') =>
  `https://${host}:${gateway.ports.public}${path}`
const agent = await startAgent(t, gateway, [
  { hostname: 'app.localhost', target: sitePort },
  { hostname: 'echo.localhost', target: echoPort, mode: 'tcp' },
  { hostname: 'says-all.localhost', target: saysAllPort, mode: 'tcp' },
])

t.test('curl has the page of the private service', { skip: lacks('curl') }, async (t) => {
  const { code, stdout, stderr } = await curl(gateway, url('/a?b=c'), ['--include'])
  t.strictSame([code, stderr], [0, ''])
  const [head = '', body] = stdout.toString().split('\r\n\r\n')
  t.match(head, /^HTTP\/1\.1 200 OK\r\n/)
  t.match(head, /^x-of-the-target: kept$/im)
  t.equal(body, 'hello from GET /a?b=c\n')
})

t.test('the target is told of the visitor, whatever the visitor says', async (t) => {
  const forged = {
    'x-forwarded-for': '203.0.113.66',
    'x-real-ip': '203.0.113.66',
    forwarded: 'for=203.0.113.66',
    'x-custom': 'kept',
  }
  const { status, body } = await visit(gateway, 'app.localhost', '/headers', { headers: forged })
  t.equal(status, 200)
  const { 'x-real-ip': realIp, forwarded, ...headers } = JSON.parse(body.toString())
  const host = `app.localhost:${gateway.ports.public}`
  t.strictSame([realIp, forwarded], [undefined, `for=127.0.0.1;host="${host}";proto=https`])
  t.match(headers, {
    host,
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': host,
    'x-forwarded-port': String(gateway.ports.public),
    'x-request-id': /^[0-9a-f-]{36}$/,
    'x-custom': 'kept',
  })
})

t.test('openssl s_client talks to a tcp tunnel', { skip: lacks('openssl') }, async (t) => {
  const { code, stdout, stderr } = await sClient(gateway, 'echo.localhost', 'is anybody there?\n')
  t.strictSame([code, stdout.toString(), stderr], [0, 'is anybody there?\n', 'DONE\n'])
})

t.test(
  'plain http is sent to https, for names that are known',
  { skip: lacks('curl') },
  async (t) => {
    const plain = (host: string) => `http://${host}:${gateway.ports.http}/a?b=c`
    const format = ['--write-out', '%{http_code} %{redirect_url}', '--output', '/dev/null']
    const known = await curl(gateway, plain('app.localhost'), format)
    t.equal(known.stdout.toString(), `308 ${url('/a?b=c')}`)
    const unknown = await curl(gateway, plain('other.localhost'))
    t.match(unknown.stdout.toString(), 'no tunnel for host')
  },
)

t.test('a name that nobody holds is refused in the handshake', async (t) => {
  const { ports, ca } = gateway
  const socket = connect({
    host: '127.0.0.1',
    port: ports.public,
    servername: 'other.localhost',
    ca,
  })
  const [error] = await once(socket, 'error')
  t.equal(error.code, 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME')
  t.match(await gateway.program.waitFor('no tunnel for host'), { host: 'other.localhost' })
  if (lacks('curl')) return
  const { code, stderr } = await curl(gateway, url('/', 'other.localhost'))
  t.equal(code, 35)
  t.match(stderr, 'unrecognized name')
})

t.test('a name that has a certificate and no agent any more has a page', async (t) => {
  const short = await startAgent(t, gateway, [{ hostname: 'short.localhost', target: sitePort }])
  t.match(await visit(gateway, 'short.localhost'), { status: 200 })
  t.strictSame(await short.kill('SIGTERM'), { code: 0, signal: null })
  const { status, headers, body } = await visit(gateway, 'short.localhost')
  t.match([status, headers['gotunnel-error']], [503, 'AGENT_AWAY'])
  t.match(body.toString(), 'not connected; try again in a few seconds')
})

t.test("the gateway's own name has a page of its own", async (t) => {
  const { status, body } = await visit(gateway, 'gateway.localhost')
  t.equal(status, 200)
  t.match(body.toString(), 'This is a gotunnel gateway.')
})

t.test('the dashboard shows who is connected', { skip: lacks('curl') }, async (t) => {
  const { code, stdout } = await curl(
    gateway,
    `http://localhost:${gateway.ports.dashboard}/tunnels`,
  )
  t.equal(code, 0)
  for (const name of ['app.localhost', 'echo.localhost']) t.match(stdout.toString(), name)
})

t.test('requests follow each other on one connection, and its bodies with them', async (t) => {
  const socket = await connectTo(t, gateway, 'app.localhost')
  const one = 'GET /1 HTTP/1.1\r\nHost: app.localhost\r\n\r\n'
  const last = 'GET /2 HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n'
  socket.write(one + one + last)
  const text = await heard(socket)
  t.strictSame(text.match(/hello from GET \/\d/g), [
    'hello from GET /1',
    'hello from GET /1',
    'hello from GET /2',
  ])
})

t.test('the first event is there while the response goes on', async (t) => {
  const outgoing = ask(gateway, 'app.localhost', '/events')
  outgoing.end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  const [first] = await once(response, 'data')
  t.equal(String(first), 'data: first\n\n')
  site.emit('second event')
  t.equal((await buffer(response)).toString(), 'data: second\n\n')
})

t.test('a WebSocket is switched to, and then carries what it likes', async (t) => {
  const outgoing = ask(gateway, 'app.localhost', '/socket', {
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    },
  })
  outgoing.end()
  const [response, socket] = (await once(outgoing, 'upgrade')) as [IncomingMessage, Socket]
  t.match(response, {
    statusCode: 101,
    headers: { upgrade: 'websocket', 'sec-websocket-accept': 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=' },
  })
  const bytes = Buffer.from('818537fa213d7f9f4d5158', 'hex') // RFC 6455 §5.7: "Hello", masked
  socket.write(bytes)
  t.strictSame((await once(socket, 'data'))[0], bytes)
  socket.end()
  await once(socket, 'close')
})

t.test('a visitor who has ended its half still hears the answer', async (t) => {
  const socket = await connectTo(t, gateway, 'echo.localhost')
  const sent = Buffer.alloc(1 << 20, 'tcp')
  socket.end(sent)
  t.ok((await heard(socket)) === sent.toString())
})

t.test('a target that has ended its half still hears the visitor', async (t) => {
  const socket = await connectTo(t, gateway, 'says-all.localhost')
  t.equal(await heard(socket), 'all I have to say')
  socket.end('and this is what I say to that')
  t.equal(await afterwards[0], 'and this is what I say to that')
})

t.test('an agent has 64 tunnels of both modes', async (t) => {
  const offers = Array.from({ length: 64 }, (_, index) =>
    index % 2 === 0
      ? { hostname: `t${index}.many.localhost`, target: sitePort }
      : { hostname: `t${index}.many.localhost`, target: echoPort, mode: 'tcp' as const },
  )
  await startAgent(t, gateway, offers)
  const answers = offers.map(async ({ hostname, mode }) => {
    if (mode !== 'tcp') return (await visit(gateway, hostname)).body.toString()
    const socket = await connectTo(t, gateway, hostname)
    socket.end('tcp\n')
    return heard(socket)
  })
  const expected = offers.map(({ mode }) => (mode === 'tcp' ? 'tcp\n' : 'hello from GET /\n'))
  t.strictSame(await Promise.all(answers), expected)
})

t.test('nothing of all this was worth a warning', { buffered: false }, async (t) => {
  for (const program of [gateway.program, agent]) {
    t.strictSame(program.warnings, [])
    t.equal(program.stderr, '')
  }
})
