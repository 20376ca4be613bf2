import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { PassThrough, type Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import tls, { type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { DevelopmentIssuer } from '../../src/certs/development-issuer.ts'
import { Stdio } from '../../src/cli/stdio.ts'
import { listening } from '../support/listening.ts'

// `gotunnel-agent connect`, the built program, against a tunnel that is played here.
const program = resolve(import.meta.dirname, '../../dist/cli/agent.js')
const quiet = { debug() {}, info() {}, warn() {}, error() {} }
const issuer = await DevelopmentIssuer.load({ directory: t.testdir(), log: quiet })
const { key, chain: cert } = await issuer.issue('ssh.localhost')
const trust = ['--ca', issuer.caPath]

t.test('joins the standard input and output to a tunnel', async (t) => {
  const at = await tunnel(t, (socket) => socket.pipe(socket))
  const child = connect(t, [at, ...trust])
  child.stdin?.write('one ')
  t.equal(String((await once(child.stdout as Readable, 'data'))[0]), 'one ')
  child.stdin?.end('two')
  t.strictSame(await outcome(child), { code: 0, stdout: 'two', stderr: '' })
})

t.test('asks for the name, and offers the protocols it is told', async (t) => {
  const options = { ALPNProtocols: ['postgresql'] }
  const at = await tunnel(
    t,
    ({ servername, alpnProtocol }) => `${servername} ${alpnProtocol}`,
    options,
  )
  const named = await outcome(connect(t, [at, ...trust, '--alpn', 'redis,postgresql']))
  t.equal(named.stdout, 'ssh.localhost postgresql')
  const plain = await outcome(connect(t, [at.replace('ssh', 'SSH'), ...trust]))
  t.equal(plain.stdout, 'ssh.localhost false')
})

t.test('the output ends with the tunnel’s sending side, and the input goes on', async (t) => {
  let heard: Promise<string> | undefined
  const at = await tunnel(t, (socket) => {
    heard = text(socket)
    return 'all I have to say'
  })
  const child = connect(t, [at, ...trust])
  t.equal(await text(child.stdout as Readable), 'all I have to say')
  child.stdin?.end('and what I say to that')
  t.match(await once(child, 'exit'), [0])
  t.equal(await heard, 'and what I say to that')
})

t.test('at the end nothing is lost, however slow the reader is', async (t) => {
  const sent = Buffer.alloc(8 << 20, 'a tunnel carries ')
  const at = await tunnel(t, () => sent)
  const child = connect(t, [at, ...trust])
  child.stdin?.end()
  const received = createHash('sha256')
  let chunks = 0
  for await (const chunk of child.stdout as Readable) {
    received.update(chunk)
    chunks += 1
    if (chunks % 16 === 0) await delay(5)
  }
  t.equal(received.digest('hex'), createHash('sha256').update(sent).digest('hex'))
  t.match(await once(child, 'exit'), [0])
})

t.test('files for input and output, and an input that is closed', async (t) => {
  const directory = t.testdir({ in: '' })
  const sent = Buffer.alloc(3 << 20, 'bytes of a file ')
  writeFileSync(`${directory}/in`, sent)
  const at = await tunnel(t, (socket) => socket.pipe(socket))
  const files = [openSync(`${directory}/in`, 'r'), openSync(`${directory}/out`, 'w')]
  const child = connect(t, [at, ...trust], [...files, 'pipe'])
  for (const file of files) closeSync(file)
  t.match(await once(child, 'exit'), [0])
  t.ok(readFileSync(`${directory}/out`).equals(sent))

  const greets = await tunnel(t, () => 'hello')
  const command = ['sh', '-c', 'exec "$@" <&-', 'sh', process.execPath]
  const closed = spawnIn(t, [...command, program, 'connect', greets, ...trust])
  t.strictSame(await outcome(closed), { code: 0, stdout: 'hello', stderr: '' })
})

t.test('one socket for both, as a ProxyCommand may have it', async (t) => {
  const at = await tunnel(t, (socket) => socket.pipe(socket))
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true })
  const port = await listening(t, server)
  const connected = once(server, 'connection')
  const ours = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const [theirs] = (await connected) as [net.Socket]
  const child = connect(t, [at, ...trust], [theirs, theirs, 'pipe'])
  theirs.destroy()
  ours.end('there and back')
  t.equal(await text(ours), 'there and back')
  t.match(await once(child, 'exit'), [0])
})

