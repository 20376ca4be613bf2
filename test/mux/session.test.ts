import { once } from 'node:events'
import { pipeline } from 'node:stream/promises'
import t, { type Test } from 'tap'
import { type MuxOptions, type MuxStream, Session } from '../../src/mux/index.ts'
import { duplexPair } from '../support/duplex-pair.ts'
import { destroyAfter } from './destroy-after.ts'
import { RawPeer, sessionWithRawPeer, u32 } from './raw-peer.ts'
import { readAll, readText, sessionPair, streamPair } from './session-pair.ts'
import { pass, settle, until } from './turns.ts'

const KIB = 1024
const WINDOW = 256 * KIB

/** What befalls a stream, as words. */
function watch(stream: MuxStream): string[] {
  const events: string[] = []
  stream.on('error', (error: Error & { code?: string }) => events.push(`${error.code}`))
  for (const event of ['end', 'finish', 'close']) stream.on(event, () => events.push(event))
  return events
}

/** Bytes that tell their own place, so that a lost or swapped piece shows. */
function pattern(bytes: number, seed = 0): Buffer {
  const made = Buffer.alloc(bytes)
  for (let at = 0; at + 4 <= bytes; at += 4) made.writeUInt32BE((at + seed) >>> 0, at)
  return made
}

// ── open, accept, count ──

t.test(
  'both sides open at once: the client gets 1, the server 2, and each the other',
  async (t) => {
    const { client, server, atClient, atServer } = sessionPair(t)
    t.same([client.streamCount, server.streamCount], [0, 0])
    const opened = [client.open(), server.open()]
    t.same(
      opened.map((stream) => stream.id),
      [1, 2],
    )
    await until('both arrived', () => atServer.length === 1 && atClient.length === 1)
    t.same([atServer[0]?.id, atClient[0]?.id], [1, 2])
    t.same([client.streamCount, server.streamCount], [2, 2])
  },
)

t.test('a stream carries both ways, and is gone when both have ended', async (t) => {
  const { client, server, near, far } = await streamPair(t)
  near.end('question')
  t.equal(await readText(far), 'question')
  t.same([client.streamCount, server.streamCount], [1, 1])
  far.end('answer')
  t.equal(await readText(near), 'answer')
  await settle()
  t.same([client.streamCount, server.streamCount], [0, 0])
  t.ok(near.destroyed && far.destroyed)
})

t.test('what is written at once after open arrives, before any answer', async (t) => {
  const { client, atServer } = sessionPair(t)
  const stream = client.open()
  stream.end('at once')
  t.notOk(stream.isAccepted)
  await until('it arrived', () => atServer.length === 1)
  t.equal(await readText(atServer[0] as MuxStream), 'at once')
  await settle()
  t.ok(stream.isAccepted)
})

t.test('a stream that nobody listens for is reset', async (t) => {
  const [a, b] = duplexPair()
  const client = new Session(a, { role: 'client', pingIntervalMs: 0 })
  const server = new Session(b, { role: 'server', pingIntervalMs: 0 })
  t.teardown(() => [client.destroy(), server.destroy()])
  const events = watch(client.open())
  await until('it closed', () => events.includes('close'))
  t.same(events, ['MUX_STREAM_RESET', 'close'])
  t.notOk(client.isClosed || server.isClosed)
})

t.test(
  'a stream destroyed within its own stream event is reset, and nothing is left',
  async (t) => {
    const { client, server } = sessionPair(t)
    server.removeAllListeners('stream')
    server.on('stream', (stream) => stream.destroy())
    const stream = client.open()
    stream.write('unwanted')
    const events = watch(stream)
    await until('it closed', () => events.includes('close'))
    t.same(events, ['MUX_STREAM_RESET', 'close'])
    t.same([client.streamCount, server.streamCount], [0, 0])
  },
)

t.test('a stream destroyed before it was sent leaves no trace on the wire', async (t) => {
  const { session, peer } = sessionWithRawPeer(t, 'client')
  session.open().destroy()
  await settle()
  t.same(peer.take(), [])
  session.open()
  await settle()
  t.same(peer.take(), ['00 01 0001 00000003 00000000'])
})

t.test('opening and accepting go on beyond the backlog while streams are accepted', async (t) => {
  const { client, atServer } = sessionPair(t)
  const streams = Array.from({ length: 5 * 256 }, () => client.open())
  for (const stream of streams) stream.write('foo')
  await until('all arrived', () => atServer.length === streams.length)
  await until('all accepted', () => streams.every((stream) => stream.isAccepted))
  t.same(
    atServer.map((stream) => stream.id),
    streams.map((stream) => stream.id),
  )
})

