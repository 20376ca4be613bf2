import fc from 'fast-check'
import t from 'tap'
import { isProtocolError, MuxError } from '../../src/mux/errors.ts'
import { Fifo } from '../../src/mux/fifo.ts'
import { FloodGuard, RateBudget } from '../../src/mux/flood-guard.ts'
import { defaultOptions } from '../../src/mux/options.ts'
import { Pings } from '../../src/mux/pings.ts'
import { ReceiveQueue } from '../../src/mux/receive-queue.ts'
import { OwnIds, PeerIds } from '../../src/mux/stream-ids.ts'
import {
  afterFinReceived,
  afterFinSent,
  afterFlagsSent,
  canReceive,
  canSend,
  flagsFor,
  type Halves,
  type Owed,
} from '../../src/mux/stream-state.ts'
import { GrowthBudget, ReceiveWindow, SendWindow } from '../../src/mux/window.ts'

const KIB = 1024
const START = 256 * KIB
const U32 = 0xffff_ffff

// ── what we may send ──

t.test('a send window starts at 256 KiB and goes down to nothing', async (t) => {
  const window = new SendWindow()
  t.equal(window.available, START)
  window.take(START)
  t.equal(window.available, 0)
  window.grant(1)
  t.equal(window.available, 1)
})

t.test('a send window takes credit up to a u32, and no byte more', async (t) => {
  const cases: [credits: number[], available: number | 'overflow'][] = [
    [[0], START],
    [[1], START + 1],
    [[2 ** 31], START + 2 ** 31],
    [[2 ** 31, 2 ** 31], 'overflow'],
    [[U32 - START], U32],
    [[U32 - START + 1], 'overflow'],
    [[U32], 'overflow'],
    [[U32, U32], 'overflow'],
    [[U32 - START, 0], U32],
    [[U32 - START, 1], 'overflow'],
  ]
  for (const [credits, available] of cases) {
    const window = new SendWindow()
    const grant = () => {
      for (const credit of credits) window.grant(credit)
      return window.available
    }
    if (available === 'overflow') t.throws(grant, { code: 'MUX_WINDOW_OVERFLOW' }, `${credits}`)
    else t.equal(grant(), available, `${credits}`)
  }
})

t.test('credit that was refused is not counted', async (t) => {
  const window = new SendWindow()
  t.throws(() => window.grant(U32), { code: 'MUX_WINDOW_OVERFLOW' })
  t.equal(window.available, START)
})

// ── what the peer may send ──

const noGrowth = () => new GrowthBudget({ maxWindowBytes: START, sessionBytes: 0 })

t.test(
  'a receive window refuses the byte beyond what was granted, and counts none of it',
  async (t) => {
    const window = new ReceiveWindow(noGrowth(), 0)
    window.receive(START)
    t.throws(() => window.receive(1), { code: 'MUX_WINDOW_EXCEEDED' })
    t.same([window.granted, window.held], [0, START])
    const other = new ReceiveWindow(noGrowth(), 0)
    t.throws(() => other.receive(START + 1), { code: 'MUX_WINDOW_EXCEEDED' })
    t.throws(() => other.receive(U32), { code: 'MUX_WINDOW_EXCEEDED' })
    t.same([other.granted, other.held], [START, 0])
  },
)

t.test(
  'credit is worth a frame from half a window read on, and is exactly what was read',
  async (t) => {
    const window = new ReceiveWindow(noGrowth(), 0)
    window.receive(START)
    t.equal(window.consume(START / 2 - 1), false)
    t.equal(window.consume(2), true)
    t.equal(window.grant(0, 1), START / 2 + 1)
    t.same([window.granted, window.held], [START / 2 + 1, START / 2 - 1])
  },
)

/** Receives and reads a whole window at once, at a time; gives the credit. */
function readAll(window: ReceiveWindow, nowMs: number, rttMs: number | undefined): number {
  const bytes = window.granted
  window.receive(bytes)
  window.consume(bytes)
  return window.grant(nowMs, rttMs)
}

