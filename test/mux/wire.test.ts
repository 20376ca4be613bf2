import t, { type Test } from 'tap'
import { type MuxStream, Session } from '../../src/mux/index.ts'
import { OwnIds } from '../../src/mux/stream-ids.ts'
import { duplexPair } from '../support/duplex-pair.ts'
import { destroyAfter } from './destroy-after.ts'
import { hex, sessionWithRawPeer, u32 } from './raw-peer.ts'
import { readAll, readText } from './session-pair.ts'
import { settle, until } from './turns.ts'

// docs/wire.md, "The multiplexer", rule by rule, against a peer played by hand (see raw-peer.ts for how to read the hex).

const WINDOW = 256 * 1024
const PROTOCOL_ERROR = '00 03 0000 00000000 00000001'

/** A server session that has taken a stream of the peer's. */
async function accepted(t: Test) {
  const all = sessionWithRawPeer(t, 'server')
  const streams: MuxStream[] = []
  const errors: (string | undefined)[] = []
  all.session.on('stream', (stream) => {
    streams.push(stream)
    stream.on('error', (error: Error & { code?: string }) => errors.push(error.code))
  })
  all.peer.send('00 01 0001 00000001 00000000')
  await settle()
  return { ...all, streams, errors, stream: streams[0] as MuxStream }
}

t.test('a stream is opened, accepted, used and closed with these bytes', async (t) => {
  const { session, peer } = sessionWithRawPeer(t, 'client')
  const stream = session.open()
  await settle()
  t.same(peer.take(), ['00 01 0001 00000001 00000000'], 'SYN on a window update of length 0')
  peer.send('00 01 0002 00000001 00000000')
  stream.write('hello')
  await settle()
  t.same(peer.take(), ['00 00 0000 00000001 00000005'])
  t.equal(peer.payload(1).toString(), 'hello')
  stream.end()
  await settle()
  t.same(peer.take(), ['00 01 0004 00000001 00000000'], 'FIN on a frame of its own')
  peer.send('00 00 0000 00000001 00000003 627965', '00 01 0004 00000001 00000000')
  t.equal(await readText(stream), 'bye')
  await settle()
  t.same(peer.take(), [], 'nothing more')
  t.equal(session.streamCount, 0)
})

t.test('a stream that arrives is accepted at once, before its owner does anything', async (t) => {
  const { peer, streams } = await accepted(t)
  t.same(peer.take(), ['00 01 0002 00000001 00000000'])
  t.same(
    streams.map((stream) => stream.id),
    [1],
  )
})

t.test('SYN may come on a data frame, with its payload and a FIN', async (t) => {
  const { peer, streams } = await accepted(t)
  peer.send('00 00 0005 00000003 00000002 6f6b')
  await settle()
  t.equal(await readText(streams[1] as MuxStream), 'ok')
})

t.test('data may follow SYN before its ACK, both ways', async (t) => {
  const { session, peer } = sessionWithRawPeer(t, 'client')
  const stream = session.open()
  stream.write('hello')
  await settle()
  t.same(peer.take(), ['00 01 0001 00000001 00000000', '00 00 0000 00000001 00000005'])
  session.on('stream', (theirs) => theirs.on('data', () => theirs.end('here')))
  peer.send('00 01 0001 00000002 00000000', '00 00 0000 00000002 00000001 21')
  await settle()
  t.same(peer.payload(2).toString(), 'here')
})

t.test('the agent opens odd ids, the gateway even ones, each one once and in order', async (t) => {
  for (const [role, ids] of [
    ['client', ['00000001', '00000003', '00000005']],
    ['server', ['00000002', '00000004', '00000006']],
  ] as const) {
    const { session, peer } = sessionWithRawPeer(t, role)
    for (let i = 0; i < 3; i += 1) session.open()
    await settle()
    t.same(
      peer.take(),
      ids.map((id) => `00 01 0001 ${id} 00000000`),
    )
  }
})

