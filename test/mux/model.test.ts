import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { type MuxStream, Session } from '../../src/mux/index.ts'
import type { Halves } from '../../src/mux/stream-state.ts'
import { choppedPair } from './chopped-pair.ts'

// Random schedules against a model. Two sessions, and a list of steps: open, write, end, destroy,
// pause, resume, read, ping, let time pass. The model of a stream is how many bytes each side has
// written and whether it ended; that every byte arrives in its place, that both sides agree
// whenever nothing is on its way, and that nothing is left in the end, is checked.
//
//    MUX_MODEL_RUNS=100000 MUX_MODEL_SEED=… npx tap --timeout=0 test/mux/model.test.ts

const RUNS = Number(process.env.MUX_MODEL_RUNS ?? 200)
const SEED = Number(process.env.MUX_MODEL_SEED ?? Date.now() & 0x7fff_ffff)

/** Where all payload comes from: stream n of a side starts at a place of its own. */
const SOURCE = randomBytes(4 * 1024 * 1024)

type Step =
  | { do: 'open'; side: 0 | 1 }
  | { do: 'ping'; side: 0 | 1 }
  | { do: 'write' | 'read'; side: 0 | 1; at: number; bytes: number }
  | { do: 'end' | 'destroy' | 'pause' | 'resume'; side: 0 | 1; at: number }
  | { do: 'turn'; turns: number }
  | { do: 'second' }
  | { do: 'agree' }

const side = fc.constantFrom<0 | 1>(0, 1)
const at = fc.nat(7)
const bytes = fc.oneof(
  { weight: 6, arbitrary: fc.nat(40) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 20_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(65_536, 131_073, 262_143, 262_144, 262_145, 600_000) },
)
const one = <Name extends string>(name: Name) => fc.constant(name)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: one('open'), side }) },
  { weight: 10, arbitrary: fc.record({ do: one('write'), side, at, bytes }) },
  { weight: 4, arbitrary: fc.record({ do: one('read'), side, at, bytes }) },
  { weight: 3, arbitrary: fc.record({ do: one('end'), side, at }) },
  { weight: 2, arbitrary: fc.record({ do: one('destroy'), side, at }) },
  { weight: 2, arbitrary: fc.record({ do: one('pause'), side, at }) },
  { weight: 5, arbitrary: fc.record({ do: one('resume'), side, at }) },
  { weight: 1, arbitrary: fc.record({ do: one('ping'), side }) },
  { weight: 8, arbitrary: fc.record({ do: one('turn'), turns: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'second' }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'agree' }) },
)

const schedule = fc.record({
  steps: fc.array(step, { maxLength: 60, size: 'max' }),
  // One large size at least, or half a megabyte would take its time.
  chunks: fc
    .tuple(fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 6 }), fc.nat(70_000))
    .map(([small, large]) => [...small, 5_000 + large]),
  maxFrameBytes: fc.constantFrom(100, 4_096, 65_536),
  maxUnansweredOpens: fc.constantFrom(1, 2, 256),
})
type Schedule = typeof schedule extends fc.Arbitrary<infer T> ? T : never

/** One side's view of one stream. */
class End {
  readonly stream: MuxStream
  /** Where in SOURCE this side's bytes begin, and those of the other. */
  readonly writesFrom: number
  readonly readsFrom: number
  written = 0
  delivered = 0
  isEnded = false
  isDestroyed = false
  sawEnd = false
  errors: string[] = []
  closes = 0
  callsOwed = 0

  constructor(stream: MuxStream, side: 0 | 1) {
    this.stream = stream
    this.writesFrom = (stream.id * 8_191 + side * 4_093) % (1 << 20)
    this.readsFrom = (stream.id * 8_191 + (1 - side) * 4_093) % (1 << 20)
    stream.pause()
    stream.on('data', (piece: Buffer) => {
      const from = this.readsFrom + this.delivered
      this.delivered += piece.length
      check(piece.equals(SOURCE.subarray(from, from + piece.length)), 'bytes as written')
    })
    stream.on('end', () => (this.sawEnd = true))
    stream.on('error', (error: Error & { code?: string }) => this.errors.push(`${error.code}`))
    stream.on('close', () => (this.closes += 1))
  }