t.test('a window doubles when a whole limit was read within two round trips', async (t) => {
  const budget = new GrowthBudget({ maxWindowBytes: 4 * START, sessionBytes: 100 * START })
  const window = new ReceiveWindow(budget, 0)
  readAll(window, 1_000, 10) // starts the measure
  t.equal(window.limit, START)
  t.equal(readAll(window, 1_020, 10), 2 * START)
  t.equal(window.limit, 2 * START)
  t.equal(readAll(window, 1_040, 10), 4 * START)
  readAll(window, 1_041, 10)
  t.equal(window.limit, 4 * START, 'no further than its maximum')
})

t.test(
  'a window does not grow for a slower reader, nor without a round trip measured',
  async (t) => {
    for (const [rttMs, stepMs] of [
      [10, 21],
      [undefined, 0],
      [0, 1],
    ] as const) {
      const budget = new GrowthBudget({ maxWindowBytes: 4 * START, sessionBytes: 100 * START })
      const window = new ReceiveWindow(budget, 0)
      for (let i = 1; i <= 20; i += 1) readAll(window, i * stepMs, rttMs)
      t.equal(window.limit, START, `round trip ${rttMs}, a window each ${stepMs} ms`)
    }
  },
)

t.test('windows grow out of one budget, and give back what they grew by', async (t) => {
  const budget = new GrowthBudget({ maxWindowBytes: 16 * START, sessionBytes: 3 * START })
  const [one, two] = [new ReceiveWindow(budget, 0), new ReceiveWindow(budget, 0)]
  for (let i = 0; i < 5; i += 1) readAll(one, i, 10)
  t.equal(one.limit, 4 * START, '1 → 2 → 4, which is all there is')
  for (let i = 0; i < 5; i += 1) readAll(two, i, 10)
  t.equal(two.limit, START)
  one.release()
  t.equal(one.limit, START)
  for (let i = 5; i < 10; i += 1) readAll(two, i, 10)
  t.equal(two.limit, 4 * START)
  t.equal(budget.take(START), 0)
  two.release()
  t.equal(budget.take(16 * START), 0, 'a window at its maximum gets nothing')
  t.equal(budget.take(8 * START), 3 * START)
})

t.test('granted and held never exceed the limit, nor the limits their budget', async () => {
  const max = 8 * START
  const sessionBytes = 10 * START
  const part = fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true }))
  const step = fc.record({
    at: fc.nat(2),
    kind: fc.constantFrom('receive', 'consume', 'release'),
    part,
    passMs: fc.constantFrom(0, 0, 1, 5, 1000),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const budget = new GrowthBudget({ maxWindowBytes: max, sessionBytes })
      const windows = [0, 1, 2].map(() => ({ window: new ReceiveWindow(budget, 0), credit: START }))
      let nowMs = 0
      for (const { at, kind, part, passMs } of steps) {
        nowMs += passMs
        const one = windows[at] as (typeof windows)[number]
        const { window } = one
        if (kind === 'receive') {
          const bytes = Math.floor(part * window.granted)
          window.receive(bytes)
          one.credit -= bytes
        } else if (kind === 'consume') {
          if (window.consume(Math.floor(part * window.held))) {
            const credit = window.grant(nowMs, 2)
            if (credit <= 0) return false
            one.credit += credit
          }
        } else if (part === 1) {
          // Over, as far as the peer goes; what is held is read later.
          window.release()
          windows[at] = { window: new ReceiveWindow(budget, 0), credit: START }
          continue
        }
        if (window.granted !== one.credit) return false
        if (window.granted + window.held > window.limit || window.limit > max) return false
        const grown = windows.reduce((sum, { window }) => sum + window.limit - START, 0)
        if (grown > sessionBytes) return false
      }
      for (const { window } of windows) window.release()
      return budget.take(max / 2) === Math.min(max / 2, sessionBytes)
    }),
  )
})

// ── halves and flags ──

const HALVES: Halves[] = ['open', 'sendClosed', 'receiveClosed', 'closed']