t.test('a ping is answered with its own value', async (t) => {
  const { peer } = sessionWithRawPeer(t, 'server')
  peer.send('00 02 0001 00000000 00000000', '00 02 0001 00000000 ffffffff')
  await settle()
  t.same(peer.take(), ['00 02 0002 00000000 00000000', '00 02 0002 00000000 ffffffff'])
})

t.test('a ping of ours asks with SYN, and an answer to none is ignored', async (t) => {
  const { session, peer, ended } = sessionWithRawPeer(t, 'server')
  const pinged = session.ping()
  await settle()
  t.same(peer.take(), ['00 02 0001 00000000 00000001'])
  peer.send('00 02 0002 00000000 00000063', '00 02 0002 00000000 00000001')
  t.ok((await pinged) >= 0)
  t.equal(ended(), undefined)
})

t.test('pings are answered before data that is queued', async (t) => {
  const { peer, stream } = await accepted(t)
  stream.write(Buffer.alloc(WINDOW))
  peer.send('00 02 0001 00000000 0000002a')
  peer.take()
  await settle()
  t.equal(peer.take()[0], '00 02 0002 00000000 0000002a')
})

// ── windows ──

t.test('credit goes out before data that is queued', async (t) => {
  const { peer, session, stream } = await accepted(t)
  peer.send('00 00 0000 00000001 00020000', Buffer.alloc(0x2_0000))
  await settle()
  session.open().write(Buffer.alloc(0x1_0000))
  stream.write(Buffer.alloc(0x1_0000))
  stream.resume()
  await settle()
  t.same(peer.take().slice(-4), [
    '00 01 0001 00000002 00000000',
    '00 01 0000 00000001 00020000',
    '00 00 0000 00000002 00010000',
    '00 00 0000 00000001 00010000',
  ])
})

t.test('256 KiB go out without credit, and not a byte more', async (t) => {
  const { peer, stream } = await accepted(t)
  stream.write(Buffer.alloc(WINDOW + 1, 'x'))
  await settle(100)
  t.equal(peer.payload(1).length, WINDOW)
  peer.send('00 01 0000 00000001 00000001')
  await settle()
  t.equal(peer.payload(1).length, WINDOW + 1)
})

t.test('a peer may send 256 KiB without credit: only payload counts', async (t) => {
  const { peer, stream, ended } = await accepted(t)
  for (let i = 0; i < 8; i += 1) {
    peer.send('00 01 0000 00000001 00000400', '00 00 0000 00000001 00000000')
    peer.send('00 00 0000 00000001 00008000', Buffer.alloc(WINDOW / 8))
  }
  await settle(100)
  t.equal(ended(), undefined)
  t.equal(stream.unreadBytes, WINDOW)
})

t.test('a frame of the whole window is passed on in slices, as it comes', async (t) => {
  const { peer, stream } = await accepted(t)
  let received = 0
  stream.on('data', (piece: Buffer) => (received += piece.length))
  peer.send('00 00 0000 00000001 00040000')
  for (let sent = 0; sent < WINDOW; sent += 4096) {
    peer.send(Buffer.alloc(4096))
    await settle(3)
    t.equal(received, sent + 4096)
  }
})

t.test('data beyond the window ends the session, before any of it is kept', async (t) => {
  const { peer, stream, ended, errors } = await accepted(t)
  peer.take()
  peer.send('00 00 0000 00000001 00040001')
  await settle()
  t.equal(ended(), 'MUX_WINDOW_EXCEEDED')
  t.same(peer.take(), [PROTOCOL_ERROR])
  t.ok(peer.isEnded && stream.destroyed)
  t.same(errors, ['MUX_WINDOW_EXCEEDED'])
})