// ── data ──

t.test('1,000 writes of four bytes are read as they were written', async (t) => {
  const { client, server, near, far } = await streamPair(t)
  const sent: string[] = []
  const read = readText(far)
  for (let i = 0; i < 1_000; i += 1) {
    sent.push(`${1_000 + i}`)
    if (!near.write(sent.at(-1))) await once(near, 'drain')
  }
  near.end()
  far.end()
  t.equal(await read, sent.join(''))
  near.resume()
  await until('both are gone', () => client.streamCount + server.streamCount === 0)
})

t.test('one write of 64 MiB arrives whole', async (t) => {
  const { near, far } = await streamPair(t)
  const sent = pattern(64 * KIB * KIB)
  near.end(sent)
  t.ok((await readAll(far)).equals(sent))
})

t.test('50 streams of 1,000 writes each arrive whole, side by side', async (t) => {
  const { client, server, atServer } = sessionPair(t)
  const line = Buffer.alloc(64, 'x')
  const streams = Array.from({ length: 50 }, () => client.open())
  await until('all arrived', () => atServer.length === 50)
  const read = atServer.map(async (stream) => (await readAll(stream.end())).length)
  for (const stream of streams) {
    stream.resume()
    for (let i = 0; i < 1_000; i += 1) stream.write(line)
    stream.end()
  }
  t.same(await Promise.all(read), Array(50).fill(64_000))
  await until('all are gone', () => client.streamCount + server.streamCount === 0)
})

t.test('50 streams of 200 questions and answers each keep their own order', async (t) => {
  const { client, server } = sessionPair(t)
  server.on('stream', (stream) => stream.pipe(stream))
  const askAll = async (stream: MuxStream) => {
    for (let i = 0; i < 200; i += 1) {
      const question = `${stream.id} asks ${i}`
      stream.write(question)
      const [answer] = await once(stream, 'data')
      if (String(answer) !== question) throw new Error(`${answer} is no answer to ${question}`)
    }
    stream.end()
  }
  await Promise.all(Array.from({ length: 50 }, () => askAll(client.open())))
  await until('all are gone', () => client.streamCount + server.streamCount === 0)
})

t.test('16 streams of 4 MiB each arrive with exact counts while others read slowly', async (t) => {
  const { client, atServer } = sessionPair(t)
  const streams = Array.from({ length: 16 }, () => client.open())
  for (const [i, stream] of streams.entries()) stream.end(pattern(4 * KIB * KIB, i))
  await until('all arrived', () => atServer.length === 16)
  const same = await Promise.all(
    atServer.map(async (stream, i) => (await readAll(stream)).equals(pattern(4 * KIB * KIB, i))),
  )
  t.same(same, Array(16).fill(true))
})

t.test('100,000 small writes that nobody waited for go out in order', async (t) => {
  const { near, far } = await streamPair(t)
  const reading = readText(far)
  let written = ''
  for (let i = 0; i < 100_000; i += 1) {
    near.write(`${i}\n`)
    written += `${i}\n`
  }
  near.end()
  t.equal((await reading) === written, true)
})

t.test('empty writes send nothing and are called back', async (t) => {
  const { session, peer } = sessionWithRawPeer(t, 'client')
  const stream = session.open()
  await settle()
  peer.take()
  await new Promise((resolve) => stream.write(Buffer.alloc(0), resolve))
  stream.cork()
  stream.write('')
  const written = new Promise((resolve) => stream.write(Buffer.alloc(0), resolve))
  stream.uncork()
  await written
  await settle()
  t.same(peer.take(), [])
})

t.test('strings are sent in the encoding they were written in', async (t) => {
  const { near, far } = await streamPair(t)
  near.write('c3a9', 'hex')
  near.end('é', 'utf8')
  t.equal(await readText(far), 'éé')
})

t.test('what was read and put back is read again, and every byte still counts once', async (t) => {
  const { near, far } = await streamPair(t)
  const sent = pattern(3 * WINDOW)
  near.end(sent)
  const got: Buffer[] = []
  far.on('readable', () => {
    const next = () => far.read() as Buffer | null
    for (let piece = next(); piece !== null; piece = next()) {
      if (piece.length > 1_000) {
        got.push(piece.subarray(0, piece.length - 500))
        far.unshift(piece.subarray(piece.length - 500))
      } else got.push(piece)
    }
  })
  await once(far, 'end')
  t.ok(Buffer.concat(got).equals(sent))
  t.equal(far.unreadBytes, 0)
})

