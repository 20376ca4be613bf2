// Fuzzing: the decoder, and a live session, fed frames that are random, mutated and cut anywhere.
//
//    node --import @tapjs/typescript/import test/mux/fuzz.ts SECONDS [SEED]
//
// Half of the time for each target. Prints the seed of every failure; the same seed fails again.

import { setImmediate } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { FrameDecoder, type FrameHandler } from '../../src/mux/decoder.ts'
import { isProtocolError, MuxError } from '../../src/mux/errors.ts'
import { type MuxOptions, type MuxStream, Session } from '../../src/mux/index.ts'
import { duplexPair } from '../support/duplex-pair.ts'

/** Numbers that follow from a seed (mulberry32). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 up to, not including, the limit. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }

  oneIn(count: number): boolean {
    return this.below(count) === 0
  }

  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T
  }
}

// ── what is fed ──

const IDS = [0, 1, 1, 3, 3, 5, 7, 9, 11, 2, 4, 6, 0x7fff_ffff, 0xffff_fffe, 0xffff_ffff]
const FLAGS = [0, 0, 0, 0, 1, 1, 2, 4, 8, 3, 5, 9, 6, 0xf, 0x10, 0xffff]
const CREDITS = [0, 1, 1023, 1024, 0x10000, 0x40000, 0x8000_0000, 0xffff_ffff]
const LENGTHS = [0, 0, 1, 1, 2, 5, 11, 12, 13, 100, 1023, 1024, 1025, 4096]
const LIES = [0x40000, 0x40001, 0x7fff_ffff, 0xffff_ffff]

function frame(random: Random): Buffer {
  const type = random.oneIn(40) ? random.below(256) : random.of([0, 0, 0, 0, 1, 1, 1, 2, 3])
  const header = Buffer.alloc(12)
  header[0] = random.oneIn(100) ? random.below(256) : 0
  header[1] = type
  header.writeUInt16BE(random.of(FLAGS), 2)
  header.writeUInt32BE(random.of(IDS), 4)
  if (type !== 0) {
    header.writeUInt32BE(type === 3 ? random.of([0, 0, 0, 1, 2, 3]) : random.of(CREDITS), 8)
    return header
  }
  const length = random.of(LENGTHS)
  header.writeUInt32BE(random.oneIn(30) ? random.of(LIES) : length, 8)
  return Buffer.concat([header, Buffer.alloc(length, random.below(256))])
}

function mutate(bytes: Buffer, random: Random): Buffer {
  const at = random.below(bytes.length + 1)
  const to = Math.min(bytes.length, at + random.below(30))
  switch (random.below(6)) {
    case 0: // a bit
      if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << random.below(8))
      return bytes
    case 1: // a byte
      if (at < bytes.length) bytes[at] = random.of([0, 1, 0x7f, 0x80, 0xff, random.below(256)])
      return bytes
    case 2: // cut out
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)])
    case 3: // twice
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)])
    case 4: // noise
      return Buffer.concat([
        bytes.subarray(0, at),
        Buffer.from(Array.from({ length: random.below(20) }, () => random.below(256))),
        bytes.subarray(at),
      ])
    default: // cut off
      return bytes.subarray(0, at)
  }
}

export function input(random: Random): Buffer {
  let bytes: Buffer = Buffer.concat(
    Array.from({ length: 1 + random.below(12) }, () => frame(random)),
  )
  for (let left = random.of([0, 0, 0, 1, 2, 5]); left > 0; left -= 1) bytes = mutate(bytes, random)
  return bytes
}

function cut(bytes: Buffer, random: Random): Buffer[] {
  const chunks: Buffer[] = []
  const most = random.of([1, 3, 13, 100, 5_000])
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + random.below(most)
    chunks.push(bytes.subarray(at, end))
    at = end
  }
  return chunks
}

// ── the decoder ──

/** What a decoder told, in a form that does not depend on how its input was cut. */
class Told implements FrameHandler {
  readonly lines: string[] = []
  readonly pieces: Buffer[] = []

  dataHeader(id: number, flags: number, length: number): void {
    this.lines.push(`data ${id} ${flags} ${length}`)
  }
  dataPayload(piece: Buffer): void {
    if (piece.length === 0) throw new Error('an empty piece')
    this.pieces.push(piece)
  }
  dataEnd(): void {
    this.lines.push('end')
  }
  windowUpdate(id: number, flags: number, credit: number): void {
    this.lines.push(`credit ${id} ${flags} ${credit}`)
  }
  ping(flags: number, value: number): void {
    this.lines.push(`ping ${flags} ${value}`)
  }
  goAway(code: number): void {
    this.lines.push(`away ${code}`)
  }
  all(chunks: readonly Buffer[]): { lines: string; payload: Buffer } {
    const decoder = new FrameDecoder(this)
    try {
      for (const chunk of chunks) decoder.push(chunk)
    } catch (error) {
      if (!(error instanceof MuxError) || !isProtocolError(error.code)) throw error
      this.lines.push(error.message)
    }
    return { lines: this.lines.join(), payload: Buffer.concat(this.pieces) }
  }
}