t.test('a larger window comes on the ACK, on the SYN, or on a frame of its own', async (t) => {
  const twice = Buffer.alloc(2 * WINDOW, 'x')
  const client = sessionWithRawPeer(t, 'client')
  client.session.open().write(twice)
  await settle(50)
  t.equal(client.peer.payload(1).length, WINDOW)
  client.peer.send('00 01 0002 00000001 00040000')
  await settle(50)
  t.equal(client.peer.payload(1).length, 2 * WINDOW)
  const server = sessionWithRawPeer(t, 'server')
  server.session.on('stream', (stream) => stream.write(twice))
  server.peer.send('00 01 0001 00000001 00040000')
  await settle(50)
  t.equal(server.peer.payload(1).length, 2 * WINDOW)
})

t.test('half a window read and a byte grant exactly that credit', async (t) => {
  const { peer, stream } = await accepted(t)
  peer.send(`00 00 0000 00000001 ${u32(WINDOW)}`, Buffer.alloc(WINDOW))
  await settle(50)
  peer.take()
  let piece: Buffer | null = null
  await until('it can be read', () => {
    piece ??= stream.read(WINDOW / 2 + 1) as Buffer | null
    return piece !== null
  })
  await settle()
  t.same(peer.take(), [`00 01 0000 00000001 ${u32(WINDOW / 2 + 1)}`])
})

t.test('credit adds up to a u32; what overflows it ends the session', async (t) => {
  const cases: [credits: string[], reason: string | undefined][] = [
    [['00000000'], undefined],
    [['00000001'], undefined],
    [['80000000'], undefined],
    [['fffbffff'], undefined],
    [['fffc0000'], 'MUX_WINDOW_OVERFLOW'],
    [['80000000', '80000000'], 'MUX_WINDOW_OVERFLOW'],
    [['ffffffff'], 'MUX_WINDOW_OVERFLOW'],
    [['ffffffff', 'ffffffff'], 'MUX_WINDOW_OVERFLOW'],
  ]
  for (const [credits, reason] of cases) {
    const { peer, ended, stream } = await accepted(t)
    peer.take()
    peer.send(...credits.map((credit) => `00 01 0000 00000001 ${credit}`))
    await settle()
    t.equal(ended(), reason, credits.join())
    t.equal(stream.destroyed, reason !== undefined)
    t.same(peer.take(), reason === undefined ? [] : [PROTOCOL_ERROR])
  }
})

// ── the end of a stream ──

t.test('FIN is sent once, whatever is called', async (t) => {
  const { peer, stream } = await accepted(t)
  peer.take()
  stream.end('x')
  stream.end()
  await settle()
  stream.end()
  await settle()
  t.same(peer.take(), ['00 00 0000 00000001 00000001', '00 01 0004 00000001 00000000'])
  peer.send('00 01 0004 00000001 00000000')
  stream.resume()
  await settle()
  stream.destroy()
  await settle()
  t.same(peer.take(), [])
})

t.test('FIN on a data frame comes after its payload', async (t) => {
  const { peer, stream } = await accepted(t)
  peer.send('00 00 0004 00000001 00000003 6162')
  await settle()
  t.notOk(stream.readableEnded)
  peer.send('63')
  t.equal(await readText(stream), 'abc')
})

t.test('destroy sends RST, once, and nothing after it', async (t) => {
  const { peer, stream, session } = await accepted(t)
  peer.take()
  stream.write(Buffer.alloc(2 * WINDOW))
  stream.destroy()
  stream.destroy()
  await settle()
  t.same(peer.take(), ['00 01 0008 00000001 00000000'])
  t.equal(session.streamCount, 0)
})

t.test('RST ends a stream at once; on a data frame, after its payload', async (t) => {
  const { peer, stream, session, errors } = await accepted(t)
  let received = ''
  stream.on('data', (piece) => (received += piece))
  peer.take()
  peer.send('00 00 0008 00000001 00000002 6f6b')
  await settle()
  t.same([received, errors], ['ok', ['MUX_STREAM_RESET']])
  t.equal(session.streamCount, 0)
  t.same(peer.take(), [], 'a reset is not answered')
})

