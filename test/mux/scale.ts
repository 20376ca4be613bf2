// What a session costs in memory when there is much of something. Run by scale.test.ts in a process of
// its own, or by hand in the long form, which docs/ quotes:
//
//    node --expose-gc --import @tapjs/typescript/import test/mux/scale.ts churn=2000000 many=20000

import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { type MuxStream, Session } from '../../src/mux/index.ts'
import { duplexPair } from '../support/duplex-pair.ts'
import { hex } from './raw-peer.ts'

export interface ScaleResult {
  readonly name: string
  /** What was left of the session: why it ended, if it did. */
  readonly ended?: string | undefined
  readonly errors: number
  /** Streams that came back as they should, or frames taken. */
  readonly count: number
  /** Growth over the start, at the worst moment that was looked at, after gc. */
  readonly peakRssBytes: number
  readonly peakHeapBytes: number
  /** Growth over the start, in the end, after gc. */
  readonly keptBytes: number
}

type Measured = Pick<ScaleResult, 'ended' | 'errors' | 'count'>

const WINDOW = 256 * 1024

const scenarios = { many, churn, opens, pings, unread, crumbs }

/** So many streams open at once; each says a line to an echo, and again when all are open. */
async function many(count: number): Promise<Measured> {
  const { client, server } = sessions()
  server.on('stream', (stream) => stream.pipe(stream))
  let errors = 0
  const streams: MuxStream[] = []
  while (streams.length < count) {
    // No more at once than may wait for the other side to accept them.
    const next = Array.from({ length: Math.min(10_000, count - streams.length) }, () =>
      client.open().on('error', () => (errors += 1)),
    )
    await Promise.all(next.map((stream, i) => ask(stream, `first ${i}`)))
    streams.push(...next)
  }
  const answered = await Promise.all(streams.map((stream, i) => ask(stream, `again ${i}`)))
  for (const stream of streams) stream.end()
  await Promise.all(streams.map((stream) => once(stream, 'close')))
  if (client.streamCount + server.streamCount > 0) errors += 1
  return { errors, count: answered.filter(Boolean).length }
}

/** So many streams one after another, some side by side: open, transfer, close. */
async function churn(count: number): Promise<Measured> {
  const { client, server } = sessions()
  server.on('stream', (stream) => stream.pipe(stream))
  let errors = 0
  let opened = 0
  let lastId = -1
  const worker = async () => {
    while (opened < count) {
      const i = opened++
      const stream = client.open().on('error', () => (errors += 1))
      if (stream.id <= lastId) errors += 1
      lastId = stream.id
      if (!(await ask(stream, `visit ${i}`))) errors += 1
      stream.end()
      await once(stream, 'close')
    }
  }
  await Promise.all(Array.from({ length: 32 }, worker))
  if (client.streamCount + server.streamCount + client.unreadBytes > 0) errors += 1
  return { errors, count: opened }
}

/** A peer that opens as many streams as it can and never ends one. */
async function opens(count: number): Promise<Measured> {
  return attack(count, '00 01 0001 00000000 00000000', (frame, i) =>
    frame.writeUInt32BE(2 * i + 1, 4),
  )
}

async function pings(count: number): Promise<Measured> {
  return attack(count, '00 02 0001 00000000 00000000', (frame, i) => frame.writeUInt32BE(i, 8))
}

/** A peer that fills so many streams, which nobody reads, with a window each. */
async function unread(count: number): Promise<Measured> {
  const window = '00'.repeat(WINDOW)
  return attack(count, `00 00 0001 00000000 00040000 ${window}`, (frame, i) =>
    frame.writeUInt32BE(2 * i + 1, 4),
  )
}

/** The same in frames of one byte. */
async function crumbs(count: number): Promise<Measured> {
  return attack(count * WINDOW, '00 00 0000 00000000 00000001 78', (frame, i) => {
    frame[3] = i < count ? 1 : 0
    frame.writeUInt32BE(2 * (i % count) + 1, 4)
  })
}

// ── what they share ──

function sessions(): { client: Session; server: Session } {
  const [a, b] = duplexPair()
  return {
    client: new Session(a, { role: 'client', pingIntervalMs: 0 }),
    server: new Session(b, { role: 'server', pingIntervalMs: 0 }),
  }
}

async function ask(stream: MuxStream, line: string): Promise<boolean> {
  stream.write(line)
  const [answer] = await once(stream, 'data')
  return String(answer) === line
}

/**
 * One frame after another, made from a template, against a session of 32 MiB that takes all streams and
 * reads none; the peer reads nothing either.
 */
async function attack(
  count: number,
  template: string,
  fill: (frame: Buffer, i: number) => void,
): Promise<Measured> {
  const [near, far] = duplexPair()
  far.on('error', () => {})
  const session = new Session(near, {
    role: 'server',
    pingIntervalMs: 0,
    maxUnreadBytes: 32 * 1024 * 1024,
  })
  let ended: string | undefined
  let errors = 0
  session.on('close', (error) => (ended = error?.code))
  session.on('stream', (stream) => stream.on('error', () => (errors += 1)))
  const frame = hex(template)
  const most = Math.ceil((256 * 1024) / frame.length / 20)
  let sent = 0
  for (let turn = 1; sent < count && ended === undefined; turn += 1) {
    const frames: Buffer[] = []
    for (let i = 0; i < most && sent < count; i += 1) {
      fill(frame, sent++)
      frames.push(Buffer.from(frame))
    }
    near.emit('data', Buffer.concat(frames))
    await setImmediate()
    if (turn % 20 === 0) measure()
  }
  measure()
  session.destroy()
  near.destroy()
  return { ended, errors, count: sent }
}

let peakRssBytes = 0
let peakHeapBytes = 0
function measure(): { rss: number; heap: number } {
  // V8 frees the bytes of dead buffers on a thread of its own, which the next collection waits for.
  global.gc?.()
  global.gc?.()
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage()
  const heap = heapUsed + arrayBuffers
  peakRssBytes = Math.max(peakRssBytes, rss)
  peakHeapBytes = Math.max(peakHeapBytes, heap)
  return { rss, heap }
}

async function run(name: keyof typeof scenarios, count: number): Promise<ScaleResult> {
  await scenarios[name](Math.ceil(count / 100)) // warm
  await setImmediate()
  const before = measure()
  peakRssBytes = before.rss
  peakHeapBytes = before.heap
  const measured = await scenarios[name](count)
  for (let i = 0; i < 10; i += 1) await setImmediate()
  const after = measure()
  return {
    ...measured,
    name,
    peakRssBytes: peakRssBytes - before.rss,
    peakHeapBytes: peakHeapBytes - before.heap,
    keptBytes: after.heap - before.heap,
  }
}

for (const argument of process.argv.slice(2)) {
  const [name, count] = argument.split('=')
  console.log(JSON.stringify(await run(name as keyof typeof scenarios, Number(count))))
}
process.exit(0)
