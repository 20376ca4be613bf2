import t, { type Test } from 'tap'
import { defaultOptions, type MuxOptions, type MuxStream, Session } from '../../src/mux/index.ts'
import { duplexPair } from '../support/duplex-pair.ts'
import { destroyAfter } from './destroy-after.ts'
import { hex, RawPeer, sessionWithRawPeer, u32 } from './raw-peer.ts'
import { readAll, sessionPair, streamPair } from './session-pair.ts'
import { pass, settle, until } from './turns.ts'

// Peers that mean harm, by name, and what each costs us: its own session at most.

const KIB = 1024
const WINDOW = 256 * KIB
const PROTOCOL_ERROR = '00 03 0000 00000000 00000001'

/** A server session that takes every stream, with a clock that stands still: no budget fills up again. */
function attacked(t: Test, options: Partial<MuxOptions> = {}) {
  t.clock.enter()
  const all = sessionWithRawPeer(t, 'server', options)
  const streams: MuxStream[] = []
  const errors: (string | undefined)[] = []
  all.session.on('stream', (stream) => {
    streams.push(stream)
    stream.on('error', (error: Error & { code?: string }) => errors.push(error.code))
  })
  return { ...all, streams, errors }
}

function syn(id: number): string {
  return `00 01 0001 ${u32(id)} 00000000`
}

/** Sends a frame again and again, many at once, until the session ends or all are sent. Gives their number. */
async function flood(
  { peer, ended }: { peer: RawPeer; ended: () => string | undefined },
  count: number,
  frame: (i: number) => string,
): Promise<number> {
  for (let sent = 0; sent < count; ) {
    const next = Math.min(count - sent, 100)
    peer.send(Buffer.concat(Array.from({ length: next }, (_, i) => hex(frame(sent + i)))))
    sent += next
    await settle(2)
    if (ended() !== undefined) return sent
  }
  return count
}

// ── a peer that lies about lengths ──

t.test('a peer that announces 4 GiB is refused by its header', async (t) => {
  for (const header of ['00 00 0000 00000001 ffffffff', '00 00 0001 00000003 ffffffff']) {
    const { peer, session, ended } = attacked(t)
    peer.send(syn(1), header)
    await settle()
    t.equal(ended(), 'MUX_WINDOW_EXCEEDED')
    t.equal(session.streamCount, 0)
  }
})

t.test('a first frame of more than the window makes no stream (CVE-2026-32314)', async (t) => {
  const { peer, session, streams, ended } = attacked(t)
  peer.send('00 00 0001 00000001 00040001')
  await settle()
  t.equal(ended(), 'MUX_WINDOW_EXCEEDED')
  t.same(peer.take(), [PROTOCOL_ERROR])
  t.equal(streams.length, 0)
  t.equal(session.streamCount, 0)
})

t.test('a first frame of exactly the window is taken', async (t) => {
  const { peer, streams, ended } = attacked(t)
  peer.send('00 00 0001 00000001 00040000', Buffer.alloc(WINDOW))
  await settle(50)
  t.equal(streams[0]?.unreadBytes, WINDOW)
  t.equal(ended(), undefined)
})

t.test(
  'a peer that announces more than it sends is waited for, and holds up nobody else',
  async (t) => {
    t.clock.enter()
    const { session, peer, ended } = sessionWithRawPeer(t, 'server', { pingIntervalMs: 30_000 })
    session.on('stream', (stream) => stream.on('error', () => {}))
    peer.send(syn(1), '00 00 0000 00000001 00040000 7878')
    await pass(t.clock, 5_000)
    t.equal(ended(), undefined)
    const stream = session.open().on('error', () => {})
    stream.write('hello')
    await settle()
    t.equal(peer.payload(2).toString(), 'hello')
    await pass(t.clock, 20_000)
    t.equal(ended(), 'MUX_PING_TIMEOUT')
  },
)

t.test('a peer whose window update has a payload is out of step, and out', async (t) => {
  const { peer, ended } = attacked(t)
  peer.send(syn(1), '00 01 0000 00000001 00000400', Buffer.alloc(0x400, 0xff))
  await settle()
  t.equal(ended(), 'MUX_BAD_VERSION')
})

t.test('a peer that speaks another protocol is out at once', async (t) => {
  for (const text of [
    'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00',
  ]) {
    const { peer, ended } = attacked(t)
    peer.send(Buffer.from(text, 'latin1'))
    await settle()
    t.equal(ended(), 'MUX_BAD_VERSION')
  }
})