t.test('a reader that leaves is one line, exit code 1, and a reset for the tunnel', async (t) => {
  let sending: Promise<unknown> | undefined
  const at = await tunnel(t, (socket) => {
    sending = pipeline(endless(), socket).catch((error) => error)
  })
  const child = connect(t, [at, ...trust])
  await once(child.stdout as Readable, 'data')
  child.stdout?.destroy()
  const [stderr, [code]] = await Promise.all([text(child.stderr as Readable), once(child, 'exit')])
  t.equal(code, 1)
  t.match(stderr, /^error: the local side broke off .*EPIPE.*\(CLIENT_LOCAL_BROKEN\)\n$/)
  t.match(await sending, { code: 'ECONNRESET' })
})

t.test('a tunnel that breaks is one line and exit code 1, after what had come', async (t) => {
  const at = await tunnel(t, (socket, tcp) => {
    socket.once('data', () => socket.write('half an ans', () => tcp.resetAndDestroy()))
  })
  const child = connect(t, [at, ...trust])
  child.stdin?.write('?')
  const { code, stdout, stderr } = await outcome(child, { endsInput: false })
  t.strictSame([code, stdout], [1, 'half an ans'])
  t.match(stderr, /^error: the connection to the tunnel broke off.*\(CLIENT_CONNECTION_BROKEN\)\n$/)
})

t.test('a signal cuts the connection off, and the tunnel can tell', async (t) => {
  let broken: Promise<unknown> | undefined
  const at = await tunnel(t, (socket) => {
    broken = new Promise((resolve) => socket.once('error', resolve).once('end', resolve))
    socket.resume()
    socket.write('up')
  })
  const child = connect(t, [at, ...trust])
  await once(child.stdout as Readable, 'data')
  child.kill('SIGTERM')
  t.match(await once(child, 'exit'), [1, null])
  t.match(await broken, { code: 'ECONNRESET' })
})

t.test(
  'what keeps a connection from coming about is told in one line, with what to do',
  async (t) => {
    const at = await tunnel(t, () => 'hello')
    const [, port] = at.split(':')
    const plain = await listening(
      t,
      net.createServer((socket) => socket.end('SSH-2.0-x\r\n')),
    )
    const cases: [args: string[], message: RegExp][] = [
      [[at], /not from a CA that is trusted here: .*--ca .*--insecure/],
      [
        [`other.localhost:${port}`, ...trust],
        /is for DNS:ssh\.localhost, not for other\.localhost: .*HOST/,
      ],
      [['ssh.localhost:1', ...trust], /^error: ssh\.localhost:1 refused the connection: /],
      [['ssh.invalid'], /^error: ssh\.invalid:443 cannot be (found|looked up)/],
      [[`ssh.localhost:${plain}`, ...trust], /does not speak TLS: .*public port/],
    ]
    const told = cases.map(async ([args, message]) => {
      const { code, stdout, stderr } = await outcome(connect(t, args))
      t.strictSame([code, stdout], [1, ''])
      t.match(stderr, message)
      t.match(stderr, /^error: [^\n]+ \(TRANSPORT_\w+\)\n$/)
    })
    await Promise.all(told)
    const trusting = await outcome(connect(t, [at, '--insecure']))
    t.strictSame(trusting, { code: 0, stdout: 'hello', stderr: '' })
  },
)

t.test('wrong usage is exit code 2, before anything is dialled', async (t) => {
  const cases: [args: string[], message: string][] = [
    [[], 'connect needs HOST[:PORT]'],
    [['a.test', 'b.test'], 'unexpected argument: b.test'],
    [['192.0.2.1'], 'HOST[:PORT]: "192.0.2.1": must be the name of a tcp tunnel, such as'],
    [['a.test:0'], 'HOST[:PORT]: "a.test:0": must be'],
    [['a.test', '--listen', 'a:b:c'], '--listen: "a:b:c": must be a port, or an address'],
    [['a.test', '--alpn', 'x,,y'], '--alpn: "x,,y": must be names of protocols'],
    [['a.test', '--ca', 'none.pem'], 'none.pem does not exist; it is named by --ca'],
    [['a.test', '--check'], 'unknown option: --check'],
  ]
  const told = cases.map(async ([args, message]) => {
    const { code, stdout, stderr } = await outcome(connect(t, args))
    t.strictSame([code, stdout], [2, ''])
    t.match(stderr.split('\n')[0], `error: ${message}`)
  })
  await Promise.all(told)
})

t.test('--listen opens a port, and each connection to it is one to the tunnel', async (t) => {
  const at = await tunnel(t, (socket) => socket.pipe(socket))
  const { child, port, logged } = await listener(t, [at, ...trust, '--listen', '0'])
  const clients = ['one', 'two', 'three'].map(async (words) => {
    const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    client.end(words)
    return text(client)
  })
  t.strictSame(await Promise.all(clients), ['one', 'two', 'three'])
  t.match(await logged('connection opened'), { from: /^127\.0\.0\.1:\d+$/ })
  t.match(await logged('connection closed'), { bytesRead: Number, bytesWritten: Number })

  const last = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  last.write('under way')
  await once(last, 'data')
  child.kill('SIGINT')
  await logged('closing; a second signal ends at once')
  const late = net.connect({ port, host: '127.0.0.1' })
  t.match(await once(late, 'error'), [{ code: 'ECONNREFUSED' }], 'nobody new comes in')
  last.end(', and finished')
  t.equal(await text(last), ', and finished')
  t.match(await once(child, 'exit'), [0])
})