t.test('a reader that reads in its own portions gets them, and its credit goes out', async (t) => {
  const { near, far } = await streamPair(t)
  const sent = pattern(2 * WINDOW)
  near.end(sent)
  const got: Buffer[] = []
  for (const bytes of [1, 5_000, WINDOW / 2, 3, WINDOW - 5_004, WINDOW / 2]) {
    let piece: Buffer | null = null
    await until(`${bytes} bytes`, () => {
      piece = far.read(bytes) as Buffer | null
      return piece !== null
    })
    got.push(piece as unknown as Buffer)
  }
  t.ok(Buffer.concat(got).equals(sent))
})

// ── flow control ──

t.test('a slow reader stops its own sender, and no other', async (t) => {
  const { client, atServer } = sessionPair(t)
  const [slow, swift] = [client.open(), client.open()]
  await until('both arrived', () => atServer.length === 2)
  const written = { slow: false, swift: false }
  slow.write(pattern(WINDOW + 1), () => (written.slow = true))
  swift.write(pattern(4 * WINDOW), () => (written.swift = true))
  atServer[1]?.resume()
  await until('the swift one is through', () => written.swift)
  await settle()
  t.notOk(written.slow)
  t.equal(atServer[0]?.unreadBytes, WINDOW - 1 + 1)
  atServer[0]?.resume()
  await until('the slow one is through', () => written.slow)
})

t.test('a writer is told to wait, and when to go on', async (t) => {
  const { near, far } = await streamPair(t)
  t.equal(near.write(pattern(WINDOW)), false)
  near.write(pattern(64 * KIB))
  let drained = false
  near.on('drain', () => (drained = true))
  await settle(100)
  t.notOk(drained)
  far.resume()
  await until('it drained', () => drained)
})

t.test('a pipe through a paused reader moves on when it reads again', async (t) => {
  const { near, far } = await streamPair(t)
  const sent = pattern(4 * WINDOW)
  near.end(sent)
  const got: Buffer[] = []
  far.on('data', (piece: Buffer) => {
    got.push(piece)
    far.pause()
    setImmediate(() => far.resume())
  })
  await once(far, 'end')
  t.ok(Buffer.concat(got).equals(sent))
})

t.test('no byte more than the window is held for a reader that never reads', async (t) => {
  const { near, far, server } = await streamPair(t)
  near.write(pattern(10 * WINDOW))
  await settle(200)
  t.equal(far.unreadBytes, WINDOW)
  t.ok(server.bytesRead < WINDOW + 4 * KIB)
})

/** Sends all that one stream may take, round after round of 50 ms; gives what it was granted in the last. */
async function pump(clock: { advance(ms: number): void }, peer: RawPeer, id: number) {
  peer.send(`00 01 0001 ${u32(id)} 00000000`)
  await settle()
  peer.take()
  let granted = WINDOW
  for (let round = 0; round < 6; round += 1) {
    peer.send(`00 00 0000 ${u32(id)} ${u32(granted)}`, pattern(granted))
    await settle(100)
    granted = 0
    for (const frame of peer.take()) {
      const [, , , of, credit] = frame.split(' ')
      if (of === u32(id)) granted += Number.parseInt(credit as string, 16)
    }
    clock.advance(50)
  }
  return granted
}

async function farSession(t: Test, options: Partial<MuxOptions> = {}) {
  t.clock.enter()
  const all = sessionWithRawPeer(t, 'server', { pingIntervalMs: 30_000, ...options })
  // FIN is answered with FIN, so that a stream ends both ways.
  all.session.on('stream', (stream) => {
    watch(stream.resume())
    stream.on('end', () => stream.end())
  })
  await settle()
  t.same(all.peer.take(), ['00 02 0001 00000000 00000001'])
  t.clock.advance(100)
  all.peer.send('00 02 0002 00000000 00000001')
  await settle()
  t.equal(all.session.rttMs, 100)
  return all
}

t.test('a window grows for a fast reader over a far link', async (t) => {
  const { session, peer } = await farSession(t)
  const granted = await pump(t.clock, peer, 1)
  t.ok(granted > 4 * WINDOW, `${granted} bytes granted`)
  t.notOk(session.isClosed)
})

