import { once } from 'node:events'
import t from 'tap'
import { type MuxStream, Session } from '../../src/mux/index.ts'
import { destroyAfter } from './destroy-after.ts'
import { RawPeer } from './raw-peer.ts'
import { readAll, readText, sessionPair, streamPair, transports } from './session-pair.ts'
import { settle, until } from './turns.ts'

// What must hold on any transport: the same body over a pair, TCP and TLS, dialled by either side.

const WINDOW = 256 * 1024

for (const { name, connect } of transports) {
  t.test(`over ${name}`, async (t) => {
    t.test('streams carry megabytes both ways at once, byte for byte', async (t) => {
      const { client, server } = sessionPair(t, { ends: await connect(t) })
      server.on('stream', (stream) => stream.pipe(stream))
      const sent = Buffer.alloc(2 * 1024 * 1024)
      for (let at = 0; at < sent.length; at += 4) sent.writeUInt32BE(at, at)
      const echoed = await Promise.all(
        Array.from({ length: 8 }, () => {
          const stream = client.open()
          stream.end(sent)
          return readAll(stream)
        }),
      )
      t.ok(echoed.every((bytes) => bytes.equals(sent)))
      await until('all are gone', () => client.streamCount + server.streamCount === 0)
    })

    t.test('streams that end before they are accepted leave their places free', async (t) => {
      const options = { ends: await connect(t), both: { maxUnansweredOpens: 8, maxQueuedOpens: 0 } }
      const { client, server, atServer } = sessionPair(t, options)
      for (let i = 0; i < 8; i += 1) client.open().resume().end()
      t.throws(() => client.open(), { code: 'MUX_TOO_MANY_OPENS' })
      await until('all arrived', () => atServer.length === 8)
      for (const stream of atServer) stream.resume().end()
      await until('all are gone', () => client.streamCount + server.streamCount === 0)
      const ninth = client.open()
      ninth.end('the ninth')
      await until('it arrived', () => atServer.length === 9)
      t.equal(await readText(atServer[8] as MuxStream), 'the ninth')
    })

    t.test('a stream that is not accepted costs its session, said once', async (t) => {
      const [near, far] = await connect(t)
      t.clock.enter()
      const session = new Session(near, { role: 'client', pingIntervalMs: 0, openTimeoutMs: 25 })
      destroyAfter(t, session)
      t.teardown(() => far.destroy())
      const peer = new RawPeer(far)
      const said: (string | undefined)[] = []
      session.on('close', (error) => said.push(error?.code))
      const stream = session.open().on('error', (error: Error) => said.push(error.message))
      await until('its SYN is there', () => peer.frames.length === 1)
      t.clock.advance(1_000)
      t.same(said, ['MUX_OPEN_TIMEOUT'])
      await settle()
      t.ok(stream.closed)
      t.same(said.slice(1), ['the peer did not accept a stream for 25 ms'])
      await until('the transport ended', () => peer.isEnded)
    })

    t.test('a half-closed stream reads old data, new data, then the end', async (t) => {
      const { near, far } = await streamPair(t, { ends: await connect(t) })
      near.write('a')
      far.end()
      const [first] = await once(far, 'data')
      t.equal(String(first), 'a')
      near.end('bcd')
      t.equal(await readText(far), 'bcd')
    })

    t.test('both sides ping by themselves, and again', async (t) => {
      const ends = await connect(t)
      t.clock.enter()
      const { client, server } = sessionPair(t, { ends, both: { pingIntervalMs: 30_000 } })
      const both = (predicate: (session: Session) => boolean) => () =>
        predicate(client) && predicate(server)
      await until(
        'both were answered',
        both((session) => session.rttMs !== undefined),
      )
      await settle()
      for (let ping = 2; ping <= 5; ping += 1) {
        const written = new Map([client, server].map((session) => [session, session.bytesWritten]))
        t.clock.advance(31_000)
        t.clock.advance(1_000) // a jump is taken for a time in which the process did not run
        await until(
          `ping ${ping} and its answer are out`,
          both((session) => session.bytesWritten >= (written.get(session) ?? 0) + 24),
        )
        await settle()
      }
      t.notOk(client.isClosed || server.isClosed)
    })

    t.test('half a window read and a byte are exactly what may be sent again', async (t) => {
      const { near, far } = await streamPair(t, { ends: await connect(t) })
      near.write(Buffer.alloc(2 * WINDOW))
      await until('a window is there', () => far.unreadBytes === WINDOW)
      t.equal(near.pendingBytes, WINDOW)
      const half = WINDOW / 2 + 1
      let piece: Buffer | null = null
      await until('it can be read', () => {
        piece ??= far.read(half) as Buffer | null
        return piece !== null
      })
      await until('as much again has come', () => far.unreadBytes === WINDOW)
      await settle()
      t.equal(near.pendingBytes, WINDOW - half)
    })

    t.test(
      'close ends both sessions without an error, and both ends of the transport',
      async (t) => {
        const ends = await connect(t)
        const { client, server, near, far } = await streamPair(t, { ends })
        const reasons: unknown[] = []
        for (const session of [client, server]) session.on('close', (error) => reasons.push(error))
        far.end(Buffer.alloc(WINDOW * 2, 'x'))
        near.end()
        far.resume()
        const read = readAll(near)
        await client.close()
        t.equal((await read).length, WINDOW * 2)
        await until('both transports closed', () => ends.every((end) => end.destroyed))
        t.same(reasons, [undefined, undefined])
      },
    )

    t.test(
      'a transport that is torn ends both sessions and their streams with an error',
      async (t) => {
        const ends = await connect(t)
        const { client, server, near, far } = await streamPair(t, { ends })
        const codes: (string | undefined)[] = []
        for (const stream of [near, far]) {
          stream.on('error', (error: Error & { code?: string }) => codes.push(error.code))
          stream.write(Buffer.alloc(4 * WINDOW))
        }
        await until('a window is there', () => far.unreadBytes === WINDOW)
        ends[0].destroy()
        await until('both are over', () => client.isClosed && server.isClosed)
        await settle()
        t.same(codes, ['MUX_TRANSPORT_CLOSED', 'MUX_TRANSPORT_CLOSED'])
      },
    )
  })
}
