import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate, setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Connect } from '../../src/client/dial-target.ts'
import type { ClientError } from '../../src/client/errors.ts'
import { exchange } from '../../src/client/exchange.ts'
import { forward, type Route } from '../../src/client/forward.ts'
import type { Mode } from '../../src/protocol/messages.ts'
import type { Addresses } from '../../src/protocol/proxy-protocol.ts'
import { duplexPair } from '../support/duplex-pair.ts'

const modes: readonly Mode[] = ['http', 'tcp', 'tls']

for (const mode of modes) {
  t.test(`in ${mode} mode`, async (t) => {
    t.test('bytes travel both ways, and so does the end', async (t) => {
      const { stream, done } = start(await serve(t, mode, hearsHello))
      stream.end(Buffer.concat([preamble('app.test'), Buffer.from('hello')]))
      t.equal(await text(stream), 'hello')
      await done
    })

    t.test('the preamble may be cut anywhere, and what follows it is kept', async (t) => {
      const route = await serve(t, mode, hearsHello)
      const bytes = Buffer.concat([preamble('app.test'), Buffer.from('hello')])
      for (let cut = 0; cut <= bytes.length; cut += 1) {
        const { stream } = start(route)
        stream.write(bytes.subarray(0, cut))
        await setImmediate()
        stream.end(bytes.subarray(cut))
        t.equal(await text(stream), 'hello', `cut at ${cut}`)
      }
      const { stream } = start(route)
      for (const byte of bytes) stream.write(Buffer.from([byte]))
      stream.end()
      t.equal(await text(stream), 'hello', 'byte by byte')
    })

    t.test('a preamble of version 2 will do as well', async (t) => {
      const { stream } = start(await serve(t, mode, hearsHello))
      stream.write('\r\n\r\n\0\r\nQUIT\n')
      stream.write(Buffer.from('2111', 'hex')) // PROXY, TCP over IPv4
      stream.write(Buffer.from('0017', 'hex')) // 12 of addresses, 11 of authority
      stream.write(Buffer.from('cb0071070a000001c3500050', 'hex')) // 203.0.113.7:50000, 10.0.0.1:80
      stream.write(Buffer.from('020008', 'hex'))
      stream.end('app.testhello')
      t.equal(await text(stream), 'hello')
    })

    t.test('megabytes pass a slow reader in order', async (t) => {
      const bytes = Buffer.alloc(4 << 20, 'The quick brown fox. ')
      const { stream } = start(await serve(t, mode, (socket) => socket.end(bytes)))
      stream.write(preamble('app.test'))
      const chunks: Buffer[] = []
      for await (const chunk of stream) {
        chunks.push(chunk)
        if (chunks.length % 16 === 0) await setImmediate()
      }
      t.ok(Buffer.concat(chunks).equals(bytes))
    })

    t.test('a target that speaks first is heard', async (t) => {
      const { stream } = start(await serve(t, mode, (socket) => socket.write('220 ready\r\n')))
      stream.write(preamble('app.test'))
      t.equal(String(await once(stream, 'data')), '220 ready\r\n')
      stream.destroy()
    })

    t.test('a target that hangs up in the middle breaks the stream', async (t) => {
      const route = await serve(t, mode, (socket) => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this')
        socket.once('data', () => socket.resetAndDestroy())
      })
      const { stream, done } = start(route)
      stream.write(preamble('app.test'))
      await once(stream, 'data')
      stream.write('go')
      await t.rejects(text(stream), { code: 'ECONNRESET' })
      await done
    })

    t.test('a visitor that is gone takes the connection to the target along', async (t) => {
      const connections: net.Socket[] = []
      const route = await serve(t, mode, (socket) => {
        connections.push(socket.resume())
        socket.write('x')
      })
      const { stream, done, failures } = start(route)
      stream.write(preamble('app.test'))
      await once(stream, 'data')
      stream.destroy()
      await done
      t.equal(connections.length, 1)
      for (const socket of connections) {
        while (!socket.closed) await setImmediate()
        t.match(socket.errored, { code: 'ECONNRESET' })
      }
      t.same(failures, [])
    })

    t.test('a visitor that is gone before the target has answered the dial', async (t) => {
      const socket = new net.Socket() // never connects
      const { stream, done, failures } = start(routeTo(mode, 1), { connect: () => socket })
      stream.write(preamble('app.test'))
      await setImmediate()
      stream.destroy()
      await done
      t.ok(socket.destroyed)
      t.same(failures, [])
    })

    t.test('a target may listen on any of the addresses of localhost', async (t) => {
      for (const { address } of await lookup('localhost', { all: true })) {
        const server = net.createServer({ allowHalfOpen: true }, hearsHello)
        const { target, ...route } = await listen(t, server, mode, address)
        const { stream } = start({ ...route, target: { ...target, host: 'localhost' } })
        stream.end(Buffer.concat([preamble('app.test'), Buffer.from('hello')]))
        t.equal(await text(stream), 'hello', address)
      }
    })
  })
}

