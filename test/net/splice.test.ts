import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { Duplex } from 'node:stream'
import tls, { type TLSSocket } from 'node:tls'
import t from 'tap'
import { splice } from '../../src/net/splice.ts'
import { duplexPair } from '../support/duplex-pair.ts'
import {
  type Lay,
  local,
  pairWire,
  tcpWire,
  testCredentials,
  tlsWire,
  tolerant,
  unixWire,
  type Wire,
} from './wires.ts'

// visitor ── wire ── [ splice ] ── wire ── target
const layouts: Record<string, [Lay, Lay]> = {
  'pair and pair': [pairWire, pairWire],
  'TCP and TCP': [tcpWire, tcpWire],
  'TLS and pair': [tlsWire, pairWire],
  'pair and TCP': [pairWire, tcpWire],
  'TLS and TLS': [tlsWire, tlsWire],
}

/** How a stream came to its end, and what it gave until then. */
interface Outcome {
  bytes: number
  hash: string
  how: 'end' | 'error' | 'close'
}

function read(stream: Duplex): Promise<Outcome> {
  const hash = createHash('sha256')
  let bytes = 0
  return new Promise((resolve) => {
    const done = (how: Outcome['how']) => resolve({ bytes, hash: hash.copy().digest('hex'), how })
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      hash.update(chunk)
    })
    stream.on('end', () => done('end'))
    stream.on('error', () => done('error'))
    stream.on('close', () => done('close'))
  })
}