/** One input: told the same whole, in pieces, and now and then at each offset. Gives the number of runs. */
export function fuzzDecoder(seed: number): number {
  const random = new Random(seed)
  const bytes = input(random)
  const whole = new Told().all([bytes])
  const expect = (chunks: Buffer[], how: string) => {
    const { lines, payload } = new Told().all(chunks)
    if (lines === whole.lines && payload.equals(whole.payload)) return
    throw new Error(`told otherwise ${how}: ${bytes.toString('hex')}`)
  }
  expect(cut(bytes, random), 'in pieces')
  if (bytes.length > 300 || !random.oneIn(16)) return 2
  for (let at = 1; at < bytes.length; at += 1) {
    expect([bytes.subarray(0, at), bytes.subarray(at)], `cut at ${at}`)
  }
  return 1 + bytes.length
}

// ── a session ──

const LIMITS: Partial<MuxOptions> = {
  pingIntervalMs: 0,
  maxPeerStreams: 4,
  maxUnansweredOpens: 2,
  maxQueuedOpens: 4,
  maxUnreadBytes: 300_000,
  maxQueuedAnswers: 50,
}

/** One session, fed until it ends or for 20 inputs; its owner reads, writes, ends and gives up at random. */
export async function fuzzSession(seed: number): Promise<number> {
  const random = new Random(seed)
  const [near, far] = duplexPair()
  const session = new Session(near, { ...LIMITS, role: 'server' })
  const streams = new Set<MuxStream>()
  let closes = 0
  let closed = 0
  const own = (stream: MuxStream) => {
    streams.add(stream)
    stream.on('error', (error) => {
      if (!(error instanceof MuxError)) throw error
    })
    stream.on('close', () => (closed += 1))
    if (random.oneIn(2)) stream.resume()
    if (random.oneIn(3)) stream.write(Buffer.alloc(random.of(LENGTHS) * 50))
    if (random.oneIn(6)) stream.destroy()
  }
  session.on('stream', own)
  session.on('close', (error) => {
    closes += 1
    if (error !== undefined && !(error instanceof MuxError)) throw error
  })
  far.on('error', () => {})
  if (!random.oneIn(4)) far.resume()
  let inputs = 0
  for (; inputs < 20 && !session.isClosed; inputs += 1) {
    for (const chunk of cut(input(random), random)) near.emit('data', chunk)
    act(session, streams, own, random)
    await setImmediate()
    const unread = [...streams].reduce((sum, s) => sum + (s.destroyed ? 0 : s.unreadBytes), 0)
    if (session.unreadBytes > 300_000 || session.unreadBytes !== unread) {
      throw new Error(`${session.unreadBytes} bytes unread, ${unread} by the streams`)
    }
    if (session.streamCount > 4 + 6) throw new Error(`${session.streamCount} streams`)
  }
  session.destroy()
  for (const stream of streams) stream.resume().end()
  near.destroy()
  for (let turns = 0; turns < 20 && closed < streams.size; turns += 1) await setImmediate()
  if (closes !== 1) throw new Error(`closed ${closes} times`)
  if (closed !== streams.size) throw new Error(`${closed} of ${streams.size} streams closed`)
  if (session.streamCount + session.unreadBytes !== 0) throw new Error('something is left')
  return inputs
}

function act(
  session: Session,
  streams: Set<MuxStream>,
  own: (stream: MuxStream) => void,
  random: Random,
): void {
  const stream = random.of([...streams])
  const what = random.below(8)
  if (what === 0 && session.canOpen && session.streamCount < 6) {
    try {
      own(session.open())
    } catch (error) {
      if (!(error instanceof MuxError && error.code === 'MUX_TOO_MANY_OPENS')) throw error
    }
  } else if (what === 1) session.ping().catch(() => {})
  else if (what === 2 && random.oneIn(20)) session.goAway()
  else if (what === 3 && random.oneIn(20)) void session.close()
  if (stream === undefined || stream.destroyed) return
  if (what === 4) stream.resume()
  else if (what === 5 && !stream.writableEnded) stream.end('the end')
  else if (what === 6) stream.read(random.of(LENGTHS))
  else if (what === 7 && random.oneIn(3)) stream.destroy()
}

// ── as a script ──

async function main(seconds: number, firstSeed: number): Promise<void> {
  process.on('uncaughtException', (error) => {
    console.error(`uncaught, near seed ${seed}:`, error)
    process.exit(1)
  })
  let seed = firstSeed
  let peakBytes = 0
  for (const [name, fuzz] of [
    ['decoder', fuzzDecoder],
    ['session', fuzzSession],
  ] as const) {
    const endMs = performance.now() + (seconds * 1_000) / 2
    let runs = 0
    let slowestMs = 0
    for (let i = 0; performance.now() < endMs; i += 1, seed += 1) {
      const startMs = performance.now()
      try {
        runs += await fuzz(seed)
      } catch (error) {
        console.error(`${name} fails with seed ${seed}:`, error)
        process.exit(1)
      }
      slowestMs = Math.max(slowestMs, performance.now() - startMs)
      if (i % 1_000 === 0) peakBytes = Math.max(peakBytes, process.memoryUsage().heapUsed)
    }
    const peak = `heap at most ${(peakBytes / 2 ** 20).toFixed(0)} MiB`
    console.log(`${name}: ${runs} runs, slowest ${slowestMs.toFixed(0)} ms, ${peak}, no failure`)
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const seconds = Number(process.argv[2] ?? 60)
  const seed = Number(process.argv[3] ?? Date.now() & 0x7fff_ffff)
  console.log(`${seconds} s from seed ${seed}`)
  await main(seconds, seed)
}
