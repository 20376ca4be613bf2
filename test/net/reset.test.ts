import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import tls, { type TLSSocket } from 'node:tls'
import t from 'tap'
import { reset } from '../../src/net/reset.ts'
import { duplexPair } from '../support/duplex-pair.ts'
import { local, tcpWire, testCredentials, tlsWire, tolerant, unixWire } from './wires.ts'

const reason = new Error('cut short')

t.test('the peer of a TCP connection sees a reset, also under TLS', async (t) => {
  for (const lay of [tcpWire, tlsWire]) {
    const { far, near } = await lay(t)
    tolerant(near)
    far.resume().once('end', () => t.fail('a clean end'))
    near.write('hello')
    await once(far, 'data')
    reset(near, reason)
    reset(near, new Error('once more'))
    const [error] = await once(far, 'error')
    t.match(error, { code: 'ECONNRESET' }, lay.name)
    if (!near.closed) await once(near, 'close').catch(() => {})
  }
})

t.test('what has no reset of its own is destroyed with the error', async (t) => {
  const [other, end] = duplexPair()
  tolerant(other)
  tolerant(end)
  const { near: unix } = await unixWire(t)
  for (const stream of [end, tolerant(unix), tolerant(new net.Socket())]) {
    reset(stream, reason)
    t.equal(stream.errored, reason)
  }
})

t.test('a socket that is still connecting is not waited for', async (t) => {
  const server = net.createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const socket = tolerant(net.connect((server.address() as AddressInfo).port, '127.0.0.1'))
  reset(socket, reason)
  await new Promise((resolve) => socket.once('close', resolve))
  t.equal(socket.errored, reason)
})

t.test('a socket that has just been ended is closed all the same', async (t) => {
  // resetAndDestroy() would fail with EINVAL here, and leave the descriptor open for ever.
  for (const lay of [tcpWire, tlsWire]) {
    for (const pause of [() => {}, () => Promise.resolve(), () => new Promise(setImmediate)]) {
      const { far, near } = await lay(t)
      far.resume()
      tolerant(near).end('bye')
      await pause()
      const closed = new Promise((resolve) => near.once('close', resolve))
      reset(near, reason)
      await closed
      t.ok(near.closed)
    }
  }
})

t.test('a TLS socket may be reset from within its own handshake', async (t) => {
  const server = tls.createServer(await testCredentials()).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socketUnder = (socket: TLSSocket) => (socket as TLSSocket & { _parent: net.Socket })._parent
  const ways: ((socket: TLSSocket) => void)[] = [
    (socket) => reset(socket, reason),
    (socket) => {
      reset(socket, reason)
      socketUnder(socket).destroy()
    },
    (socket) => {
      socketUnder(socket).destroy() // a process that does this and destroys both is gone: SIGSEGV
      reset(socket, reason)
    },
  ]
  for (const way of ways) {
    for (let i = 0; i < 10; i += 1) {
      server.once('secureConnection', (socket) => way(tolerant(socket)))
      const client = tolerant(tls.connect(local(port))).resume()
      await new Promise((resolve) => client.once('close', resolve))
    }
  }
  t.pass('still here')
})