// ── a peer that never reads ──

t.test('a peer that never reads stops our writers, and after 30 s its session', async (t) => {
  t.clock.enter()
  const { session, peer, ended } = sessionWithRawPeer(t, 'client')
  const streams = Array.from({ length: 100 }, () => session.open().on('error', () => {}))
  peer.end.pause()
  let called = 0
  for (const stream of streams) stream.write(Buffer.alloc(WINDOW), () => (called += 1))
  await settle(50)
  const { bytesWritten } = session
  t.ok(bytesWritten < 400 * KIB, `${bytesWritten} bytes handed to a transport that takes none`)
  await pass(t.clock, 29_000)
  t.same([session.bytesWritten, ended()], [bytesWritten, undefined])
  await pass(t.clock, 4_000)
  t.equal(ended(), 'MUX_WRITE_TIMEOUT')
  await settle()
  t.equal(called, 100, 'every write is called back')
})

t.test('a peer that never reads and floods pings is out, with few answers queued', async (t) => {
  const all = attacked(t, {
    maxQueuedAnswers: 100,
    maxPeerStreams: 0,
    floodLimits: { ...defaultOptions.floodLimits, pings: { burst: 100_000, perSecond: 0 } },
  })
  all.peer.end.pause()
  const sent = await flood(all, 10_000, () => '00 02 0001 00000000 0000002a')
  t.equal(all.ended(), 'MUX_QUEUE_FULL')
  t.ok(sent <= 5_000)
})

t.test('we go on reading while we cannot write: pings and data of both at once', async (t) => {
  const { session, peer, streams, ended } = attacked(t)
  peer.send(syn(1))
  await settle()
  const stream = streams[0] as MuxStream
  let received = 0
  stream.on('data', (piece: Buffer) => (received += piece.length))
  peer.end.pause()
  stream.write(Buffer.alloc(4 * WINDOW))
  await settle(50)
  peer.send('00 02 0001 00000000 00000001', `00 00 0000 00000001 ${u32(WINDOW)}`)
  peer.send(Buffer.alloc(WINDOW), '00 02 0001 00000000 00000002', '00 01 0001 00000003 00000000')
  await settle(50)
  t.equal(received, WINDOW)
  t.equal(streams.length, 2)
  t.equal(ended(), undefined)
  peer.end.resume()
  await until(
    'both are answered',
    () => peer.frames.filter((f) => f.startsWith('00 02')).length === 2,
  )
  const pinged = session.ping()
  await settle()
  peer.send('00 02 0002 00000000 00000001')
  t.ok((await pinged) >= 0, 'and a later ping works')
})

// ── a peer that never answers ──

t.test('a peer that leaves a stream unaccepted loses the session after 75 s', async (t) => {
  t.clock.enter()
  const { session, peer, ended } = sessionWithRawPeer(t, 'client')
  const errors: unknown[] = []
  const stream = session.open().on('error', (error) => errors.push(error))
  const keepsSending = async (ms: number) => {
    for (let left = ms; left > 0; left -= 5_000) {
      peer.send('00 02 0001 00000000 00000001')
      await pass(t.clock, 5_000)
    }
  }
  await keepsSending(70_000)
  t.equal(ended(), undefined)
  await keepsSending(10_000)
  t.equal(ended(), 'MUX_OPEN_TIMEOUT')
  await settle()
  t.ok(stream.destroyed)
  t.match(errors, [{ code: 'MUX_OPEN_TIMEOUT' }])
})

t.test('a peer that sends half a header and no more is a silent one', async (t) => {
  t.clock.enter()
  const { peer, ended } = sessionWithRawPeer(t, 'server', { pingIntervalMs: 30_000 })
  peer.send('00 01 0001 0000')
  await pass(t.clock, 25_000)
  t.equal(ended(), 'MUX_PING_TIMEOUT')
})

// ── a peer that floods ──