t.test('each FIN closes its half, and a second one of either side is an error', async (t) => {
  const cases: [from: Halves, sent: Halves | 'error', received: Halves | 'error'][] = [
    ['open', 'sendClosed', 'receiveClosed'],
    ['sendClosed', 'error', 'closed'],
    ['receiveClosed', 'closed', 'error'],
    ['closed', 'error', 'error'],
  ]
  for (const [from, sent, received] of cases) {
    if (sent === 'error') t.throws(() => afterFinSent(from), Error, `sent in ${from}`)
    else t.equal(afterFinSent(from), sent, `sent in ${from}`)
    if (received === 'error') {
      t.throws(() => afterFinReceived(from, 1), { code: 'MUX_BAD_STATE' }, `received in ${from}`)
    } else t.equal(afterFinReceived(from, 1), received, `received in ${from}`)
  }
})

t.test('what may be sent and received follows from the halves', async (t) => {
  t.same(HALVES.map(canSend), [true, false, true, false])
  t.same(HALVES.map(canReceive), [true, true, false, false])
})

t.test('the flag owed goes out once', async (t) => {
  const cases: [owed: Owed, flags: number, after: Owed][] = [
    ['queued', 0, 'queued'],
    ['syn', 0x1, 'unanswered'],
    ['unanswered', 0, 'unanswered'],
    ['ack', 0x2, 'none'],
    ['none', 0, 'none'],
  ]
  for (const [owed, flags, after] of cases) {
    t.equal(flagsFor(owed), flags, owed)
    t.equal(afterFlagsSent(owed), after, owed)
  }
})

// ── ids ──

t.test('a client counts 1, 3, 5, a server 2, 4, 6', async (t) => {
  const [client, server] = [new OwnIds('client'), new OwnIds('server')]
  t.same([client.take(), client.take(), client.take()], [1, 3, 5])
  t.same([server.take(), server.take(), server.take()], [2, 4, 6])
})

t.test('the last id is the largest of its kind', async (t) => {
  const ids = [new OwnIds('client', 7), new OwnIds('server', 7)]
  const taken = ids.map((own) => {
    const all: number[] = []
    while (!own.isUsedUp) all.push(own.take())
    return all
  })
  t.same(taken, [
    [1, 3, 5, 7],
    [2, 4, 6],
  ])
})

t.test('takes the ids of the other parity from the peer, each once', async (t) => {
  const ids = new PeerIds('server')
  for (const id of [1, 3, 5, 9, 7, 0xffff_ffff]) t.doesNotThrow(() => ids.take(id), `${id}`)
  for (const id of [0, 2, 4, 0xffff_fffe, 1, 3, 7, 9, 0xffff_ffff]) {
    t.throws(() => ids.take(id), { code: 'MUX_BAD_STREAM_ID' }, `${id}`)
  }
  const even = new PeerIds('client')
  for (const id of [2, 6, 4]) t.doesNotThrow(() => even.take(id), `${id}`)
  for (const id of [0, 1, 3, 2, 4, 6]) {
    t.throws(() => even.take(id), { code: 'MUX_BAD_STREAM_ID' }, `${id}`)
  }
})

t.test('takes ids in any order within 1,024, none twice', async () => {
  fc.assert(
    fc.property(fc.shuffledSubarray(Array.from({ length: 1024 }, (_, i) => 2 * i + 1)), (order) => {
      const ids = new PeerIds('server')
      for (const id of order) ids.take(id)
      return order.every((id) => {
        try {
          ids.take(id)
          return false
        } catch (error) {
          return error instanceof MuxError && error.code === 'MUX_BAD_STREAM_ID'
        }
      })
    }),
    { numRuns: 20 },
  )
})

t.test('gives up ids that were skipped long ago', async (t) => {
  const ids = new PeerIds('server')
  ids.take(4001)
  t.throws(() => ids.take(1), { code: 'MUX_BAD_STREAM_ID' })
  t.throws(() => ids.take(4001 - 2 * 1024 - 2), { code: 'MUX_BAD_STREAM_ID' })
  t.doesNotThrow(() => ids.take(4001 - 2 * 1024))
})

t.test('knows whose stream an id is', async (t) => {
  const ids = new PeerIds('client')
  t.same([ids.includes(2), ids.includes(3)], [true, false])
})

// ── floods ──