t.test('windows grow within one budget, and a stream that ends leaves it to others', async (t) => {
  const { peer } = await farSession(t, { maxWindowGrowthBytes: WINDOW })
  for (const [id, end] of [
    [1, '00 01 0004'],
    [3, '00 01 0008'],
    [5, ''],
  ] as const) {
    t.equal(await pump(t.clock, peer, id), 2 * WINDOW, `stream ${id}`)
    if (end !== '') peer.send(`${end} ${u32(id)} 00000000`)
    await settle()
  }
  t.equal(await pump(t.clock, peer, 7), WINDOW, 'all is taken by stream 5')
})

// ── half-close and reset ──

t.test('after its own end a stream still reads old data, new data, then the end', async (t) => {
  const { near, far } = await streamPair(t)
  near.write('a')
  await settle()
  far.end()
  near.write('bcd')
  near.end()
  t.equal(await readText(far), 'abcd')
})

t.test('after the peer has ended, a stream still writes', async (t) => {
  const { near, far } = await streamPair(t)
  far.end()
  near.resume()
  await once(near, 'end')
  const sent = pattern(3 * WINDOW)
  near.end(sent)
  t.ok((await readAll(far)).equals(sent))
})

t.test('destroy is a reset: the peer hears of it, in reading and in writing', async (t) => {
  const { client, server, near, far } = await streamPair(t)
  const events = watch(far)
  far.write(pattern(2 * WINDOW))
  await settle()
  near.destroy()
  await until('it closed', () => events.includes('close'))
  t.same(events, ['MUX_STREAM_RESET', 'close'])
  t.same([client.streamCount, server.streamCount], [0, 0])
  const refused = new Promise((resolve) => far.write('x', resolve))
  t.ok((await refused) instanceof Error)
})

t.test('a pending read and a pending write both fail when the peer resets', async (t) => {
  const { near, far } = await streamPair(t)
  far.on('error', () => {})
  const reading = readAll(far)
  const written = new Promise((resolve) => far.write(pattern(2 * WINDOW), resolve))
  await settle()
  near.destroy(new Error('enough'))
  near.on('error', () => {})
  await t.rejects(reading, { code: 'MUX_STREAM_RESET' })
  t.match(await written, { code: 'MUX_STREAM_RESET' })
})

t.test('data that came before a reset and was not read is not taken for the whole', async (t) => {
  const { near, far } = await streamPair(t)
  near.write('half of somethi')
  await settle()
  near.destroy()
  await t.rejects(readText(far), { code: 'MUX_STREAM_RESET' })
})

t.test('a reset with a reason keeps the reason on its own side', async (t) => {
  const { near, far } = await streamPair(t)
  const events = [watch(near), watch(far)]
  near.destroy(Object.assign(new Error('mine'), { code: 'MINE' }))
  await until('both closed', () => events.every((list) => list.includes('close')))
  t.same(events, [
    ['MINE', 'close'],
    ['MUX_STREAM_RESET', 'close'],
  ])
})

t.test('a stream that has ended both ways is not reset by destroy', async (t) => {
  const { session, peer } = sessionWithRawPeer(t, 'client')
  const stream = session.open()
  stream.end()
  await settle()
  peer.send('00 01 0002 00000001 00000000', '00 01 0004 00000001 00000000')
  await settle()
  peer.take()
  stream.destroy()
  await settle()
  t.same(peer.take(), [])
})

t.test(
  'a write that waits for credit ends when its stream is destroyed (a write deadline)',
  async (t) => {
    const { near, far, client } = await streamPair(t)
    far.pause()
    const written = new Promise((resolve) => near.write(pattern(2 * WINDOW), resolve))
    near.on('error', () => {})
    await settle()
    near.destroy(Object.assign(new Error('too late'), { code: 'DEADLINE' }))
    t.match(await written, { code: 'DEADLINE' })
    far.on('error', () => {})
    await settle()
    t.notOk(client.isClosed)
    t.ok(client.canOpen)
  },
)

t.test('a read that waits ends when its stream is destroyed (a read deadline)', async (t) => {
  const { near, far, client } = await streamPair(t)
  far.on('error', () => {})
  const reading = readText(near)
  await settle()
  near.destroy(Object.assign(new Error('too late'), { code: 'DEADLINE' }))
  await t.rejects(reading, { code: 'DEADLINE' })
  t.ok(client.canOpen)
})

t.test('many writers that give up one after another leave a session that works', async (t) => {
  const { client, server, atServer } = sessionPair(t)
  server.on('stream', (stream) => stream.on('error', () => {}))
  for (let i = 0; i < 100; i += 1) {
    const stream = client.open()
    stream.on('error', () => {})
    stream.write(pattern(2 * WINDOW))
    await settle(3)
    stream.destroy()
  }
  await settle()
  t.same([client.streamCount, server.streamCount], [0, 0])
  const last = client.open()
  last.end('still here')
  await until('it arrived', () => atServer.at(-1)?.id === last.id)
  t.equal(await readText(atServer.at(-1) as MuxStream), 'still here')
})