t.test('SYN and RST on one frame are a stream that came and went', async (t) => {
  const { peer, session, errors, ended } = await accepted(t)
  peer.send('00 01 0009 00000003 00000000')
  await settle()
  t.same(errors, ['MUX_STREAM_RESET'])
  t.equal(session.streamCount, 1)
  t.equal(ended(), undefined)
})

t.test('frames for a stream that is gone are drained, whatever they are', async (t) => {
  const { peer, stream, streams, session, ended } = await accepted(t)
  stream.destroy()
  await settle()
  peer.take()
  peer.send('00 00 0000 00000001 00000005 68656c6c6f', '00 01 0000 00000001 00000400')
  peer.send('00 00 0004 00000001 00000001 21', '00 01 0004 00000001 00000000')
  peer.send('00 01 0008 00000001 00000000', '00 01 0002 00000001 00000000')
  peer.send('00 00 0001 00000003 00000002 6f6b')
  await settle()
  t.equal(ended(), undefined)
  t.same(peer.take(), ['00 01 0002 00000003 00000000'], 'and what follows is understood')
  t.equal(session.streamCount, 1)
  t.equal(String((streams[1] as MuxStream).read()), 'ok')
})

t.test('a payload that is cut by our own reset is drained to its end', async (t) => {
  const { peer, stream, streams } = await accepted(t)
  peer.send('00 00 0000 00000001 00000010', Buffer.alloc(7))
  await settle()
  stream.destroy()
  peer.send(Buffer.alloc(9), '00 00 0005 00000003 00000002 6f6b')
  await settle()
  t.equal(await readText(streams[1] as MuxStream), 'ok')
})

// ── what is no frame, or none now ──

t.test(
  'what the protocol does not allow ends the session with GoAway(1), each by its code',
  async (t) => {
    const cases: [what: string, bytes: string, code: string][] = [
      ['version 1', '01 00 0000 00000001 00000000', 'MUX_BAD_VERSION'],
      ['version 255', 'ff 02 0001 00000000 00000000', 'MUX_BAD_VERSION'],
      ['type 4', '00 04 0000 00000001 00000000', 'MUX_BAD_TYPE'],
      ['type 255', '00 ff 0001 00000003 00000000', 'MUX_BAD_TYPE'],
      ['go-away code 3', '00 03 0000 00000000 00000003', 'MUX_BAD_TYPE'],
      ['data on id 0', '00 00 0000 00000000 00000001 78', 'MUX_BAD_STREAM_ID'],
      ['credit on id 0', '00 01 0000 00000000 00000001', 'MUX_BAD_STREAM_ID'],
      ['RST on id 0', '00 01 0008 00000000 00000000', 'MUX_BAD_STREAM_ID'],
      ['SYN on id 0', '00 01 0001 00000000 00000000', 'MUX_BAD_STREAM_ID'],
      ['SYN of our parity', '00 01 0001 00000002 00000000', 'MUX_BAD_STREAM_ID'],
      ['SYN of our parity, with data', '00 00 0001 00000002 00000001 78', 'MUX_BAD_STREAM_ID'],
      ['SYN on a live id', '00 01 0001 00000001 00000000', 'MUX_BAD_STREAM_ID'],
      ['data beyond the window', '00 00 0000 00000001 00040001', 'MUX_WINDOW_EXCEEDED'],
      ['SYN with too much data', '00 00 0001 00000003 00040001', 'MUX_WINDOW_EXCEEDED'],
      ['credit beyond a u32', '00 01 0000 00000001 ffffffff', 'MUX_WINDOW_OVERFLOW'],
      ['credit beyond a u32, on a SYN', '00 01 0001 00000003 ffffffff', 'MUX_WINDOW_OVERFLOW'],
    ]
    for (const [what, bytes, code] of cases) {
      const { peer, session, stream, ended } = await accepted(t)
      peer.take()
      peer.send(bytes)
      await settle()
      t.equal(ended(), code, what)
      t.ok(peer.take().includes(PROTOCOL_ERROR), what)
      t.ok(peer.isEnded && stream.destroyed && session.isClosed, what)
      t.equal(session.streamCount, 0, what)
    }
  },
)

