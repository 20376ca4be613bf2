import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { readClientHello } from '../../src/net/client-hello.ts'
import { type PeekLimits, peek } from '../../src/net/peek.ts'
import { splice } from '../../src/net/splice.ts'
import { duplexPair } from '../support/duplex-pair.ts'
import { local, tcpWire, testCredentials, tolerant } from './wires.ts'

const events = ['data', 'end', 'error', 'close', 'readable', 'timeout'] as const

async function connected(t: Test, options: net.ServerOpts = {}): Promise<[Socket, Socket]> {
  const server = net.createServer({ allowHalfOpen: true, ...options }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = net.connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' })
  const [socket] = await once(server, 'connection')
  t.teardown(() => {
    client.destroy()
    socket.destroy()
    server.close()
  })
  return [tolerant(client).setNoDelay(), socket]
}

function listeners(socket: Socket): number[] {
  return events.map((event) => socket.listenerCount(event))
}

/** The first line, once it is whole. */
function line(bytes: Buffer): string | undefined {
  const end = bytes.indexOf('\n')
  return end < 0 ? undefined : bytes.toString('latin1', 0, end)
}

function readAll(socket: NodeJS.ReadableStream): Promise<string> {
  let all = ''
  socket.on('data', (chunk) => (all += chunk))
  socket.resume()
  return new Promise((resolve) => socket.on('end', () => resolve(all)))
}

t.test('decides by the first bytes, and leaves every byte and no listener', async (t) => {
  for (const pauseOnConnect of [false, true]) {
    const [client, socket] = await connected(t, { pauseOnConnect })
    const before = listeners(socket)
    client.end('HELLO\nand what follows')
    t.equal(await peek(socket, line), 'HELLO')
    t.same(listeners(socket), before)
    t.ok(socket.isPaused())
    t.equal(await readAll(socket), 'HELLO\nand what follows')
  }
})

t.test('puts bytes together that come one at a time', async (t) => {
  const [client, socket] = await connected(t)
  const asked: number[] = []
  const decided = peek(socket, (bytes) => {
    asked.push(bytes.length)
    client.write(bytes.length < 6 ? 'HELLO\n'.charAt(bytes.length) : 'more')
    return line(bytes)
  })
  client.write('H')
  t.equal(await decided, 'HELLO')
  t.same(asked, [1, 2, 3, 4, 5, 6])
  client.end()
  t.equal(await readAll(socket), 'HELLO\nmore')
})

t.test('may be asked again, and reads what another peek has put back', async (t) => {
  const [client, socket] = await connected(t)
  client.end('HELLO\n')
  t.equal(await peek(socket, line), 'HELLO')
  t.equal(await peek(socket, (bytes) => bytes[0]), 'H'.charCodeAt(0))
  t.equal(await peek(socket, line), 'HELLO')
  t.equal(await readAll(socket), 'HELLO\n')
})

t.test('keeps what comes between the decision and whoever takes the socket over', async (t) => {
  const [client, socket] = await connected(t)
  const sent = `HELLO\n${'x'.repeat(1_000_000)}`
  client.end(sent)
  await peek(socket, line)
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.ok(socket.readableLength < 300_000, `${socket.readableLength} bytes held, not all of them`)
  t.equal(await readAll(socket), sent)
})

t.test('a socket after a peek', async (t) => {
  t.test('can be spliced', async (t) => {
    const { far, near } = await tcpWire(t)
    const [target, other] = duplexPair()
    far.end('HELLO\nspliced')
    await peek(near as Socket, line)
    const done = splice(near, other)
    t.equal(await readAll(target), 'HELLO\nspliced')
    target.end('answer')
    t.equal(await readAll(far), 'answer')
    await done
  })

  t.test('can be given to a TLS server, by the name in its ClientHello', async (t) => {
    const credentials = await testCredentials()
    const secure = tls.createServer({ ...credentials, ALPNProtocols: ['echo'] }, (it) =>
      it.pipe(it),
    )
    const server = net.createServer(async (socket) => {
      const hello = await peek(tolerant(socket), (bytes) => {
        const found = readClientHello(bytes)
        return found.kind === 'partial' ? undefined : found
      })
      t.same(hello, { kind: 'hello', serverName: 'app.example.com', alpn: ['echo'] })
      secure.emit('connection', socket)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const { port } = server.address() as AddressInfo
    const client = tls.connect({
      ...local(port),
      servername: 'app.example.com',
      ALPNProtocols: ['echo'],
    })
    const sent = 'x'.repeat(500_000)
    client.end(sent)
    t.equal(await readAll(client), sent)
    t.equal(client.alpnProtocol, 'echo')
  })

  t.test('gives a TLS server the whole of a hello that comes byte by byte', async (t) => {
    const secure = tls.createServer(await testCredentials(), (it) => it.end('welcome'))
    const server = net.createServer(async (socket) => {
      await peek(tolerant(socket), (bytes) => (bytes.length < 100 ? undefined : true))
      secure.emit('connection', socket)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    // Between the TLS client and the server: a wire that knows single bytes only.
    const [near, far] = duplexPair()
    const wire = net.connect((server.address() as AddressInfo).port, '127.0.0.1').setNoDelay()
    far.on('data', (chunk: Buffer) => {
      for (const byte of chunk) wire.write(Buffer.of(byte))
    })
    wire.on('data', (chunk) => far.write(chunk)).on('end', () => far.end())
    t.equal(await readAll(tls.connect({ socket: near, rejectUnauthorized: false })), 'welcome')
    wire.destroy()
  })

  t.test('can be given to an HTTP server, and resumed', async (t) => {
    const web = http.createServer((request, response) => response.end(`you want ${request.url}`))
    t.teardown(() => web.closeAllConnections())
    const [client, socket] = await connected(t)
    client.write('GET /this HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n')
    await peek(socket, line)
    web.emit('connection', socket)
    socket.resume()
    t.match(await readAll(client), /you want \/this$/)
  })
})

t.test('gives up, and puts back what came', async (t) => {
  const limits: Record<string, { send: string; limits: PeekLimits; code: string }> = {
    'on a client that sends nothing': {
      send: '',
      limits: { timeoutMs: 10 },
      code: 'NET_PEEK_TIMEOUT',
    },
    'on a client that is slow': {
      send: 'HEL',
      limits: { timeoutMs: 30 },
      code: 'NET_PEEK_TIMEOUT',
    },
    'on a client that sends on and on': {
      send: 'x'.repeat(20_000),
      limits: {},
      code: 'NET_PEEK_TOO_LONG',
    },
    'at the limit, not one byte behind it': {
      send: 'x'.repeat(100),
      limits: { limitBytes: 100 },
      code: 'NET_PEEK_TOO_LONG',
    },
  }
  for (const [name, { send, limits: given, code }] of Object.entries(limits)) {
    t.test(name, async (t) => {
      const [client, socket] = await connected(t)
      const before = listeners(socket)
      client.write(send)
      await t.rejects(peek(socket, line, given), { code, name: 'NetError' })
      t.same(listeners(socket), before)
      t.ok(socket.isPaused())
      client.end()
      t.equal(await readAll(socket), send)
    })
  }
})

t.test('the time runs from the call, however many bytes drip in', async (t) => {
  const [client, socket] = await connected(t)
  const drip = setInterval(() => client.write('x'), 5)
  t.teardown(() => clearInterval(drip))
  await t.rejects(peek(socket, line, { timeoutMs: 60 }), { code: 'NET_PEEK_TIMEOUT' })
})

t.test('a peer that waits for our first word', async (t) => {
  const whenSilent = (word: string | undefined) => ({
    silence: { afterMs: 30, decide: () => word },
    timeoutMs: 120,
  })

  t.test('may be known for it', async (t) => {
    const [client, socket] = await connected(t)
    const before = listeners(socket)
    t.equal(await peek(socket, line, whenSilent('patient')), 'patient')
    t.same(listeners(socket), before)
    client.end('HELLO\n')
    t.equal(await readAll(socket), 'HELLO\n')
  })

  t.test('or has the rest of its time', async (t) => {
    const [, socket] = await connected(t)
    await t.rejects(peek(socket, line, whenSilent(undefined)), { code: 'NET_PEEK_TIMEOUT' })
  })

  t.test('is none that has sent a byte', async (t) => {
    const [client, socket] = await connected(t)
    client.write('H')
    await once(socket, 'readable')
    await t.rejects(peek(socket, line, whenSilent('patient')), { code: 'NET_PEEK_TIMEOUT' })
  })
})

t.test('a connection that ends or fails first is an error with its reason', async (t) => {
  const [client, socket] = await connected(t)
  client.end('HEL')
  await t.rejects(peek(socket, line), { code: 'NET_PEEK_CLOSED', message: /3 bytes/ })
  await t.rejects(peek(socket, line), { code: 'NET_PEEK_CLOSED' }, 'also when asked again')

  const [, reset] = await connected(t)
  const before = listeners(reset)
  const failed = peek(reset, line)
  reset.destroy(new Error('the wire broke'))
  await t.rejects(failed, { code: 'NET_PEEK_CLOSED', cause: { message: 'the wire broke' } })
  t.same(listeners(reset), before)

  const [, destroyed] = await connected(t)
  const waiting = peek(destroyed, line)
  destroyed.destroy()
  await t.rejects(waiting, { code: 'NET_PEEK_CLOSED' })
  await t.rejects(peek(destroyed, line), { code: 'NET_PEEK_CLOSED' })
})

t.test('what decide throws is the error, and the socket is put back all the same', async (t) => {
  const [client, socket] = await connected(t)
  client.end('HELLO\n')
  const broken = new Error('not my kind')
  const before = listeners(socket)
  await t.rejects(
    peek(socket, () => {
      throw broken
    }),
    broken,
  )
  t.same(listeners(socket), before)
  t.equal(await readAll(socket), 'HELLO\n')
})
