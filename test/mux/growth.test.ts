import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type MuxOptions, type MuxStream, Session } from '../../src/mux/index.ts'
import { longPair } from '../support/long-pair.ts'

// Windows that grow, over 100 ms of round trip and 1 Gbit/s, in simulated time: the figures are the
// protocol's, not the machine's.

const MiB = 1024 * 1024
const link = { delayMs: 50, bytesPerMs: 125_000 }

t.test('a fixed window moves 21 Mbit/s over 100 ms', async (t) => {
  const { mbitPerSecond } = await transfer(t, 4 * MiB, { maxWindowBytes: 256 * 1024 })
  t.ok(mbitPerSecond > 10 && mbitPerSecond < 25, `${mbitPerSecond.toFixed(1)} Mbit/s`)
})

t.test('a window that grows moves 600 Mbit/s and more', async (t) => {
  const { mbitPerSecond } = await transfer(t, 256 * MiB, {})
  t.ok(mbitPerSecond > 600, `${mbitPerSecond.toFixed(1)} Mbit/s`)
})

t.test('all windows together grow no further than the session may', async (t) => {
  const { heldBytes } = await stall(t, 12, { maxWindowGrowthBytes: 8 * MiB })
  t.ok(heldBytes > 8 * MiB, 'they grew')
  t.ok(heldBytes <= 8 * MiB + 12 * 256 * 1024, `${(heldBytes / MiB).toFixed(1)} MiB`)
})

t.test('one window grows no further than 16 MiB', async (t) => {
  const { heldBytes } = await stall(t, 1, {})
  t.ok(heldBytes > 15 * MiB && heldBytes <= 16 * MiB, `${(heldBytes / MiB).toFixed(1)} MiB`)
})

t.test('a reader that does not read is never granted more', async (t) => {
  const { client, server, step } = connect(t, {})
  await step(5_000) // several pings: the distance is known
  server.on('stream', (stream) => stream.on('error', () => {}))
  const stream = client.open()
  stream.on('error', () => {})
  stream.write(Buffer.alloc(4 * MiB))
  await step(3_000)
  t.equal(stream.pendingBytes, 4 * MiB - 256 * 1024)
})

/** Sends so many bytes on one stream; tells how fast, in simulated time. */
async function transfer(t: Test, bytes: number, options: Partial<MuxOptions>) {
  const { client, server, step } = connect(t, options)
  await step(5_000)
  let received = 0
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    stream.on('data', (piece: Buffer) => {
      received += piece.length
    })
  })
  const stream = client.open()
  pump(stream, bytes)
  const startedMs = performance.now()
  while (received < bytes) await step(1)
  const seconds = (performance.now() - startedMs) / 1000
  return { mbitPerSecond: (received * 8) / 1e6 / seconds }
}

/** Reads until the windows have grown, then not at all: how much does the reader come to hold? */
async function stall(t: Test, streams: number, options: Partial<MuxOptions>) {
  const { client, server, step } = connect(t, options)
  await step(5_000)
  const accepted: MuxStream[] = []
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    accepted.push(stream)
    stream.resume()
  })
  for (let i = 0; i < streams; i++) pump(client.open(), Number.POSITIVE_INFINITY)
  await step(4_000)
  for (const stream of accepted) stream.pause()
  await step(1_000)
  return { heldBytes: accepted.reduce((sum, stream) => sum + stream.unreadBytes, 0) }
}

function pump(stream: MuxStream, bytes: number): void {
  const piece = Buffer.alloc(64 * 1024)
  let left = bytes
  const write = () => {
    while (left > 0 && !stream.destroyed) {
      left -= piece.length
      if (!stream.write(piece)) return
    }
  }
  stream.on('error', () => {})
  stream.on('drain', write)
  write()
}

function connect(t: Test, options: Partial<MuxOptions>) {
  t.clock.enter()
  const [a, b] = longPair(link)
  const client = new Session(a, { role: 'client', ...options })
  const server = new Session(b, { role: 'server', ...options })
  t.teardown(() => {
    client.destroy()
    server.destroy()
    t.clock.exit()
  })
  /** Lets simulated time pass; the writers' own turns of the event loop are real. */
  const step = async (ms: number) => {
    for (let i = 0; i < ms; i++) {
      await turnOfTheLoop()
      t.clock.advance(1)
    }
  }
  return { client, server, step }
}