t.test(
  'in tcp mode either side may end its half and hear the other for as long as it likes',
  async (t) => {
    let heard: Promise<string> | undefined
    const route = await serve(t, 'tcp', (socket) => {
      socket.end('I have said all.')
      heard = text(socket)
    })
    const { stream, done } = start(route)
    stream.write(preamble('app.test'))
    t.equal(await text(stream), 'I have said all.')
    stream.end('So have I.')
    await done
    t.equal(await heard, 'So have I.')
  },
)

t.test('a target that asked for it is told who the visitor is, before all else', async (t) => {
  const head = '\r\n\r\n\0\r\nQUIT\n'
  const told = bytes('2111 0017 cb007107 0a000001 c350 0050 02 0008', 'app.test')
  const addresses = 'cb007107 0a000001 c350 0050'
  const cases: [Route['proxyProtocol'], Buffer, expected: Buffer][] = [
    [
      'v1',
      Buffer.concat([Buffer.from(head), told]),
      Buffer.from('PROXY TCP4 203.0.113.7 10.0.0.1 50000 80\r\n'),
    ],
    ['v1', preamble('app.test'), Buffer.from('PROXY UNKNOWN\r\n')],
    [
      'v2',
      Buffer.concat([Buffer.from(head), told]),
      Buffer.concat([Buffer.from(head), bytes(`2111 000c ${addresses}`)]),
    ],
    ['v2', preamble('app.test'), Buffer.concat([Buffer.from(head), bytes('2000 0000')])],
    [undefined, Buffer.concat([Buffer.from(head), told]), Buffer.alloc(0)],
  ]
  for (const mode of ['tcp', 'tls'] as const) {
    for (const [proxyProtocol, opening, expected] of cases) {
      const route = await serve(t, mode, echo)
      const { stream, done } = start({ ...route, ...(proxyProtocol && { proxyProtocol }) })
      stream.end(Buffer.concat([opening, Buffer.from('hello')]))
      t.equal(await text(stream), `${expected.toString('utf8')}hello`, `${mode} ${proxyProtocol}`)
      await done
    }
  }
})

t.test('a target that speaks first has heard of the visitor all the same', async (t) => {
  const heard = new Promise<string>((resolve) => {
    void serve(t, 'tcp', (socket) => {
      socket.write('220 ready\r\n')
      socket.once('data', (chunk) => resolve(String(chunk)))
    }).then((route) => {
      const { stream } = start({ ...route, proxyProtocol: 'v1' })
      stream.write(preamble('app.test'))
      t.teardown(() => stream.destroy())
    })
  })
  t.equal(await heard, 'PROXY UNKNOWN\r\n')
})