  write(bytes: number): void {
    const from = this.writesFrom + this.written
    if (this.isEnded || this.stream.destroyed || this.written + bytes > 2 << 20) return
    this.written += bytes
    this.callsOwed += 1
    this.stream.write(SOURCE.subarray(from, from + bytes), () => (this.callsOwed -= 1))
  }

  end(): void {
    if (this.isEnded || this.stream.destroyed) return
    this.isEnded = true
    this.stream.end()
  }
}

class Run {
  readonly sessions: [Session, Session]
  readonly ends: [Map<number, End>, Map<number, End>] = [new Map(), new Map()]
  readonly #ends: readonly Duplex[]
  readonly #bytesOnTheWay: () => number
  readonly #clock: { advance(ms: number): void }
  closes: (string | undefined)[] = []

  constructor({ chunks, ...limits }: Schedule, clock: { advance(ms: number): void }) {
    const { ends, bytesOnTheWay } = choppedPair(chunks)
    this.#bytesOnTheWay = bytesOnTheWay
    this.#ends = ends
    this.#clock = clock
    const options = { pingIntervalMs: 0, ...limits }
    this.sessions = [
      new Session(ends[0], { ...options, role: 'client' }),
      new Session(ends[1], { ...options, role: 'server' }),
    ]
    for (const side of [0, 1] as const) {
      this.sessions[side].on('stream', (stream) => this.#add(side, stream))
      this.sessions[side].on('close', (error) => this.closes.push(error?.code))
    }
  }

  #add(side: 0 | 1, stream: MuxStream): void {
    check(!this.ends[side].has(stream.id), 'an id is used once')
    this.ends[side].set(stream.id, new End(stream, side))
  }

  async do(step: Step): Promise<void> {
    if (step.do === 'turn') return turn(step.turns)
    if (step.do === 'second') return this.#clock.advance(1_000)
    if (step.do === 'agree') return this.agree()
    if (step.do === 'open') return this.#add(step.side, this.sessions[step.side].open())
    if (step.do === 'ping') return void this.sessions[step.side].ping()
    const ends = [...this.ends[step.side].values()]
    const end = ends[step.at % ends.length]
    if (end === undefined) return
    if (step.do === 'write') end.write(step.bytes)
    else if (step.do === 'end') end.end()
    else if (step.do === 'read') end.stream.read(step.bytes)
    else if (step.do === 'pause') end.stream.pause()
    else if (step.do === 'resume') end.stream.resume()
    else if (!end.stream.destroyed) {
      end.isDestroyed = true
      end.stream.destroy()
    }
  }

  /** Waits until nothing is on its way, then compares what both sides believe. */
  async agree(): Promise<void> {
    await this.#quiet()
    check(this.closes.length === 0, `sessions live, not ${this.closes}`)
    for (const [id, near] of this.ends[0]) {
      const far = this.ends[1].get(id)
      if (far === undefined) check(near.stream.destroyed, 'what is unknown to the peer is gone')
      else
        for (const [one, other] of [
          [near, far],
          [far, near],
        ] as const)
          this.#compare(one, other)
    }
    for (const id of this.ends[1].keys()) {
      const isKnown = this.ends[0].has(id) || this.ends[1].get(id)?.stream.destroyed
      check(isKnown, 'what is unknown to the peer is gone')
    }
    const unread = (side: 0 | 1) =>
      [...this.ends[side].values()].reduce((sum, { stream }) => sum + live(stream), 0)
    for (const side of [0, 1] as const) {
      check(
        this.sessions[side].unreadBytes === unread(side),
        'unread bytes are those of the streams',
      )
    }
  }