t.test(
  'a tunnel that cannot be reached is a reset for the client, and a line in the log',
  async (t) => {
    const { port, logged } = await listener(t, ['ssh.localhost:1', '--listen', '127.0.0.1:0'])
    for (let nth = 1; nth <= 2; nth += 1) {
      const client = net.connect({ port, host: '127.0.0.1' })
      t.match(await once(client, 'error'), [{ code: 'ECONNRESET' }])
      t.match(await logged('connection failed', nth), {
        level: 'warn',
        code: 'TRANSPORT_DIAL_FAILED',
      })
    }
  },
)

t.test('a port that is taken ends it, and so does a second signal', async (t) => {
  const taken = await listening(t, net.createServer())
  const { code, stderr } = await outcome(connect(t, ['a.test', '--listen', String(taken)]))
  t.equal(code, 1)
  t.match(stderr, /^error: cannot listen on 127\.0\.0\.1:\d+: .*\(NET_PORT_TAKEN\)\n$/)

  const at = await tunnel(t, (socket) => socket.write('up'))
  const { child, port, logged } = await listener(t, [at, ...trust, '--listen', '0'])
  const client = net.connect({ port, host: '127.0.0.1' })
  client.on('error', () => {})
  await once(client, 'data')
  child.kill('SIGINT')
  await logged('closing; a second signal ends at once')
  child.kill('SIGINT')
  t.match(await once(child, 'exit'), [1])
})

t.test('an input that is ended for its owner carries no more', async (t) => {
  const [input, output] = [new PassThrough(), new PassThrough()]
  const stdio = new Stdio({ input, output })
  input.write('typed')
  t.equal(String((await once(stdio, 'data'))[0]), 'typed')
  stdio.endInput()
  await once(stdio, 'end')
  t.ok(input.destroyed)
  stdio.end('last words')
  t.equal(await text(output), 'last words')
})

type Service = (socket: TLSSocket, tcp: net.Socket) => unknown

/** A tunnel, as `connect` names it. A service that gives words says them, and ends its half. */
async function tunnel(t: Test, service: Service, options: tls.TlsOptions = {}): Promise<string> {
  const server = tls.createServer({ ...options, key, cert, allowHalfOpen: true, noDelay: true })
  const connections: net.Socket[] = []
  server.on('connection', (tcp: net.Socket) => connections.push(tcp))
  server.on('secureConnection', (socket) => {
    socket.on('error', () => {})
    const tcp = connections.find(({ remotePort }) => remotePort === socket.remotePort)
    const words = service(socket, tcp as net.Socket)
    if (typeof words === 'string' || Buffer.isBuffer(words)) {
      socket.resume()
      socket.end(words)
    }
  })
  return `ssh.localhost:${await listening(t, server)}`
}

function connect(t: Test, args: string[], stdio: StdioOptions = 'pipe'): ChildProcess {
  return spawnIn(t, [process.execPath, program, 'connect', ...args], stdio)
}

function spawnIn(
  t: Test,
  [file = '', ...args]: string[],
  stdio: StdioOptions = 'pipe',
): ChildProcess {
  const child = spawn(file, args, { stdio, env: { PATH: process.env.PATH } })
  child.stdin?.on('error', () => {}) // it may have ended already
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

async function outcome(child: ChildProcess, { endsInput = true } = {}) {
  const { stdin, stdout, stderr } = child
  if (endsInput) stdin?.end()
  const [out, errors, [code]] = await Promise.all([
    text(stdout as Readable),
    text(stderr as Readable),
    once(child, 'close'),
  ])
  return { code, stdout: out, stderr: errors }
}

/** A program with `--listen`, once it does. */
async function listener(t: Test, args: string[]) {
  const child = connect(t, args)
  const lines: Record<string, unknown>[] = []
  const reader = createInterface({ input: child.stdout as Readable })
  reader.on('line', (line) => lines.push(JSON.parse(line)))
  const logged = async (message: string, nth = 1) => {
    for (;;) {
      const line = lines.filter((line) => line.message === message)[nth - 1]
      if (line !== undefined) return line
      await once(reader, 'line')
    }
  }
  const { address } = await logged('listening')
  return { child, logged, port: Number(String(address).split(':').at(-1)) }
}

async function* endless() {
  for (;;) yield Buffer.alloc(64 * 1024)
}