t.test(
  'a budget allows a burst, then its rate, and never more than the burst at once',
  async (t) => {
    const budget = new RateBudget({ burst: 3, perSecond: 2 })
    const taken = (nowMs: number) => {
      let count = 0
      while (budget.take(nowMs)) count += 1
      return count
    }
    t.equal(taken(5_000), 3)
    t.equal(taken(5_499), 0)
    t.equal(taken(5_500), 1)
    t.equal(taken(6_500), 2)
    t.equal(taken(1_000_000), 3)
    t.equal(taken(0), 0, 'a clock that went back gives nothing')
  },
)

t.test('a budget of no rate allows its burst only', async (t) => {
  const budget = new RateBudget({ burst: 1, perSecond: 0 })
  t.same([budget.take(0), budget.take(1e9)], [true, false])
})

t.test('each kind of flood has its own budget and says its name', async (t) => {
  const one = { burst: 1, perSecond: 0 }
  const guard = new FloodGuard({ pings: one, rapidResets: one, idleFrames: one })
  for (const kind of ['pings', 'rapidResets', 'idleFrames'] as const) {
    t.doesNotThrow(() => guard.count(kind, 0), kind)
    t.throws(() => guard.count(kind, 0), { code: 'MUX_FLOOD' }, kind)
  }
})

// ── pings ──

t.test(
  'a ping hears its own round trip, and the figures are the last and the shortest',
  async (t) => {
    const pings = new Pings()
    const heard: number[] = []
    const start = (nowMs: number) => pings.start(nowMs, (_, rttMs) => heard.push(rttMs))
    t.same([pings.lastRttMs, pings.minRttMs, pings.samples], [undefined, undefined, 0])
    const [one, two] = [start(0), start(10)]
    pings.answered(two, 15)
    pings.answered(one, 20)
    pings.answered(one, 30)
    pings.answered(99, 30)
    t.same(heard, [5, 20])
    t.same([pings.lastRttMs, pings.minRttMs, pings.samples], [20, 5, 2])
    for (let i = 0; i < 8; i += 1) pings.answered(start(100), 107)
    t.same([pings.lastRttMs, pings.minRttMs, pings.samples], [7, 7, 8], 'of the last eight')
  },
)

t.test('pings fail when they are too old, the younger ones wait on', async (t) => {
  const pings = new Pings()
  const failed: string[] = []
  for (const nowMs of [0, 10, 20]) {
    pings.start(nowMs, (error) => failed.push(`${nowMs} ${error?.code}`))
  }
  pings.expire(10)
  t.same(failed, ['0 MUX_PING_TIMEOUT', '10 MUX_PING_TIMEOUT'])
  pings.failAll(new MuxError('MUX_SESSION_CLOSED', 'over'))
  t.same(failed.slice(2), ['20 MUX_SESSION_CLOSED'])
})

// ── queues ──

t.test('a queue gives what it was given, in order, at any length', async (t) => {
  const fifo = new Fifo<number>()
  let next = 0
  let expected = 0
  for (const [pushes, shifts] of [
    [5_000, 3_000],
    [10, 2_010],
    [3, 4],
    [3_000, 2_999],
  ] as const) {
    for (let i = 0; i < pushes; i += 1) fifo.push(next++)
    for (let i = 0; i < shifts && fifo.length > 0; i += 1) {
      if (fifo.shift() !== expected++) t.fail(`expected ${expected - 1}`)
    }
    t.equal(fifo.length, next - expected)
  }
  t.equal(fifo.shift(), expected)
  t.equal(fifo.shift(), undefined)
  fifo.push(1)
  fifo.clear()
  t.same([fifo.length, fifo.shift()], [0, undefined])
})

t.test('payload that waits comes out in order, whatever the sizes', async () => {
  const sizes = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 5_000 }))
  const step = fc.oneof({ weight: 3, arbitrary: sizes }, { weight: 2, arbitrary: fc.constant(0) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const queue = new ReceiveQueue()
      const added: Buffer[] = []
      const shifted: Buffer[] = []
      for (const [i, bytes] of steps.entries()) {
        if (bytes === 0) {
          const piece = queue.shift()
          if (piece !== undefined) shifted.push(Buffer.from(piece))
        } else {
          const piece = Buffer.alloc(bytes, i)
          added.push(piece)
          queue.add(piece)
        }
      }
      for (let piece = queue.shift(); piece; piece = queue.shift()) {
        if (piece.length === 0) return false
        shifted.push(piece)
      }
      return queue.isEmpty && Buffer.concat(shifted).equals(Buffer.concat(added))
    }),
  )
})