function isClosed(stream: Duplex): Promise<unknown> {
  return new Promise((resolve) => stream.on('close', resolve))
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

for (const [name, [layLeft, layRight]] of Object.entries(layouts)) {
  t.test(name, async (t) => {
    const lay = async (): Promise<[left: Wire, right: Wire]> => [
      await layLeft(t),
      await layRight(t),
    ]

    t.test('carries every byte both ways, and ends when both have ended', async (t) => {
      const [left, right] = await lay()
      const up = randomBytes(3_000_001)
      const down = randomBytes(2_000_001)
      let isDone = false
      const done = splice(left.near, right.near).then(() => (isDone = true))
      const received = [read(right.far), read(left.far)]
      left.far.end(up)
      right.far.end(down)
      t.same(await Promise.all(received), [
        { bytes: up.length, hash: sha256(up), how: 'end' },
        { bytes: down.length, hash: sha256(down), how: 'end' },
      ])
      await done
      t.ok(isDone && left.near.closed && right.near.closed, 'resolves once both are closed')
      t.equal(left.near.errored ?? right.near.errored, null)
    })

    t.test('goes on in one direction long after the other has ended', async (t) => {
      const [left, right] = await lay()
      const done = splice(left.near, right.near)
      const asked = read(right.far)
      left.far.end('all that the visitor has to say')
      t.match(await asked, { how: 'end', bytes: 31 })
      const answer = read(left.far)
      for (let i = 0; i < 50; i += 1) {
        if (!right.far.write(Buffer.alloc(10_000, i))) await once(right.far, 'drain')
        await new Promise(setImmediate)
      }
      t.notOk(left.near.destroyed || right.near.destroyed)
      right.far.end()
      t.match(await answer, { how: 'end', bytes: 500_000 })
      await done
    })

    t.test('holds a sender whose bytes the other side does not take', async (t) => {
      const [left, right] = await lay()
      const done = splice(left.near, right.near)
      const chunk = Buffer.alloc(65_536, 'x')
      const total = 400 * chunk.length // more than the buffers of two loopback connections
      let sent = 0
      const send = () => {
        while (sent < total) {
          sent += chunk.length
          if (!left.far.write(chunk)) return
        }
        left.far.end()
      }
      left.far.on('drain', send)
      send()
      await settled(() => sent)
      t.ok(sent < total, `held after ${sent} bytes`)
      t.ok(right.near.writableLength <= 4 * chunk.length, `${right.near.writableLength} in memory`)
      const received = read(right.far)
      right.far.end()
      left.far.resume()
      t.match(await received, { how: 'end', bytes: total })
      await done
    })

    t.test('a side that is cut off cuts the other off, never with a clean end', async (t) => {
      for (const isUpward of [true, false]) {
        const [left, right] = await lay()
        const [from, to] = isUpward ? [left, right] : [right, left]
        const done = splice(from.near, to.near)
        const received = read(to.far)
        from.far.write('half an ans')
        await once(to.far, 'data')
        from.near.destroy()
        t.match(await received, { how: /error|close/ })
        await done
      }
    })

    t.test('an error on one side destroys the other, and is handled', async (t) => {
      const [left, right] = await lay()
      const done = splice(left.near, right.near)
      const received = read(right.far)
      left.near.destroy(new Error('broken wire'))
      t.match(await received, { how: 'error' })
      await done
      t.ok(left.near.closed && right.near.closed)
      left.near.emit('error', new Error('a late one'))
    })

    t.test('a side that is destroyed already takes the other along', async (t) => {
      for (const error of [undefined, new Error('failed before')]) {
        const [left, right] = await lay()
        const received = read(right.far)
        left.near.destroy(error)
        const done = splice(left.near, right.near) // its 'error' and 'close' are still to come
        t.match(await received, { how: 'error' })
        await done
      }
      for (const wait of [() => new Promise(process.nextTick), isClosed]) {
        const [left, right] = await lay()
        const received = read(left.far)
        const closed = wait(right.near)
        right.near.destroy()
        await closed
        const done = splice(left.near, right.near)
        t.match(await received, { how: 'error' })
        await done
      }
    })

    t.test('a side that has ended already is a clean end', async (t) => {
      const [left, right] = await lay()
      left.near.allowHalfOpen = true
      left.far.end()
      left.near.resume()
      await once(left.near, 'end')
      const done = splice(left.near, right.near)
      t.match(await read(right.far), { how: 'end', bytes: 0 })
      const answer = read(left.far)
      right.far.end('still answered')
      t.match(await answer, { how: 'end', bytes: 14 })
      await done
    })

    t.test('a side that a third party has ended does not hold the other open', async (t) => {
      const [left, right] = await lay()
      const done = splice(left.near, right.near)
      left.near.end() // as a gateway that drains might; nobody will take what the target sends
      left.far.resume().on('end', () => left.far.end())
      right.far.resume()
      await done
      t.ok(left.near.closed && right.near.closed)
      right.far.destroy()
    })

    t.test('bytes for a side that a third party has ended are not lost in silence', async (t) => {
      const [left, right] = await lay()
      const outcome = read(right.far)
      left.near.end()
      const done = splice(left.near, right.near)
      right.far.write('to whom?')
      t.match(await outcome, { how: 'error' })
      await done
    })
  })
}

/** Resolves once the number stands still for 20 turns of the event loop, sockets and all. */
async function settled(value: () => number): Promise<void> {
  for (let same = 0, last = value(); same < 20; ) {
    await new Promise((resolve) => setTimeout(resolve, 2))
    same = value() === last ? same + 1 : 0
    last = value()
  }
}

t.test('a unix socket may be one of the sides, and is closed with the other', async (t) => {
  const visitor = await tcpWire(t)
  const target = await unixWire(t)
  const done = splice(visitor.near, target.near)
  const [asked, answered] = [read(target.far), read(visitor.far)]
  visitor.far.end('question')
  t.match(await asked, { how: 'end', bytes: 8 })
  target.far.end('an answer')
  t.match(await answered, { how: 'end', bytes: 9 })
  await done

  const [left, right] = [await tcpWire(t), await unixWire(t)]
  const cut = splice(left.near, right.near)
  const outcome = read(right.far)
  left.near.destroy()
  t.match(await outcome, { how: 'end' }, 'a unix socket knows no reset')
  await cut
})

t.test('a reset right behind the last byte is passed on as a reset', async (t) => {
  for (const lay of [tcpWire, tlsWire]) {
    for (const [isKnown, backlog] of [
      [true, 0],
      [false, 0],
      [true, 8_000_000],
      [false, 8_000_000],
    ] as const) {
      const [visitor, target] = [await lay(t), await pairWire(t)]
      const socket = visitor.near as net.Socket
      if (isKnown) t.ok(socket.remoteAddress) // as whoever counts visitors asks; Node keeps it
      const done = splice(socket, target.near)
      const outcome = read(target.far)
      visitor.far.pause()
      target.far.write(Buffer.alloc(backlog)) // more than the visitor has taken when it goes
      await settled(() => socket.bytesWritten)
      // In one go, so that both arrive at once: an end, to the libuv of Node 20.
      visitor.far.write('half a quest')
      abort(visitor.far)
      t.match(await outcome, { how: 'error' }, `${lay.name}, ${backlog} bytes on the way`)
      await done
    }
  }
})

t.test('a reset that meets the tickets of TLS is noticed behind a waiting write', async (t) => {
  const context = tls.createSecureContext(await testCredentials())
  let handle: { readStop(): void; readStart(): void } | undefined
  const server = tls.createServer({
    allowHalfOpen: true,
    SNICallback(this: TLSSocket & { _handle?: typeof handle }, _name, answer) {
      handle = this._handle
      handle?.readStop() // so that all that the visitor does will be there at once
      answer(null, context)
    },
  })
  server.on('connection', (under: net.Socket) => t.ok(under.remoteAddress)) // Node keeps it
  server.listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const visitor = tolerant(tls.connect({ ...local(port), servername: 'localhost' }))
  await once(visitor, 'secureConnect')
  await new Promise((resolve) => visitor.write('half a quest', resolve))
  abort(visitor)
  const accepted = once(server, 'secureConnection')
  handle?.readStart()
  const [socket] = await accepted
  const target = await pairWire(t)
  await new Promise(setImmediate) // and then the tickets have met the reset
  socket.write('an answer')
  const done = splice(tolerant(socket), target.near)
  t.match(await read(target.far), { bytes: 12, how: 'error' })
  await done
})

/** A reset as other programs send it: without a farewell of TLS either. */
function abort(stream: Duplex): void {
  const handle = (stream as net.Socket & { _handle: { _parent?: { reset(): void } } })._handle
  if (handle._parent) handle._parent.reset()
  else (stream as net.Socket).resetAndDestroy()
}

t.test('a TCP peer, also one under TLS, is told by a reset', async (t) => {
  for (const lay of [tcpWire, tlsWire]) {
    const [visitor, lost] = [await lay(t), await pairWire(t)]
    const done = splice(visitor.near, lost.near)
    const failed = once(visitor.far, 'error')
    visitor.far.once('end', () => t.fail('a clean end'))
    lost.far.write('half an ans')
    visitor.far.once('data', () => lost.far.destroy())
    // What Node would hide otherwise: a FIN without close_notify is 'end' to its TLS clients.
    t.match(await failed.catch((error) => [error]), [{ code: 'ECONNRESET' }], lay.name)
    await done
  }
})

t.test('a socket may still be connecting, and fail to', async (t) => {
  const server = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const [visitor, near] = duplexPair()
  const done = splice(near, net.connect(port, '127.0.0.1'))
  visitor.end('echo')
  t.match(await read(visitor), { how: 'end', bytes: 4 })
  await done
  server.close()
  await once(server, 'close')

  const [refused, nearRefused] = duplexPair()
  const outcome = once(refused, 'error').catch((error) => [error])
  await splice(nearRefused, net.connect(port, '127.0.0.1'))
  t.match(await outcome, [
    { cause: { code: 'NET_SPLICE_BROKEN', cause: { code: 'ECONNREFUSED' } } },
  ])

  const [gone, nearGone] = duplexPair()
  tolerant(gone).destroy()
  const connecting = net.connect(port, '127.0.0.1')
  await splice(nearGone, connecting)
  t.ok(connecting.closed, 'one that is connecting is not waited for')
})

t.test('half-close is kept on sockets that would not have kept it', async (t) => {
  const server = net.createServer().listen(0, '127.0.0.1') // allowHalfOpen: false
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const far = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  const [near] = await once(server, 'connection')
  const [target, nearTarget] = duplexPair()
  const done = splice(near, nearTarget)
  far.end()
  t.match(await read(target), { how: 'end' })
  target.end('an answer all the same')
  t.match(await read(far), { how: 'end', bytes: 22 })
  await done
})

t.test('resolves no sooner than the slower of the two is closed', async (t) => {
  const { near: socket } = await tcpWire(t)
  let letGo = () => {}
  const slow = new Duplex({
    read() {},
    destroy: (error, done) => {
      letGo = () => done(error)
    },
  })
  socket.destroy()
  await new Promise(process.nextTick)
  t.ok(socket.closed, 'its close event is still to come')
  let isDone = false
  const done = splice(socket, slow).then(() => (isDone = true))
  await once(socket, 'close')
  await new Promise(setImmediate)
  t.notOk(isDone)
  letGo()
  await done
})

t.test('a stream that is not destroyed by its own error is destroyed here', async (t) => {
  const stubborn = new Duplex({ autoDestroy: false, read() {}, write: (_, __, done) => done() })
  const [far, near] = duplexPair()
  const outcome = read(far)
  const done = splice(stubborn, near)
  stubborn.emit('error', new Error('and still alive'))
  t.match(await outcome, { how: 'error' })
  await done
  t.ok(stubborn.destroyed)
})

t.test('whatever happens to two hundred of them, each comes to its end', async (t) => {
  const wires = [pairWire, tcpWire, tlsWire]
  let seed = 1
  const random = (n: number) => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed % n
  }
  const lay = () => wires[random(3)]?.(t) ?? pairWire(t)
  const one = async () => {
    const [left, right] = [await lay(), await lay()]
    const done = splice(left.near, right.near)
    const ends = [left.far, right.far, left.near, right.near]
    for (const far of [left.far, right.far]) far.resume().on('end', () => far.end())
    for (let i = random(6); i >= 0; i -= 1) {
      const stream = ends[random(4)] ?? left.far
      const far = ends[random(2)] ?? left.far
      const act = random(5)
      if (act === 0) stream.destroy()
      else if (act === 1) stream.destroy(new Error('at random'))
      else if (act === 2) far.end()
      else if (!far.writableEnded) far.write(Buffer.alloc(random(200_000)))
      if (random(2) === 0) await new Promise(setImmediate)
    }
    left.far.end()
    await done
    t.ok(left.near.closed && right.near.closed)
  }
  for (let i = 0; i < 20; i += 1) await Promise.all(Array.from({ length: 10 }, one))
})

t.test('last bytes that nobody takes are waited for, but not for ever', async (t) => {
  const [left, right] = [await tcpWire(t), await pairWire(t)]
  void splice(left.near, right.near)
  left.far.pause()
  left.far.end()
  let sent = 0
  while (left.near.writableLength === 0) {
    const bytes = Buffer.alloc(32_768)
    sent += bytes.length
    await new Promise((resolve) => right.far.write(bytes, resolve))
    await new Promise((resolve) => setImmediate(resolve))
  }
  const closed = isClosed(right.near)
  right.far.end()
  right.far.resume()
  await closed
  t.equal((left.near as net.Socket).timeout, 120_000)
  const outcome = read(left.far)
  left.far.resume()
  t.match(await outcome, { bytes: sent, how: 'end' })
})