// Each at most what its budget allows at once, 100 more for the chunk, and one frame to open a stream.
const floods: [name: string, most: number, frame: (i: number) => string][] = [
  ['pings', 2_000, (i) => `00 02 0001 00000000 ${u32(i)}`],
  [
    'streams opened and reset',
    2_000,
    (i) => `${syn(2 * i + 3)} 00 01 0008 ${u32(2 * i + 3)} 00000000`,
  ],
  ['streams opened and reset in one frame', 1_000, (i) => `00 01 0009 ${u32(2 * i + 3)} 00000000`],
  ['streams opened with data and reset', 1_000, (i) => `00 00 0009 ${u32(2 * i + 3)} 00000001 78`],
  ['empty data', 20_000, () => '00 00 0000 00000001 00000000'],
  ['empty data with an ACK', 20_000, () => '00 00 0002 00000001 00000000'],
  ['empty data with a flag that does not exist', 20_000, () => '00 00 8000 00000001 00000000'],
  ['no credit', 20_000, () => '00 01 0000 00000001 00000000'],
  ['credit of a byte', 20_000, () => '00 01 0000 00000001 00000001'],
  ['credit of a byte with an ACK', 20_000, () => '00 01 0002 00000001 00000001'],
  ['credit with a flag that does not exist', 20_000, () => '00 01 0010 00000001 00000001'],
  ['answers to no ping', 20_000, (i) => `00 02 0002 00000000 ${u32(i)}`],
  ['pings without a flag', 20_000, (i) => `00 02 0000 00000000 ${u32(i)}`],
  ['go-aways', 20_000, () => '00 03 0000 00000000 00000000'],
  ['credit for a stream that never was', 20_000, () => '00 01 0000 00000003 00010000'],
  ['resets for a stream that never was', 20_000, () => '00 01 0008 00000003 00000000'],
  ['empty data for a stream that never was', 20_000, () => '00 00 0000 00000003 00000000'],
]

for (const [name, most, frame] of floods) {
  t.test(`a flood of ${name} ends the session`, async (t) => {
    const all = attacked(t)
    all.peer.send(syn(1))
    await settle()
    const sent = await flood(all, 25_000, frame)
    t.equal(all.ended(), 'MUX_FLOOD')
    t.ok(sent <= most + 100, `after ${sent}`)
    t.equal(all.session.streamCount, 0)
    t.ok(all.peer.take().includes(PROTOCOL_ERROR))
  })
}

t.test('a flood costs the flooded session alone', async (t) => {
  const other = sessionPair(t)
  const all = attacked(t)
  await flood(all, 3_000, () => '00 02 0001 00000000 00000001')
  t.equal(all.ended(), 'MUX_FLOOD')
  t.ok((await other.client.ping()) >= 0)
})

t.test('what comes slowly enough is no flood', async (t) => {
  const all = attacked(t)
  for (let second = 0; second < 30; second += 1) {
    await flood(all, 200, () => '00 02 0001 00000000 00000001')
    await flood(all, 200, (i) => `00 01 0009 ${u32(2 * (200 * second + i) + 1)} 00000000`)
    t.clock.advance(1_000)
  }
  t.equal(all.ended(), undefined)
})

t.test('streams that were reset after we had sent something are no flood', async (t) => {
  const { session, peer, ended } = attacked(t)
  session.on('stream', (stream) => stream.write('hello'))
  for (let i = 0; i < 3_000; i += 1) {
    peer.send(syn(2 * i + 1))
    if (i % 100 === 99) {
      await settle(3)
      for (let j = i - 99; j <= i; j += 1) peer.send(`00 01 0008 ${u32(2 * j + 1)} 00000000`)
    }
  }
  await settle()
  t.equal(ended(), undefined)
  t.equal(session.streamCount, 0)
})

t.test(
  'data in flight to streams that we reset is no flood, however small its frames',
  async (t) => {
    const { peer, streams, ended } = attacked(t)
    const small = hex(`00 00 0000 00000001 00000001 78`)
    for (let i = 0; i < 50; i += 1) {
      peer.send(syn(2 * i + 1))
      await settle(2)
      streams[i]?.destroy()
      small.writeUInt32BE(2 * i + 1, 4)
      // What an honest origin wrote line by line, before it heard of the reset.
      peer.send(Buffer.concat(Array(1_000).fill(small)))
    }
    await settle()
    t.equal(ended(), undefined)
  },
)

t.test('what a peer still says of streams that we reset is no flood', async (t) => {
  const { session, peer, ended } = attacked(t)
  for (let i = 0; i < 15_000; i += 100) {
    const streams = Array.from({ length: 100 }, () => session.open())
    await settle(2)
    for (const stream of streams) stream.destroy()
    // All that an honest agent had to say of a visitor who has left: accepted, and ended.
    const late = streams.map(
      ({ id }) => `00 01 0002 ${u32(id)} 00000000 00 01 0004 ${u32(id)} 00000000`,
    )
    peer.send(...late)
    await settle(2)
  }
  t.equal(ended(), undefined)
})