t.test('tells of each connection, and of the visitor if it knows', async (t) => {
  const { stream, done, visitors } = start(await serve(t, 'tcp', echo))
  stream.write('\r\n\r\n\0\r\nQUIT\n')
  stream.end(bytes('2111 0017 cb007107 0a000001 c350 0050 02 0008', 'app.test'))
  await text(stream)
  await done
  const other = start(await serve(t, 'http', (socket) => socket.end('done')))
  other.stream.end(preamble('app.test'))
  await text(other.stream)
  await other.done
  t.match(visitors, [{ remoteAddress: '203.0.113.7', remotePort: 50_000 }])
  t.strictSame(other.visitors, [undefined])
  const refused = start(routeTo('tls', await unusedPort()))
  refused.stream.write(preamble('app.test'))
  await t.rejects(text(refused.stream), { code: 'ECONNRESET' }, 'in tls mode it is reset')
  t.strictSame(refused.visitors, [])
})

t.test('in http mode', async (t) => {
  t.test('a stream carries one request after another', async (t) => {
    const server = http.createServer((request, response) => response.end(request.url))
    const { stream } = start(await listen(t, server, 'http'))
    stream.write(preamble('app.test'))
    for (const path of ['/one', '/two', '/three']) {
      stream.write(`GET ${path} HTTP/1.1\r\nHost: app.test\r\n\r\n`)
      t.match(String(await once(stream, 'data')), path)
    }
    const ended = once(stream, 'end')
    server.closeAllConnections()
    stream.resume()
    await ended
  })

  t.test('an answer that came before the request was complete is not lost', async (t) => {
    const answer = 'HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n'
    const route = await serve(t, 'http', (socket) => socket.resume().end(answer))
    const { stream, done } = start(route)
    stream.write(preamble('app.test'))
    stream.write('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 99999999\r\n\r\n')
    const answered = text(stream)
    for (let count = 0; count < 50; count += 1) {
      stream.write(Buffer.alloc(16_384))
      await setImmediate()
    }
    t.equal(await answered, answer)
    stream.end()
    await done
  })

  t.test('nor one that came before the target took no more', async (t) => {
    const [visitor, stream] = duplexPair()
    const server = new Duplex({
      read() {},
      write: (_chunk, _encoding, callback) => callback(new Error('write EPIPE')),
    })
    for (const end of [visitor, stream, server]) end.on('error', () => {})
    const done = exchange(stream, server)
    visitor.write('POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\nand')
    while (stream.readableLength > 0) await setImmediate()
    server.push('HTTP/1.1 413 Payload Too Large')
    t.equal(String(await once(visitor, 'data')), 'HTTP/1.1 413 Payload Too Large')
    server.push(null)
    await done
    t.match(visitor.errored, { code: 'ECONNRESET' }, 'but its end is not believed')
  })

  t.test('the end of a request does not end the connection that it is answered on', async (t) => {
    const server = http.createServer(async (_request, response) => {
      for (const part of ['first', 'second']) {
        response.write(part)
        await setTimeout(20) // by now it would know
      }
      response.end()
    })
    const { stream, done } = start(await listen(t, server, 'http'))
    stream.write(preamble('app.test'))
    stream.end('GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n')
    t.match(await text(stream), /^HTTP\/1\.1 200 OK\r\n.*first.*second.*\r\n0\r\n\r\n$/s)
    await done
  })

  t.test('the end is passed on once the protocol was switched', async (t) => {
    const route = await serve(t, 'http', async (socket) => {
      await once(socket, 'data')
      socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n')
      echo(socket)
    })
    for (const isEarly of [true, false]) {
      const { stream, done } = start(route)
      stream.write(preamble('app.test'))
      stream.write('GET / HTTP/1.1\r\nUpgrade: echo\r\n\r\n')
      const first = once(stream, 'data')
      if (isEarly) stream.end()
      await first
      stream.end()
      await text(stream)
      await done
    }
  })

  t.test('a target that is silent for 2 min behind the last request is let go', async (t) => {
    const [visitor, stream] = duplexPair()
    const [server, target] = duplexPair()
    for (const end of [visitor, stream, server, target]) end.on('error', () => {})
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const done = exchange(stream, server)
    visitor.end('GET / HTTP/1.1\r\n\r\n')
    target.resume()
    while (!stream.readableEnded) await setImmediate()
    t.clock.advance(100_000)
    target.write('HTTP/1.1 200 OK\r\n\r\nand')
    await once(visitor, 'data')
    t.clock.advance(119_999)
    await setImmediate()
    t.notOk(server.destroyed)
    t.clock.advance(1)
    await done
    t.match(server.errored, { code: 'CLIENT_CLOSED' })
    t.match(visitor.errored, { code: 'ECONNRESET' })
  })

  t.test('a reset right behind the last byte is no end', async (t) => {
    const route = await serve(t, 'http', (socket) => {
      socket.once('data', () => {
        // In one go, so that both arrive at once.
        socket.write('HTTP/1.1 200 OK\r\n\r\nhalf of it')
        socket.resetAndDestroy()
      })
    })
    const { stream, done } = start(route)
    let heard = ''
    stream.on('data', (chunk) => (heard += chunk))
    stream.write(Buffer.concat([preamble('app.test'), Buffer.from('GET / HTTP/1.1\r\n\r\n')]))
    await t.rejects(once(stream, 'end'), { code: 'ECONNRESET' })
    t.equal(heard, 'HTTP/1.1 200 OK\r\n\r\nhalf of it')
    await done
  })

  t.test('what a target said before it broke off arrives before the reset', async (t) => {
    const [visitor, stream] = duplexPair({ highWaterMark: 1 }) // reads nothing ahead
    const [server, target] = duplexPair()
    for (const end of [visitor, stream, server, target]) end.on('error', () => {})
    const done = exchange(stream, server)
    target.write('HTTP/1.1 413 Payload Too Large')
    while (visitor.readableLength === 0) await setImmediate()
    target.destroy()
    while (!server.closed) await setImmediate()
    t.notOk(stream.destroyed)
    t.equal(String(visitor.read()), 'HTTP/1.1 413 Payload Too Large')
    await done
    t.match(visitor.errored, { code: 'ECONNRESET' })
  })
})