/** Memory that the pieces keep alive. */
function keptBytes(pieces: readonly Buffer[]): number {
  const kept = new Set(pieces.map((piece) => piece.buffer))
  return [...kept].reduce((sum, memory) => sum + memory.byteLength, 0)
}

function drain(queue: ReceiveQueue): Buffer[] {
  const pieces: Buffer[] = []
  for (let piece = queue.shift(); piece; piece = queue.shift()) pieces.push(piece)
  return pieces
}

t.test('a slice that is most of its chunk waits as it is', async (t) => {
  const queue = new ReceiveQueue()
  const chunk = Buffer.allocUnsafeSlow(64 * KIB)
  const slice = chunk.subarray(0, 32 * KIB)
  queue.add(slice)
  t.equal(queue.shift(), slice)
})

t.test('what waits keeps alive little more than itself, however it came', async (t) => {
  const held = 256 * KIB
  for (const [sliceBytes, chunkBytes] of [
    [1, 64 * KIB],
    [13, 64 * KIB],
    [1_023, 64 * KIB],
    [1_024, 64 * KIB],
    [16 * KIB - 1, 64 * KIB],
  ] as const) {
    const queue = new ReceiveQueue()
    let chunk = Buffer.allocUnsafeSlow(chunkBytes)
    for (let i = 0; i * sliceBytes < held; i += 1) {
      if (i % 500 === 0 || sliceBytes > 1_000) chunk = Buffer.allocUnsafeSlow(chunkBytes)
      queue.add(chunk.subarray(0, sliceBytes))
    }
    const pieces = drain(queue)
    t.ok(keptBytes(pieces) <= 2 * held, `slices of ${sliceBytes}: ${keptBytes(pieces)} kept`)
    t.ok(pieces.length <= 2 * (held / (16 * KIB)) + 16, `${pieces.length} pieces`)
  }
})

t.test('tiny and large pieces in turn keep alive no more than five times themselves', async (t) => {
  const queue = new ReceiveQueue()
  let held = 0
  for (let i = 0; i < 100; i += 1) {
    for (const bytes of [1, 1_024]) {
      queue.add(Buffer.allocUnsafeSlow(4 * KIB).subarray(0, bytes))
      held += bytes
    }
  }
  t.ok(keptBytes(drain(queue)) <= 5 * held)
})

t.test('what is left of a large block keeps little alive', async (t) => {
  for (const held of [70_000, 40_000, 4_000, 100]) {
    const queue = new ReceiveQueue()
    for (let i = 0; i < held; i += 1) queue.add(Buffer.from('x'))
    const [last] = drain(queue).slice(-1) as [Buffer]
    t.ok(keptBytes([last]) <= Math.max(KIB, 4 * last.length), `${last.length} bytes`)
  }
})

t.test('a queue that was cleared is empty and goes on working', async (t) => {
  const queue = new ReceiveQueue()
  for (const piece of ['a', 'b'.repeat(2_000), 'c']) queue.add(Buffer.from(piece))
  queue.clear()
  t.ok(queue.isEmpty)
  t.equal(queue.shift(), undefined)
  queue.add(Buffer.from('d'))
  t.same(drain(queue).toString(), 'd')
})

// ── errors and options ──

t.test('the peer is at fault for protocol errors, and for no others', async (t) => {
  t.ok(isProtocolError('MUX_WINDOW_EXCEEDED'))
  t.ok(isProtocolError('MUX_FLOOD'))
  for (const code of ['MUX_PING_TIMEOUT', 'MUX_STREAM_RESET', 'MUX_REMOTE_ERROR'] as const) {
    t.notOk(isProtocolError(code), code)
  }
})

t.test('the deadlines and the backlog are those that a hashicorp/yamux peer expects', async (t) => {
  t.match(defaultOptions, {
    pingTimeoutMs: 10_000,
    openTimeoutMs: 75_000,
    closeTimeoutMs: 300_000,
    maxUnansweredOpens: 256,
  })
})