t.test('pipeline through two streams ends both when the source breaks off', async (t) => {
  const { near, far } = await streamPair(t)
  const events = watch(far)
  async function* broken() {
    yield 'begun'
    throw new Error('source broke off')
  }
  await t.rejects(pipeline(broken, near), { message: 'source broke off' })
  await until('it closed', () => events.includes('close'))
  t.same(events, ['MUX_STREAM_RESET', 'close'])
})

// ── ping ──

t.test('both sides can ping, and hear how far away the other is', async (t) => {
  const { client, server } = sessionPair(t)
  t.equal(client.rttMs, undefined)
  for (const session of [client, server]) {
    const rttMs = await session.ping()
    t.ok(rttMs > 0)
    t.equal(session.rttMs, rttMs)
  }
})

t.test('a ping fails when its answer does not come, and a later one works', async (t) => {
  t.clock.enter()
  const { session, peer } = sessionWithRawPeer(t, 'server', { pingTimeoutMs: 10_000 })
  const first = t.rejects(session.ping(), { code: 'MUX_PING_TIMEOUT' })
  await pass(t.clock, 12_000)
  await first
  t.notOk(session.isClosed, 'a ping of the owner is no verdict on the session')
  peer.take()
  const second = session.ping()
  await settle()
  t.same(peer.take(), ['00 02 0001 00000000 00000002'])
  t.clock.advance(70)
  peer.send('00 02 0002 00000000 00000001', '00 02 0002 00000000 00000002')
  t.equal(await second, 70)
})

t.test('a silent peer costs the session, once, and its streams with it', async (t) => {
  t.clock.enter()
  const { session, ended } = sessionWithRawPeer(t, 'server', { pingIntervalMs: 30_000 })
  const stream = session.open()
  const events = watch(stream)
  let closes = 0
  session.on('close', () => (closes += 1))
  await pass(t.clock, 9_000)
  t.equal(ended(), undefined)
  await pass(t.clock, 3_000)
  t.equal(ended(), 'MUX_PING_TIMEOUT')
  await settle()
  t.same(events, ['MUX_PING_TIMEOUT', 'close'])
  t.equal(closes, 1)
})

t.test('a process that was stopped reads what came meanwhile before it judges', async (t) => {
  t.clock.enter()
  const { peer, ended } = sessionWithRawPeer(t, 'server', { pingIntervalMs: 30_000 })
  await settle()
  t.clock.advance(60_000)
  peer.send('00 02 0002 00000000 00000001')
  await settle()
  t.clock.advance(1_000)
  await settle()
  t.equal(ended(), undefined)
  t.clock.advance(60_000)
  t.equal(ended(), undefined)
  t.clock.advance(1_000)
  t.equal(ended(), 'MUX_PING_TIMEOUT')
})

t.test('a peer that is busy sending is alive, however late its answer', async (t) => {
  t.clock.enter()
  const { session, peer, ended } = sessionWithRawPeer(t, 'server', { pingIntervalMs: 30_000 })
  session.on('stream', (stream) => watch(stream.resume()))
  peer.send('00 01 0001 00000001 00000000')
  for (let second = 0; second < 60; second += 1) {
    peer.send('00 00 0000 00000001 00000001 78')
    await pass(t.clock, 1_000)
  }
  t.equal(ended(), undefined)
  await pass(t.clock, 60_000)
  t.equal(ended(), 'MUX_PING_TIMEOUT')
})

t.test('a peer that answers is asked each interval, and kept', async (t) => {
  t.clock.enter()
  const { client, server } = sessionPair(t, { both: { pingIntervalMs: 30_000 } })
  await pass(t.clock, 10_000)
  const { bytesWritten } = client
  await pass(t.clock, 300_000)
  t.notOk(client.isClosed || server.isClosed)
  const pings = (client.bytesWritten - bytesWritten) / 12
  t.ok(pings >= 18 && pings <= 22, `${pings} pings and answers in 300 s`)
})

// ── deadlines ──