t.test('a stream that cannot be served', async (t) => {
  for (const [what, bytes, body, code] of [
    ['version 9', Buffer.from([9, 0, 1, 97]), 'bad tunnel header', 'CLIENT_BAD_PREAMBLE'],
    ['an empty hostname', Buffer.from([1, 0, 0]), 'bad tunnel header', 'CLIENT_BAD_PREAMBLE'],
    ['too long a hostname', Buffer.from([1, 255, 255]), 'bad tunnel header', 'CLIENT_BAD_PREAMBLE'],
    ['HTTP at once', Buffer.from('GET / HTTP/1.1'), 'bad tunnel header', 'CLIENT_BAD_PREAMBLE'],
    ['an unknown name', preamble('other.test'), 'no route for hostname', 'CLIENT_NO_ROUTE'],
    [
      'a known name in other case',
      preamble('App.Test'),
      'no route for hostname',
      'CLIENT_NO_ROUTE',
    ],
    ['a name of Object', preamble('__proto__'), 'no route for hostname', 'CLIENT_NO_ROUTE'],
  ] as const) {
    t.test(`because of ${what} is answered in HTTP`, async (t) => {
      const { stream, done, failures } = start(routeTo('http', 1))
      stream.write(bytes)
      t.equal(await text(stream), badGateway(body))
      t.match(failures, [{ code }])
      stream.end('and more')
      await done
    })
  }

  t.test('because it ended too early', async (t) => {
    const { stream, done } = start(routeTo('http', 1))
    stream.end(preamble('app.test').subarray(0, 5))
    t.equal(await text(stream), badGateway('bad tunnel header'))
    await done
  })

  t.test('because nothing came for 10 s', async (t) => {
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const { stream, done, failures } = start(routeTo('http', 1))
    stream.write(Buffer.from([1]))
    await setImmediate()
    t.clock.advance(9_999)
    t.same(failures, [])
    t.clock.advance(1)
    t.equal(await text(stream), badGateway('bad tunnel header'))
    t.match(failures, [{ message: '10000 ms' }])
    stream.end()
    await done
  })

  t.test('because its target refuses', async (t) => {
    const port = await unusedPort()
    const inHttp = start(routeTo('http', port))
    inHttp.stream.end(preamble('app.test'))
    t.equal(await text(inHttp.stream), badGateway('cannot reach local target'))
    const inTcp = start(routeTo('tcp', port))
    inTcp.stream.write(preamble('app.test'))
    await t.rejects(text(inTcp.stream), { code: 'ECONNRESET' }, 'in tcp mode it is reset')
    for (const { failures, done } of [inHttp, inTcp]) {
      await done
      t.match(failures, [{ code: 'CLIENT_TARGET_UNREACHABLE', message: 'ECONNREFUSED' }])
    }
  })

  t.test('because its target does not answer the dial for 10 s', async (t) => {
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const socket = new net.Socket()
    const { stream, done, failures } = start(routeTo('http', 1), { connect: () => socket })
    stream.end(preamble('app.test'))
    await setImmediate()
    t.clock.advance(9_999)
    t.notOk(socket.destroyed)
    t.clock.advance(1)
    t.equal(await text(stream), badGateway('cannot reach local target'))
    t.match(failures, [{ code: 'CLIENT_TARGET_UNREACHABLE', message: '10000 ms' }])
    t.ok(socket.destroyed)
    await done
  })

  t.test('names each address that was tried', async (t) => {
    const connect: Connect = () => {
      const socket = new net.Socket()
      const tried = [
        new Error('connect ECONNREFUSED ::1:1'),
        new Error('connect EPERM 127.0.0.1:1'),
      ]
      return socket.destroy(new AggregateError(tried))
    }
    const { stream, done, failures } = start(routeTo('tcp', 1), { connect })
    stream.write(preamble('app.test'))
    stream.on('error', () => {})
    await done
    t.match(failures, [{ message: /ECONNREFUSED ::1:1, connect EPERM 127.0.0.1:1/ }])
  })
})