t.test('data and a second FIN after FIN end the session', async (t) => {
  for (const bytes of [
    '00 00 0000 00000001 00000001 78',
    '00 01 0004 00000001 00000000',
    '00 00 0004 00000001 00000000',
  ]) {
    const { peer, ended } = await accepted(t)
    peer.send('00 01 0004 00000001 00000000', bytes)
    await settle()
    t.equal(ended(), 'MUX_BAD_STATE', bytes)
    t.equal(peer.take().at(-1), PROTOCOL_ERROR)
  }
})

t.test('an id that was used is not used again, however its stream ended', async (t) => {
  for (const end of ['00 01 0008 00000001 00000000', '00 01 0004 00000001 00000000']) {
    const { peer, stream, session, ended } = await accepted(t)
    stream.resume().end()
    peer.send(end)
    await settle()
    t.equal(session.streamCount, 0)
    peer.send('00 01 0001 00000001 00000000')
    await settle()
    t.equal(ended(), 'MUX_BAD_STREAM_ID')
  }
})

t.test('with the last id a session takes its leave', async (t) => {
  const { session, peer } = sessionWithRawPeer(t, 'server')
  session.open()
  t.intercept(OwnIds.prototype, 'isUsedUp', { get: () => true })
  t.equal(session.open().id, 4)
  t.notOk(session.canOpen)
  t.throws(() => session.open(), { code: 'MUX_SESSION_CLOSED' })
  await settle()
  t.same(peer.take(), [
    '00 03 0000 00000000 00000000',
    '00 01 0001 00000002 00000000',
    '00 01 0001 00000004 00000000',
  ])
})

t.test('ids may come out of order, as a Go peer with many goroutines sends them', async (t) => {
  const { peer, streams, ended } = await accepted(t)
  for (const id of [9, 3, 7, 5, 13, 11]) peer.send(`00 01 0001 ${u32(id)} 00000000`)
  await settle()
  t.same(
    streams.map((stream) => stream.id),
    [1, 9, 3, 7, 5, 13, 11],
  )
  t.equal(ended(), undefined)
})

t.test('flags that do not exist are ignored', async (t) => {
  const { peer, stream, ended } = await accepted(t)
  peer.send('00 00 fff0 00000001 00000002 6f6b', '00 01 8000 00000001 00000400')
  peer.send('00 02 fff1 00000000 00000007', '00 00 0014 00000001 00000000')
  t.equal(await readText(stream), 'ok')
  t.equal(ended(), undefined)
})

t.test('two peers of one role fail at once instead of waiting for each other', async (t) => {
  for (const role of ['client', 'server'] as const) {
    const [a, b] = duplexPair()
    const sessions = [a, b].map((end) => new Session(end, { role, pingIntervalMs: 0 }))
    const reasons: (string | undefined)[] = []
    for (const session of sessions) {
      destroyAfter(t, session)
      session.on('stream', () => t.fail('taken'))
      session.on('close', (error) => reasons.push(error?.code))
      session.open().on('error', () => {})
    }
    await until('both are over', () => reasons.length === 2)
    t.ok(reasons.includes('MUX_BAD_STREAM_ID'), reasons.join())
  }
})

// ── the backlog ──