t.test('a transport that takes nothing for 30 s costs the session', async (t) => {
  t.clock.enter()
  const [a, b] = duplexPair({ highWaterMark: 1 })
  const session = new Session(a, { role: 'client', pingIntervalMs: 0 })
  t.teardown(() => a.destroy())
  destroyAfter(t, session)
  let ended: string | undefined
  session.on('close', (error) => (ended = error?.code))
  const stream = session.open()
  const events = watch(stream)
  const hello = new Promise((resolve) => stream.write('hello', resolve))
  await settle()
  await hello
  const blocked = new Promise((resolve) => stream.write('more', resolve))
  await pass(t.clock, 29_000)
  t.equal(ended, undefined)
  await pass(t.clock, 3_000)
  t.equal(ended, 'MUX_WRITE_TIMEOUT')
  t.match(await blocked, { code: 'MUX_WRITE_TIMEOUT' })
  t.same(events, ['MUX_WRITE_TIMEOUT', 'close'])
  b.destroy()
})

t.test('a transport that takes a little now and then keeps the session', async (t) => {
  t.clock.enter()
  const [a, b] = duplexPair({ highWaterMark: 1 })
  const session = new Session(a, { role: 'client', pingIntervalMs: 0 })
  const peer = new RawPeer(b)
  t.teardown(() => a.destroy())
  destroyAfter(t, session)
  session.open().write(pattern(WINDOW))
  await settle(1)
  peer.send('00 01 0002 00000001 00000000')
  b.pause()
  for (let i = 0; i < 5; i += 1) {
    await pass(t.clock, 25_000)
    b.resume()
    await settle(1)
    b.pause()
  }
  t.notOk(session.isClosed)
  b.resume()
  await settle(200)
  t.equal(peer.payload(1).length, WINDOW)
})

t.test('a reader that cannot grant credit fails with its session, not never', async (t) => {
  t.clock.enter()
  const [a, b] = duplexPair({ highWaterMark: 1 })
  const session = new Session(a, { role: 'client', pingIntervalMs: 0 })
  t.teardown(() => a.destroy())
  destroyAfter(t, session)
  b.on('error', () => {})
  const stream = session.open()
  await settle()
  b.write(
    Buffer.concat([Buffer.from('000000020000000100040000', 'hex'), Buffer.alloc(WINDOW, 'x')]),
  )
  const reading = t.rejects(readAll(stream), { code: 'MUX_WRITE_TIMEOUT' })
  await pass(t.clock, 33_000)
  await reading
})

t.test('a half-closed stream that stays silent is reset on both sides', async (t) => {
  t.clock.enter()
  const { client, server, near, far } = await streamPair(t)
  const events = [watch(near), watch(far)]
  far.end()
  await pass(t.clock, 299_000)
  t.same([client.streamCount, server.streamCount], [1, 1])
  await pass(t.clock, 3_000)
  t.same([client.streamCount, server.streamCount], [0, 0])
  t.same(events, [
    ['MUX_STREAM_RESET', 'close'],
    ['finish', 'MUX_STREAM_TIMEOUT', 'close'],
  ])
  const refused = new Promise((resolve) => near.write('hello', resolve))
  t.ok((await refused) instanceof Error)
})

t.test('a half-closed stream on which the peer still sends is left alone', async (t) => {
  t.clock.enter()
  const { client, near, far } = await streamPair(t)
  far.end()
  far.resume()
  for (let i = 0; i < 10; i += 1) {
    near.write('still here')
    await pass(t.clock, 200_000)
  }
  t.equal(client.streamCount, 1)
})

t.test('a half-closed stream that we do not read is not taken for a silent one', async (t) => {
  t.clock.enter()
  const { client, near, far } = await streamPair(t)
  far.end()
  near.end(Buffer.alloc(300 * KIB))
  await pass(t.clock, 400_000)
  t.equal(client.streamCount, 1)
  t.equal((await readAll(far)).length, 300 * KIB)
})

// ── the end ──

t.test('go-away lets what runs go on, and neither side opens any more', async (t) => {
  const { client, server, near, far } = await streamPair(t)
  let told = 0
  client.on('goAway', () => (told += 1))
  server.goAway()
  server.goAway()
  await settle()
  t.equal(told, 1)
  t.same([client.canOpen, server.canOpen], [false, false])
  t.throws(() => client.open(), { code: 'MUX_REMOTE_GO_AWAY' })
  t.throws(() => server.open(), { code: 'MUX_SESSION_CLOSED' })
  near.end('goes on')
  t.equal(await readText(far), 'goes on')
  t.ok((await client.ping()) >= 0)
})

t.test('a stream opened while our go-away was on its way is reset', async (t) => {
  const { session, peer } = sessionWithRawPeer(t, 'server')
  session.on('stream', () => t.fail('taken'))
  session.goAway()
  peer.send('00 01 0001 00000001 00000000')
  await settle()
  t.same(peer.take(), ['00 03 0000 00000000 00000000', '00 01 0008 00000001 00000000'])
})