t.test('frames for streams that the peer cannot know yet reach nobody', async (t) => {
  const all = attacked(t, { maxUnansweredOpens: 1 })
  const [started, waiting] = [all.session.open(), all.session.open()]
  for (const stream of [started, waiting]) stream.on('error', () => {})
  await settle()
  all.peer.send('00 00 0000 00000004 00000001 78', '00 01 0008 00000004 00000000')
  await settle()
  t.same([waiting.destroyed, waiting.read()], [false, null])
  const sent = await flood(all, 25_000, () => '00 01 0002 00000004 00000000')
  t.equal(all.ended(), 'MUX_FLOOD')
  t.ok(sent <= 20_100, `after ${sent}`)
})

t.test('20,000 streams of ours may be reset in one turn', async (t) => {
  const { session, peer, ended } = attacked(t)
  const streams: MuxStream[] = []
  for (let i = 0; i < 20_000; i += 1) {
    const stream = session.open()
    streams.push(stream)
    if (i % 250 === 249) {
      await settle(2)
      peer.send(...streams.slice(i - 249).map(({ id }) => `00 01 0002 ${u32(id)} 00000000`))
      await settle(2)
    }
  }
  peer.take()
  for (const stream of streams) stream.destroy()
  peer.send('00 02 0001 00000000 0000002a')
  await settle()
  t.equal(ended(), undefined)
  t.equal(peer.take().length, 20_001, 'and the answer to a ping')
})

// ── a peer that takes all it can get ──

t.test('a peer may have so many streams, and no more until some have ended', async (t) => {
  const { session, peer, streams, ended } = attacked(t, { maxPeerStreams: 3 })
  peer.send(syn(1), syn(3), syn(5), syn(7), '00 00 0001 00000009 00000004 6c617465')
  await settle()
  t.equal(session.streamCount, 3)
  t.same(peer.take().slice(0, 2), ['00 01 0008 00000007 00000000', '00 01 0008 00000009 00000000'])
  streams[1]?.destroy()
  peer.send('00 01 0008 00000005 00000000', syn(11), syn(13), syn(15))
  await settle()
  t.equal(session.streamCount, 3)
  t.same(peer.take(), [
    '00 01 0008 00000003 00000000',
    '00 01 0008 0000000f 00000000',
    '00 01 0002 0000000b 00000000',
    '00 01 0002 0000000d 00000000',
  ])
  t.equal(ended(), undefined)
})

t.test('streams that are over and not read count among those that a peer may have', async (t) => {
  const { session, peer, streams, errors } = attacked(t, { maxPeerStreams: 3 })
  session.on('stream', (stream) => stream.end())
  for (let i = 0; i < 5; i += 1) {
    peer.send(`00 00 0005 ${u32(2 * i + 1)} 00000001 78`)
    await settle()
  }
  t.same([session.streamCount, streams.length], [0, 3])
  t.equal(String(await readAll(streams[0] as MuxStream)), 'x')
  streams[1]?.destroy()
  await settle()
  peer.send(syn(11), syn(13), syn(15))
  await settle()
  t.equal(streams.length, 5)
  t.same(errors, [])
})

t.test('streams of ours do not count against those of the peer', async (t) => {
  const { session, peer } = attacked(t, { maxPeerStreams: 1 })
  for (let i = 0; i < 10; i += 1) session.open()
  peer.send(syn(1))
  await settle()
  t.equal(session.streamCount, 11)
})

t.test('beyond its unread bytes a session resets the stream that holds the most', async (t) => {
  const { session, peer, streams, errors, ended } = attacked(t, { maxUnreadBytes: WINDOW })
  const send = (id: number, bytes: number) =>
    peer.send(`00 00 0000 ${u32(id)} ${u32(bytes)}`, Buffer.alloc(bytes))
  peer.send(syn(1), syn(3), syn(5))
  send(1, 100 * KIB)
  send(3, 120 * KIB)
  await settle()
  t.same(errors, [])
  send(5, 40 * KIB)
  await settle()
  t.same(errors, ['MUX_UNREAD_LIMIT'])
  t.same(
    streams.map((stream) => stream.destroyed),
    [false, true, false],
  )
  t.ok(peer.take().includes('00 01 0008 00000003 00000000'))
  send(5, 100 * KIB)
  await settle()
  t.same([streams[0]?.unreadBytes, streams[2]?.unreadBytes], [100 * KIB, 140 * KIB])
  t.equal(ended(), undefined)
  t.equal(session.streamCount, 2)
})