t.test('no more than 256 opens are unanswered; the others wait their turn, in order', async (t) => {
  const { session, peer } = sessionWithRawPeer(t, 'client')
  for (let i = 0; i < 300; i += 1) session.open().write('x')
  await settle(50)
  const syns = () => peer.frames.filter((frame) => frame.startsWith('00 01 0001'))
  t.equal(syns().length, 256)
  t.equal(peer.payloads.size, 256, 'and none of the others has sent data')
  peer.send('00 01 0002 00000003 00000000')
  await settle()
  t.equal(syns().at(-1), `00 01 0001 ${u32(2 * 256 + 1)} 00000000`)
  t.equal(syns().length, 257)
  for (let i = 0; i < 300; i += 1) peer.send(`00 01 0002 ${u32(2 * i + 1)} 00000000`)
  await settle(50)
  t.equal(syns().length, 300)
  t.equal(peer.payloads.size, 300)
})

t.test(
  'a place in the backlog is free again when its stream is reset, by either side',
  async (t) => {
    const { session, peer } = sessionWithRawPeer(t, 'client', { maxUnansweredOpens: 2 })
    const streams = [0, 1, 2, 3].map(() => session.open().on('error', () => {}))
    await settle()
    t.equal(peer.take().length, 2)
    peer.send('00 01 0008 00000001 00000000')
    await settle()
    t.same(peer.take(), ['00 01 0001 00000005 00000000'])
    streams[1]?.destroy()
    await settle()
    t.same(peer.take(), ['00 01 0008 00000003 00000000', '00 01 0001 00000007 00000000'])
  },
)

t.test(
  'opens that wait are refused beyond their limit, and those given up do not count',
  async (t) => {
    const limits = { maxUnansweredOpens: 1, maxQueuedOpens: 2 }
    const { session } = sessionWithRawPeer(t, 'client', limits)
    const streams = [session.open(), session.open(), session.open()]
    t.throws(() => session.open(), { code: 'MUX_TOO_MANY_OPENS' })
    streams[1]?.destroy()
    t.doesNotThrow(() => session.open())
    t.throws(() => session.open(), { code: 'MUX_TOO_MANY_OPENS' })
  },
)

t.test('opens that wait for a place fail with their session', async (t) => {
  const { session, near } = sessionWithRawPeer(t, 'client', { maxUnansweredOpens: 1 })
  const codes: (string | undefined)[] = []
  for (let i = 0; i < 3; i += 1) {
    session.open().on('error', (error: Error & { code?: string }) => codes.push(error.code))
  }
  await settle()
  near.destroy()
  await settle()
  t.same(codes, Array(3).fill('MUX_TRANSPORT_CLOSED'))
})

t.test('256 opens of the peer are accepted at once, and more', async (t) => {
  const { peer, session, streams } = await accepted(t)
  for (let i = 1; i < 1000; i += 1) peer.send(`00 01 0001 ${u32(2 * i + 1)} 00000000`)
  await settle(50)
  t.equal(streams.length, 1000)
  t.equal(session.streamCount, 1000)
  t.equal(peer.frames.filter((frame) => frame.startsWith('00 01 0002')).length, 1000)
})

// ── the end of a session ──

t.test('GoAway(0) from the peer stops our opens and leaves the rest', async (t) => {
  const { peer, session, stream, ended } = await accepted(t)
  peer.take()
  peer.send('00 03 0000 00000000 00000000')
  await settle()
  t.throws(() => session.open(), { code: 'MUX_REMOTE_GO_AWAY' })
  stream.end('still here')
  peer.send('00 01 0001 00000003 00000000')
  await settle()
  t.equal(ended(), undefined)
  t.equal(peer.payload(1).toString(), 'still here')
  t.ok(peer.take().includes('00 01 0002 00000003 00000000'), 'the peer may go on opening')
})

t.test('GoAway(1) and GoAway(2) from the peer end the session, and are not answered', async (t) => {
  for (const code of ['00000001', '00000002']) {
    const { peer, ended, errors } = await accepted(t)
    peer.take()
    peer.send(`00 03 0000 00000000 ${code}`)
    await settle()
    t.equal(ended(), 'MUX_REMOTE_ERROR')
    t.same(errors, ['MUX_REMOTE_ERROR'])
    t.same(peer.take(), [])
    t.ok(peer.isEnded)
  }
})

