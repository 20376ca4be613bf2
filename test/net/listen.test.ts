import { once } from 'node:events'
import http from 'node:http'
import net, { type Server } from 'node:net'
import t, { type Test } from 'tap'
import type { NetError } from '../../src/net/errors.ts'
import { closeServer, listen } from '../../src/net/listen.ts'

function server(t: Test): Server {
  const made = net.createServer((socket) => socket.end('hello'))
  t.teardown(() => closeServer(made))
  return made
}

async function greeting(host: string, port: number): Promise<string> {
  const [chunk] = await once(net.connect({ host, port }), 'data')
  return String(chunk)
}

/** A server whose listen() fails as the system would let it. */
function failing(code: string, isFor: (host: string) => boolean = () => true): Server {
  const made = net.createServer()
  const real = made.listen
  made.listen = ((options: net.ListenOptions) => {
    if (!isFor(options.host ?? '')) return real.call(made, options)
    const error = Object.assign(new Error(`listen ${code}`), { code, port: options.port })
    process.nextTick(() => made.emit('error', error))
    return made
  }) as typeof made.listen
  return made
}

const hasIPv6 = await new Promise<boolean>((resolve) => {
  const probe = net.createServer().on('error', () => resolve(false))
  probe.listen(0, '::1', () => probe.close(() => resolve(true)))
})

t.test('listens on every address, on a free port for port 0', async (t) => {
  const { port } = await listen(server(t), { port: 0 })
  t.ok(port > 0)
  t.equal(await greeting('127.0.0.1', port), 'hello')
  if (hasIPv6) t.equal(await greeting('::1', port), 'hello')
})

t.test('listens on one address alone', async (t) => {
  const { address, port } = await listen(server(t), { port: 0, host: '127.0.0.1' })
  t.equal(address, '127.0.0.1')
  await t.rejects(greeting('127.0.0.2', port), { code: 'ECONNREFUSED' })
})

t.test('listens on IPv4 where there is no IPv6', async (t) => {
  for (const code of ['EAFNOSUPPORT', 'EADDRNOTAVAIL']) {
    const made = failing(code, (host) => host === '::')
    t.teardown(() => closeServer(made))
    t.match(await listen(made, { port: 0 }), { address: '0.0.0.0' })
  }
  await t.rejects(listen(failing('EAFNOSUPPORT'), { port: 0 }), { code: 'NET_LISTEN_FAILED' })
})

t.test('a port that is taken is an error that names it', async (t) => {
  const { port } = await listen(server(t), { port: 0, host: '127.0.0.1' })
  const error: NetError = await listen(server(t), { port, host: '127.0.0.1' }).catch((it) => it)
  t.match(error, { name: 'NetError', code: 'NET_PORT_TAKEN', cause: { code: 'EADDRINUSE', port } })
  t.match(error.message, `cannot listen on 127.0.0.1:${port}: another program already does; `)
})

t.test('a port that is taken on IPv6 only is not taken by half', { skip: !hasIPv6 }, async (t) => {
  const taken = server(t).listen({ port: 0, host: '::', ipv6Only: true })
  await once(taken, 'listening')
  const { port } = taken.address() as net.AddressInfo
  const error = { code: 'NET_PORT_TAKEN', message: `cannot listen on port ${port}: ` }
  await t.rejects(listen(server(t), { port }), error)
})

t.test('a port below 1024 is an error that says what it takes', async (t) => {
  await t.rejects(listen(failing('EACCES'), { port: 443 }), {
    code: 'NET_PORT_FORBIDDEN',
    message: /^cannot listen on port 443: .*CAP_NET_BIND_SERVICE/,
    cause: { code: 'EACCES' },
  })
})

t.test('an address that is not ours is an error that says so', async (t) => {
  await t.rejects(listen(server(t), { port: 0, host: '192.0.2.1' }), {
    code: 'NET_LISTEN_FAILED',
    message: 'cannot listen on 192.0.2.1:0: this machine has no such address',
  })
  await t.rejects(listen(failing('EMFILE'), { port: 80, host: '::1' }), {
    code: 'NET_LISTEN_FAILED',
    message: 'cannot listen on [::1]:80: listen EMFILE',
  })
})

t.test('a server that could not listen may try again', async (t) => {
  const { port } = await listen(server(t), { port: 0, host: '127.0.0.1' })
  const second = server(t)
  await t.rejects(listen(second, { port, host: '127.0.0.1' }))
  t.ok((await listen(second, { port: 0, host: '127.0.0.1' })).port)
  t.equal(second.listenerCount('error'), 0)
})

t.test('closing waits for the last connection, and does no harm twice', async (t) => {
  const made = net.createServer((socket) => socket.on('error', () => {}))
  const { port } = await listen(made, { port: 0, host: '127.0.0.1' })
  const client = net.connect(port, '127.0.0.1')
  const [socket] = await once(made, 'connection')
  let isClosed = false
  const closed = Promise.all([closeServer(made), closeServer(made)]).then(() => (isClosed = true))
  await new Promise(setImmediate)
  t.notOk(isClosed)
  socket.destroy()
  client.destroy()
  await closed
  await closeServer(made)
  await closeServer(net.createServer())
  await closeServer(http.createServer())
})