/** What the gateway holds of a stream that is being forwarded. */
function start(route: Route, options: { connect?: Connect } = {}) {
  const [stream, far] = duplexPair()
  const failures: ClientError[] = []
  const visitors: (Addresses | undefined)[] = []
  const done = forward(far, {
    routes: new Map([[route.hostname, route]]),
    onFailure: (error) => failures.push(error),
    onConnection: (_, visitor) => visitors.push(visitor),
    ...options,
  })
  return { stream, done, failures, visitors }
}

function bytes(hex: string, text = ''): Buffer {
  return Buffer.concat([Buffer.from(hex.replaceAll(' ', ''), 'hex'), Buffer.from(text)])
}

function preamble(hostname: string): Buffer {
  return Buffer.concat([Buffer.from([1, 0, hostname.length]), Buffer.from(hostname)])
}

function badGateway(body: string): string {
  return `HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`
}

function serve(t: Test, mode: Mode, onConnection: (socket: net.Socket) => void): Promise<Route> {
  return listen(t, net.createServer({ allowHalfOpen: true }, onConnection), mode)
}

async function listen(t: Test, server: net.Server, mode: Mode, host = '127.0.0.1'): Promise<Route> {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  server.listen(0, host)
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return routeTo(mode, (server.address() as net.AddressInfo).port)
}

function routeTo(mode: Mode, port: number): Route {
  return { hostname: 'app.test', mode, target: { host: '127.0.0.1', port, text: `:${port}` } }
}

async function unusedPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function echo(socket: net.Socket): void {
  socket.pipe(socket)
}

/** Sends back what it hears, and ends behind a `hello`: in http mode nobody else would. */
function hearsHello(socket: net.Socket): void {
  let heard = ''
  socket.on('data', (chunk) => {
    heard += chunk
    socket.write(chunk)
    if (heard.endsWith('hello')) socket.end()
  })
}

async function text(stream: Duplex): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