t.test('close sends GoAway(0), and the transport ends behind the last stream', async (t) => {
  const { peer, session, stream, ended } = await accepted(t)
  peer.take()
  const closed = session.close()
  await settle()
  t.same(peer.take(), ['00 03 0000 00000000 00000000'])
  stream.resume().end('last')
  peer.send('00 01 0004 00000001 00000000')
  await closed
  await until('the transport ended', () => peer.isEnded)
  t.same(peer.take(), ['00 00 0000 00000001 00000004', '00 01 0004 00000001 00000000'])
  t.equal(ended(), 'finished')
})

t.test(
  'a transport that ends in the middle of a frame ends the session with an error',
  async (t) => {
    for (const bytes of ['00', '00 00 0000 00000001 000000', '00 00 0000 00000001 00000005 6865']) {
      const { peer, ended, stream } = await accepted(t)
      peer.send(bytes)
      peer.end.end()
      await settle()
      t.equal(ended(), 'MUX_TRANSPORT_CLOSED')
      t.ok(stream.destroyed)
    }
  },
)

// ── any chunk boundary ──

t.test('a session understands its peer wherever the bytes are cut', async (t) => {
  const bytes = hex(`
    00 01 0001 00000001 00000000
    00 00 0000 00000001 00000005  68656c6c6f
    00 02 0001 00000000 0000002a
    00 00 0001 00000003 00000002  6869
    00 00 0004 00000001 00000001  21
    00 01 0004 00000003 00000000
  `)
  const answers = [
    '00 01 0002 00000001 00000000',
    '00 01 0002 00000003 00000000',
    '00 01 0004 00000001 00000000',
    '00 01 0004 00000003 00000000',
    '00 02 0002 00000000 0000002a',
  ]
  const wrong: string[] = []
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const { session, near, peer } = sessionWithRawPeer(t, 'server')
    const texts: Promise<Buffer>[] = []
    session.on('stream', (stream) => texts.push(readAll(stream.end())))
    for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
      if (part.length > 0) near.emit('data', part)
      await settle(2)
    }
    await settle(5)
    const got = (await Promise.all(texts)).join(' ')
    if (got !== 'hello! hi' || peer.take().sort().join() !== answers.join()) wrong.push(`${cut}`)
  }
  t.same(wrong, [])
})

t.test('headers and bodies in writes of their own are one frame', async (t) => {
  const { peer, stream } = await accepted(t)
  const text = readText(stream)
  for (const part of ['00 00 0000 00000001 00000004', '6f6e6520', '00 00 0004 00000001 00000003']) {
    peer.send(part)
    await settle(2)
  }
  peer.send('74776f')
  t.equal(await text, 'one two')
})

t.test('many small writes of many streams go out as few writes of the transport', async (t) => {
  const { session, peer } = sessionWithRawPeer(t, 'client')
  const streams = Array.from({ length: 50 }, () => session.open())
  await settle()
  let writes = 0
  peer.end.on('data', () => (writes += 1))
  for (const stream of streams) stream.write('hello')
  await settle()
  t.equal(peer.payloads.size, 50)
  t.ok(writes <= 2, `${writes} writes for 50 frames`)
})

t.test('streams that send much take turns, a frame each', async (t) => {
  const { session, peer } = sessionWithRawPeer(t, 'client', { maxFrameBytes: 0x8000 })
  for (let i = 0; i < 3; i += 1) session.open().write(Buffer.alloc(WINDOW))
  await settle(100)
  const data = peer.frames.filter((frame) => frame.startsWith('00 00'))
  t.same([...new Set(data.map((frame) => frame.slice(-8)))], ['00008000'])
  t.same(
    data.slice(0, 6).map((frame) => frame.slice(11, 19)),
    ['00000001', '00000003', '00000005', '00000001', '00000003', '00000005'],
  )
})