t.test(
  'leave takes the streams that were opened while it was on its way, and then no more',
  async (t) => {
    const { session, peer } = sessionWithRawPeer(t, 'server')
    const taken: number[] = []
    session.on('stream', (stream) => taken.push(stream.id))
    let hasLeft = false
    const leaving = session.leave().then(() => (hasLeft = true))
    t.throws(() => session.open(), { code: 'MUX_SESSION_CLOSED' })
    await settle()
    t.same(peer.take(), ['00 03 0000 00000000 00000000', '00 02 0001 00000000 00000001'])
    peer.send('00 02 0002 00000000 00000001', '00 01 0001 00000001 00000000')
    await settle()
    t.same(peer.take(), ['00 02 0001 00000000 00000002', '00 01 0002 00000001 00000000'])
    t.equal(hasLeft, false)
    peer.send('00 02 0002 00000000 00000002')
    await leaving
    peer.send('00 01 0001 00000003 00000000')
    await settle()
    t.same(peer.take(), ['00 01 0008 00000003 00000000'])
    t.same(taken, [1])
  },
)

t.test(
  'streams that wait for a place fail when the peer goes away; those sent go on',
  async (t) => {
    const { session, peer } = sessionWithRawPeer(t, 'client', { maxUnansweredOpens: 2 })
    const events = [session.open(), session.open(), session.open()].map(watch)
    await settle()
    peer.send('00 03 0000 00000000 00000000')
    await settle()
    t.same(events, [[], [], ['MUX_REMOTE_GO_AWAY', 'close']])
    peer.send('00 01 0002 00000001 00000000')
    await settle()
    t.equal(session.streamCount, 2)
  },
)

t.test(
  'close waits for what runs, then ends the transport without an error on either side',
  async (t) => {
    const { client, server, near, far } = await streamPair(t)
    const reasons: unknown[] = []
    client.on('close', (error) => reasons.push(error))
    server.on('close', (error) => reasons.push(error))
    const closed = client.close()
    await settle()
    t.notOk(client.isClosed)
    near.end('to the end')
    t.equal(await readText(far), 'to the end')
    far.end('and back')
    t.equal(await readText(near), 'and back')
    await closed
    await until('the server closed too', () => server.isClosed)
    t.same(reasons, [undefined, undefined])
  },
)

t.test('close sends all that was written before it ends', async (t) => {
  const { client, server, near, far } = await streamPair(t)
  const sent = pattern(8 * WINDOW)
  const read = readAll(far.end())
  near.resume()
  near.end(sent)
  await client.close()
  t.ok((await read).equals(sent))
  await until('the server closed too', () => server.isClosed)
})

t.test('close of an idle session, close again, and close after destroy all finish', async (t) => {
  const { client, server } = sessionPair(t)
  await Promise.all([client.close(), client.close()])
  await client.close()
  server.destroy()
  await server.close()
  await server[Symbol.asyncDispose]()
  t.ok(client.isClosed && server.isClosed)
})

t.test(
  'both sides closing at once, with streams that both end, do not wait for each other',
  async (t) => {
    const { client, server, near, far } = await streamPair(t)
    const closed = [client.close(), server.close()]
    near.resume().end('x')
    far.resume().end('y')
    await Promise.all(closed)
    t.ok(client.isClosed && server.isClosed)
  },
)

t.test('a session that is over opens nothing, pings nothing and emits nothing', async (t) => {
  const { client, server, atServer } = sessionPair(t)
  let closes = 0
  client.on('close', () => (closes += 1))
  client.destroy()
  client.destroy(new Error('again'))
  t.throws(() => client.open(), { code: 'MUX_SESSION_CLOSED' })
  await t.rejects(client.ping(), { code: 'MUX_SESSION_CLOSED' })
  client.goAway()
  await until('the server closed', () => server.isClosed)
  t.throws(() => server.open(), { code: 'MUX_SESSION_CLOSED' })
  t.same([closes, atServer.length], [1, 0])
})