  #compare(one: End, other: End): void {
    if (one.stream.destroyed || other.stream.destroyed) {
      // A reset reaches the other side, unless for the wire both had ended before.
      const isOver = one.stream.halves === 'closed' && other.stream.halves === 'closed'
      check(isOver, 'destroyed here is over there')
      const reset = one.errors.every((code) => code === 'MUX_STREAM_RESET')
      check(reset && !(one.isDestroyed && one.errors.length > 0), `errors ${one.errors}`)
      return
    }
    check(MIRROR[one.stream.halves] === other.stream.halves, 'halves mirror each other')
    check(one.stream.isAccepted && other.stream.isAccepted, 'accepted')
    const waits = one.stream.pendingBytes > 0
    if (waits) check(other.stream.grantedBytes === 0, 'nobody waits who has credit')
    check(other.delivered + other.stream.unreadBytes <= one.written, 'no byte twice')
    if (!waits && one.stream.writableLength === 0) {
      check(other.delivered + other.stream.unreadBytes === one.written, 'no byte lost')
    }
  }

  /** Ends everything in good order, and looks at what is left. */
  async finish(): Promise<void> {
    await this.agree()
    const all = [...this.ends[0].values(), ...this.ends[1].values()]
    const everyone = () => [...this.ends[0].values(), ...this.ends[1].values()]
    for (const end of all) {
      end.end()
      end.stream.resume()
    }
    await this.#quiet()
    for (const end of everyone()) {
      end.end()
      end.stream.resume()
    }
    await this.#quiet()
    check(
      this.sessions.every((session) => session.streamCount === 0),
      'no stream is left',
    )
    for (const [id, near] of this.ends[0]) {
      const far = this.ends[1].get(id)
      if (far === undefined) continue
      if (near.isDestroyed || far.isDestroyed) continue
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        check(other.delivered === one.written && other.sawEnd, 'all was delivered, to its end')
        check(one.errors.length === 0, `no errors, not ${one.errors}`)
      }
    }
    await Promise.all(this.sessions.map((session) => session.close()))
    for (let i = 0; i < 1_000 && !this.#ends.every((end) => end.closed); i += 1) await turn(1)
    check(
      this.#ends.every((end) => end.closed),
      'transports are closed',
    )
    check(this.closes.join() === ',', `closed without an error, not ${this.closes}`)
    check(
      this.sessions.every((session) => session.unreadBytes === 0),
      'no byte is unread',
    )
    for (const end of everyone()) {
      check(end.closes === 1 && end.callsOwed === 0, 'each closed once, each write was called back')
    }
  }

  async #quiet(): Promise<void> {
    let last = ''
    for (let same = 0; same < 4; ) {
      await setImmediate()
      const now = this.sessions.map((s) => [s.bytesRead, s.bytesWritten, s.unreadBytes]).join()
      same = now === last && this.#bytesOnTheWay() === 0 ? same + 1 : 0
      last = now
    }
  }
}

const MIRROR: Record<Halves, Halves> = {
  open: 'open',
  sendClosed: 'receiveClosed',
  receiveClosed: 'sendClosed',
  closed: 'closed',
}

function live(stream: MuxStream): number {
  return stream.destroyed ? 0 : stream.unreadBytes
}

async function turn(turns: number): Promise<void> {
  for (let i = 0; i < turns; i += 1) await setImmediate()
}

function check(holds: unknown, what: string): void {
  if (!holds) throw new Error(`does not hold: ${what}`)
}

t.test('two sessions do what the model does, in any schedule', { timeout: 0 }, async (t) => {
  t.comment(`${RUNS} schedules, seed ${SEED}`)
  t.clock.enter()
  const property = fc.asyncProperty(schedule, async (schedule) => {
    const run = new Run(schedule, t.clock)
    for (const step of schedule.steps) await run.do(step)
    await run.finish()
    const timers = [...t.clock.timers.values()].flat().filter((timer) => timer._onTimeout)
    check(timers.length === 0, 'no timer is left')
  })
  await fc.assert(property, { numRuns: RUNS, seed: SEED })
})
