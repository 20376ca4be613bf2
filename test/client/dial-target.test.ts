import { once } from 'node:events'
import { createSecureServer } from 'node:http2'
import net, { type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import {
  type Dialled,
  dialTarget,
  type Place,
  type Target,
  type TargetTls,
} from '../../src/client/dial-target.ts'
import { exchange } from '../../src/client/exchange.ts'
import { opensslPair } from '../certs/support.ts'
import { duplexPair } from '../support/duplex-pair.ts'

const { key, chain } = opensslPair(t.testdir(), 'DNS:localhost,DNS:app.internal')

t.test('an https target', async (t) => {
  const offered: string[][] = []
  const server = tls.createServer(
    {
      ...{ key, cert: chain },
      ALPNCallback({ protocols }) {
        offered.push(protocols)
        return protocols.find((protocol) => protocol === 'http/1.1')
      },
    },
    (socket) => {
      socket.on('error', () => {})
      socket.write(`${socket.servername}, `)
      socket.pipe(socket)
    },
  )
  const port = await listen(t, server)
  const verified = { verify: true, ca: chain }
  const dial = (target: Place & { tls?: TargetTls }, more: Partial<Dialled> = {}) =>
    connect(t, target, more)

  t.test('is asked for by its host, and trusted by its CA', async (t) => {
    const socket = await dial({ host: 'localhost', port, tls: verified })
    socket.end('hello')
    t.equal(await text(socket), 'localhost, hello')
    t.strictSame(offered.pop(), ['http/1.1'])
  })

  t.test('or by another name', async (t) => {
    const named = { ...verified, serverName: 'app.internal' }
    const socket = await dial({ host: '127.0.0.1', port, tls: named })
    socket.end()
    t.equal(await text(socket), 'app.internal, ')
  })

  t.test('or by nobody, if that was asked for', async (t) => {
    const socket = await dial({ host: '127.0.0.1', port, tls: { verify: false } })
    socket.end()
    t.equal(await text(socket), 'false, ')
  })

  for (const [why, target] of [
    ['has an unknown CA', { host: 'localhost', tls: { verify: true } }],
    ['has another name', { host: '127.0.0.1', tls: verified }],
    ['has another name', { host: 'localhost', tls: { ...verified, serverName: 'other.test' } }],
  ] as const) {
    t.test(`is told from one that ${why}`, async (t) => {
      await t.rejects(dial({ ...target, port }), {
        code: 'CLIENT_TARGET_UNTRUSTED',
        message: 'target_verify: false',
      })
    })
  }

  t.test('that speaks no HTTP/2 where it should', async (t) => {
    const dialled = dial({ host: 'localhost', port, tls: verified }, { protocol: 'h2' })
    await t.rejects(dialled, { code: 'CLIENT_TARGET_UNREACHABLE' })
  })

  t.test('that does', async (t) => {
    const http2 = createSecureServer({ key, cert: chain })
    const port = await listen(t, http2)
    const socket = await dial({ host: 'localhost', port, tls: verified }, { protocol: 'h2' })
    t.equal((socket as tls.TLSSocket).alpnProtocol, 'h2')
    socket.destroy()
  })

  t.test('that is none', async (t) => {
    const port = await listen(
      t,
      net.createServer((socket) => socket.end('220 hello\r\n')),
    )
    await t.rejects(dial({ host: 'localhost', port, tls: verified }), {
      code: 'CLIENT_TARGET_UNREACHABLE',
    })
  })

  t.test('that never answers is given up after 10 s', async (t) => {
    const accepted: net.Socket[] = []
    const silent = net.createServer((socket) => accepted.push(socket.on('error', () => {})))
    const port = await listen(t, silent)
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const dialled = dial({ host: 'localhost', port, tls: verified })
    await once(silent, 'connection')
    t.clock.advance(10_000)
    await t.rejects(dialled, { code: 'CLIENT_TARGET_UNREACHABLE', message: '10000 ms' })
  })

  t.test('answers like any other, and is heard to its end', async (t) => {
    const [visitor, stream] = duplexPair()
    for (const end of [visitor, stream]) end.on('error', () => {})
    const server = tls.createServer({ key, cert: chain }, (socket) => {
      socket.on('error', () => {})
      socket.once('data', () => socket.end('HTTP/1.1 413 Payload Too Large\r\n\r\n'))
    })
    const port = await listen(t, server)
    const done = exchange(stream, await dial({ host: 'localhost', port, tls: verified }))
    visitor.write('POST / HTTP/1.1\r\n\r\n')
    t.equal(await text(visitor), 'HTTP/1.1 413 Payload Too Large\r\n\r\n')
    await done
  })

  t.test('that breaks off is no end', async (t) => {
    const [visitor, stream] = duplexPair()
    for (const end of [visitor, stream]) end.on('error', () => {})
    const server = tls.createServer({ key, cert: chain })
    server.on('connection', (raw: net.Socket) =>
      server.once('secureConnection', (socket) => {
        socket.on('error', () => {})
        socket.once('data', () =>
          socket.write('HTTP/1.1 200 OK\r\n\r\nhalf', () => raw.resetAndDestroy()),
        )
      }),
    )
    const port = await listen(t, server)
    const done = exchange(stream, await dial({ host: 'localhost', port, tls: verified }))
    visitor.write('GET / HTTP/1.1\r\n\r\n')
    await t.rejects(text(visitor))
    await done
  })
})

t.test('a target on a unix socket', async (t) => {
  const path = join(t.testdir(), 'app.sock')
  const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
  server.listen(path)
  await once(server, 'listening')
  t.teardown(() => server.close())
  const socket = await connect(t, { path })
  socket.end('hello')
  t.equal(await text(socket), 'hello')
  await t.rejects(connect(t, { path: `${path}.none` }), {
    code: 'CLIENT_TARGET_UNREACHABLE',
    message: /ENOENT/,
  })
})

/** What the target is dialled for is a stream that goes on. */
async function connect(
  t: Test,
  target: Place & { tls?: TargetTls },
  more: Partial<Dialled> = {},
): Promise<net.Socket> {
  const [near, far] = duplexPair()
  for (const end of [near, far]) end.on('error', () => {})
  t.teardown(() => near.destroy())
  const dialled = {
    hostname: 'app.test',
    target: { text: 'target', ...target } satisfies Target,
    ...more,
  }
  const socket = await dialTarget(far, dialled)
  t.teardown(() => socket.destroy())
  return socket
}

async function listen(t: Test, server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => sockets.add(socket.on('error', () => {})))
  server.on('tlsClientError', () => {})
  server.listen(0)
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}