t.test(
  'destroy ends streams and pings with its reason; the peer loses its transport',
  async (t) => {
    const { client, server, near, far } = await streamPair(t)
    const events = [watch(near), watch(far)]
    const pinged = t.rejects(client.ping(), { code: 'MUX_SESSION_CLOSED', message: 'told to stop' })
    let reason: Error | undefined
    client.on('close', (error) => (reason = error))
    client.destroy(new Error('told to stop'))
    t.match(reason, { code: 'MUX_SESSION_CLOSED', message: 'told to stop' })
    await pinged
    await until('the server closed', () => server.isClosed)
    await settle()
    t.same(events, [
      ['MUX_SESSION_CLOSED', 'close'],
      ['MUX_TRANSPORT_CLOSED', 'close'],
    ])
  },
)

t.test(
  'a transport that breaks ends the session with its cause, and every call that waits',
  async (t) => {
    const ends = duplexPair()
    const { client, near, far } = await streamPair(t, { ends })
    let reason: Error | undefined
    client.on('close', (error) => (reason = error))
    const events = [watch(near), watch(far)]
    const written = new Promise((resolve) => near.write(pattern(2 * WINDOW), resolve))
    await settle()
    ends[0].destroy(Object.assign(new Error('pulled out'), { code: 'EPULLED' }))
    t.match(await written, { code: 'MUX_TRANSPORT_CLOSED' })
    await until('both closed', () => events.every((list) => list.includes('close')))
    t.match(reason, { code: 'MUX_TRANSPORT_CLOSED', cause: { code: 'EPULLED' } })
  },
)

t.test('data that was received whole stays readable after the session is gone', async (t) => {
  const { client, server, near, far } = await streamPair(t)
  const sent = pattern(WINDOW)
  watch(near)
  near.end(sent)
  await until('all of it is there', () => far.unreadBytes === WINDOW)
  await settle()
  client.destroy()
  await until('the server closed', () => server.isClosed)
  t.ok((await readAll(far)).equals(sent))
})

t.test(
  'data that was not finished fails with the session, and is not taken for the whole',
  async (t) => {
    const { client, near, far } = await streamPair(t)
    near.write(pattern(WINDOW))
    await until('all of it is there', () => far.unreadBytes === WINDOW)
    client.destroy()
    near.on('error', () => {})
    await t.rejects(readAll(far), { code: 'MUX_TRANSPORT_CLOSED' })
  },
)

t.test('an end that waits for a blocked transport does not wait for ever', async (t) => {
  const [a, b] = duplexPair({ highWaterMark: 1 })
  const session = new Session(a, { role: 'client', pingIntervalMs: 0 })
  t.teardown(() => a.destroy())
  destroyAfter(t, session)
  const stream = session.open()
  const events = watch(stream)
  await settle()
  b.write(Buffer.from('000100060000000100000000', 'hex')) // ACK and FIN
  await settle()
  stream.resume()
  stream.end()
  await settle()
  t.same(events, ['end'], 'the transport is full: the FIN waits')
  session.destroy()
  await settle()
  t.same(events, ['end', 'finish', 'close'])
  b.destroy()
})

t.test('a stream whose peer has ended can still be ended after the session is gone', async (t) => {
  const { client, server, near, far } = await streamPair(t)
  watch(near)
  near.end('whole')
  await settle()
  client.destroy()
  await until('the server closed', () => server.isClosed)
  const events = watch(far)
  t.equal(await readText(far), 'whole')
  far.end()
  await settle()
  t.same(events, ['end', 'finish', 'close'])
  t.equal(server.streamCount, 0)
})

t.test('leaves no timer and no listener behind', async (t) => {
  t.clock.enter()
  const ends = duplexPair()
  const { client, server, near, far } = await streamPair(t, {
    ends,
    both: { pingIntervalMs: 30_000 },
  })
  near.resume().end('x')
  far.resume().end('y')
  await Promise.all([client.close(), server.close()])
  await settle()
  const timers = [...t.clock.timers.values()].flat().filter((timer) => timer._onTimeout)
  t.equal(timers.length, 0)
  t.same(
    ends.map((end) => end.listenerCount('drain')),
    [0, 0],
  )
})

t.test('a listener that throws is not taken for a fault of the peer', async (t) => {
  const { session, near, peer, ended } = sessionWithRawPeer(t, 'server')
  session.on('stream', (stream) => {
    watch(stream)
    session.goAway()
    session.open() // throws MUX_SESSION_CLOSED: a mistake of this listener
  })
  const frame = Buffer.from('000100010000000100000000', 'hex')
  t.throws(() => near.emit('data', frame), { code: 'MUX_SESSION_CLOSED' })
  t.equal(ended(), 'MUX_SESSION_CLOSED', 'what it was about to say is lost: the session is over')
  await settle()
  t.notOk(peer.take().includes('00 03 0000 00000000 00000001'), 'and the peer is not blamed')
})