t.test(
  'a stream that has ended both ways and is not read may be the one that holds the most',
  async (t) => {
    const { session, peer, streams, errors, ended } = attacked(t, { maxUnreadBytes: 4 * WINDOW })
    for (let i = 0; i < 4; i += 1) {
      const id = u32(2 * i + 1)
      peer.send(`00 00 0005 ${id} ${u32(WINDOW)}`, Buffer.alloc(WINDOW))
      await settle(30)
      streams[i]?.end()
      await settle()
    }
    t.equal(session.streamCount, 0, 'for the wire they are over')
    peer.send('00 00 0005 0000000b 00000002 6f6b')
    await settle()
    t.same(errors, ['MUX_UNREAD_LIMIT'])
    const left = streams.filter((stream) => !stream.destroyed)
    const whole = await Promise.all(left.map((stream) => readAll(stream)))
    t.same(
      whole.map((bytes) => bytes.length),
      [WINDOW, WINDOW, WINDOW, 2],
    )
    t.equal(ended(), undefined)
  },
)

t.test('unread bytes count again as free when they are read, dropped or lost', async (t) => {
  const { peer, streams, errors } = attacked(t, { maxUnreadBytes: WINDOW })
  for (let i = 0; i < 30; i += 1) {
    const id = 2 * i + 1
    peer.send(`00 00 0001 ${u32(id)} ${u32(WINDOW)}`, Buffer.alloc(WINDOW))
    await settle(30)
    const stream = streams[i] as MuxStream
    if (i % 3 === 0) stream.destroy()
    else if (i % 3 === 1) {
      peer.send(`00 01 0008 ${u32(id)} 00000000`)
      stream.pause()
    } else {
      peer.send(`00 01 0004 ${u32(id)} 00000000`)
      stream.resume().end()
    }
    await settle()
  }
  t.same(errors, Array(10).fill('MUX_STREAM_RESET'))
})

t.test('a peer may fill dead streams with what had been granted, and no more', async (t) => {
  const { peer, streams, ended } = attacked(t)
  peer.send(syn(1))
  await settle()
  streams[0]?.destroy()
  // 256 KiB of the stream, and 256 KiB that any session has.
  for (let i = 0; i < 8; i += 1) {
    peer.send('00 00 0000 00000001 00010000', Buffer.alloc(0x1_0000))
    await settle()
    t.equal(ended(), undefined)
  }
  peer.send('00 00 0000 00000001 00000001')
  await settle()
  t.equal(ended(), 'MUX_WINDOW_EXCEEDED')
})

t.test('a peer that resets its own streams may fill none of them any more', async (t) => {
  const { peer, ended } = attacked(t)
  for (let i = 0; i < 4; i += 1) peer.send(`00 01 0009 ${u32(2 * i + 1)} 00000000`)
  peer.send('00 00 0000 00000001 00040000', Buffer.alloc(WINDOW))
  await settle(30)
  t.equal(ended(), undefined, 'what any session has')
  peer.send('00 00 0000 00000001 00000001 78')
  await settle()
  t.equal(ended(), 'MUX_WINDOW_EXCEEDED')
})

t.test('10 MB to ids that never were end the session long before', async (t) => {
  const all = attacked(t)
  const chunk = `00 00 0000 00000003 00001000 ${'00'.repeat(0x1000)}`
  await flood(all, 2_500, () => chunk)
  t.equal(all.ended(), 'MUX_WINDOW_EXCEEDED')
  t.ok(all.session.bytesRead < WINDOW + 2 * 100 * 0x1010, `${all.session.bytesRead} bytes read`)
})

t.test('a slow reader holds no more than its window, in any sizes of frames', async (t) => {
  for (const bytes of [1, 128, 4 * KIB]) {
    const { peer, streams, ended } = attacked(t)
    peer.send(syn(1))
    const frame = Buffer.concat([hex(`00 00 0000 00000001 ${u32(bytes)}`), Buffer.alloc(bytes)])
    const many = Buffer.concat(Array(64).fill(frame))
    for (let sent = 0; sent < WINDOW; sent += 64 * bytes) peer.send(many)
    await until('all is there', () => streams[0]?.unreadBytes === WINDOW)
    peer.send(frame)
    await until('it is out', () => ended() !== undefined)
    t.equal(ended(), 'MUX_WINDOW_EXCEEDED')
  }
})

t.test('no window grows for a stream that is not read', async (t) => {
  const { near, far, server } = await streamPair(t, { both: { pingIntervalMs: 30_000 } })
  await until('the distance is known', () => server.rttMs !== undefined)
  near.write(Buffer.alloc(16 * WINDOW))
  await settle(200)
  t.equal(far.unreadBytes, WINDOW)
})

// ── both sides full ──

t.test(
  'both sides push on 64 streams through narrow pipes, with pings, and all arrives',
  async (t) => {
    const bytesEach = 512 * KIB
    const ends = duplexPair({ highWaterMark: 64 * KIB })
    const { client, server } = sessionPair(t, { ends, both: { pingIntervalMs: 30_000 } })
    const results: Promise<Buffer>[] = []
    const sent = Buffer.alloc(bytesEach, 'ab')
    for (const session of [client, server]) {
      session.on('stream', (stream) => {
        results.push(readAll(stream))
        stream.end(sent)
      })
    }
    for (let i = 0; i < 32; i += 1) {
      for (const session of [client, server]) {
        const stream = session.open()
        results.push(readAll(stream))
        stream.end(sent)
      }
    }
    let pings = 0
    const asking = async (session: Session) => {
      for (let i = 0; i < 50; i += 1) {
        await session.ping()
        pings += 1
      }
    }
    await Promise.all([asking(client), asking(server)])
    await until('all streams arrived', () => results.length === 128)
    const received = await Promise.all(results)
    t.ok(received.every((bytes) => bytes.equals(sent)))
    t.equal(pings, 100)
    await until('all are gone', () => client.streamCount + server.streamCount === 0)
  },
)

t.test('a session that closes while both sides are full comes to its end', async (t) => {
  t.clock.enter()
  const ends = duplexPair({ highWaterMark: 1 })
  const { client, server, near, far } = await streamPair(t, { ends })
  for (const stream of [near, far]) {
    stream.on('error', () => {})
    stream.write(Buffer.alloc(2 * WINDOW))
  }
  await settle(50)
  const closed = [client.close(), server.close()]
  client.destroy()
  await pass(t.clock, 5_000)
  await Promise.all(closed)
  t.ok(client.isClosed && server.isClosed)
  t.ok(ends[0].destroyed && ends[1].destroyed)
})

t.test('a peer that does not hear the end of the transport cannot keep it open', async (t) => {
  const [a, b] = duplexPair({ highWaterMark: 1 })
  t.clock.enter()
  const session = new Session(a, { role: 'server', pingIntervalMs: 0 })
  destroyAfter(t, session)
  b.on('error', () => {})
  session.open().on('error', () => {})
  await settle()
  session.destroy()
  await settle()
  t.notOk(a.destroyed, 'it may still be sending')
  await pass(t.clock, 3_000)
  t.ok(a.destroyed)
})

t.test(
  'what close has sent may take its time on a slow transport, and close waits for it',
  async (t) => {
    t.clock.enter()
    const [a, b] = duplexPair({ writableHighWaterMark: 64 * KIB, readableHighWaterMark: 1 })
    const session = new Session(a, { role: 'client', pingIntervalMs: 0 })
    destroyAfter(t, session)
    const peer = new RawPeer(b)
    const stream = session.open()
    await settle()
    peer.send('00 01 0006 00000001 00000000')
    stream.resume()
    await settle()
    b.pause()
    stream.end(Buffer.alloc(10 * KIB, 'x'))
    let isClosed = false
    void session.close().then(() => (isClosed = true))
    await pass(t.clock, 20_000)
    t.notOk(isClosed, 'its last bytes are not sent yet')
    b.resume()
    await settle(50)
    t.equal(peer.payload(1).length, 10 * KIB)
    t.equal(peer.frames.at(-1), '00 01 0004 00000001 00000000')
    t.ok(peer.isEnded && isClosed)
  },
)

t.test('close does not wait for ever for a transport that takes nothing', async (t) => {
  t.clock.enter()
  const [a, b] = duplexPair({ highWaterMark: 16 * KIB })
  const session = new Session(a, { role: 'client', pingIntervalMs: 0 })
  destroyAfter(t, session)
  b.on('error', () => {})
  const closed = session.close()
  await pass(t.clock, 40_000)
  await closed
  t.ok(a.destroyed)
})
