import { once } from 'node:events'
import { Duplex } from 'node:stream'
import t from 'tap'
import { Outbox } from '../../src/net/outbox.ts'
import { settle } from '../mux/turns.ts'

/** Records what it is given, write by write; takes them when it is told to. */
class Sink extends Duplex {
  readonly writes: string[] = []
  #take: (() => void) | undefined
  #isSlow: boolean

  constructor(isSlow = false) {
    super({ writableHighWaterMark: 1_000 })
    this.#isSlow = isSlow
  }

  accept(): void {
    this.#isSlow = false
    this.#take?.()
  }

  override _read(): void {}

  override _write(piece: Buffer, _encoding: string, callback: () => void): void {
    this.writes.push(piece.toString('latin1'))
    if (this.#isSlow) this.#take = callback
    else callback()
  }
}

t.test('what is written in one turn is one write, in order', async (t) => {
  const sink = new Sink()
  const outbox = new Outbox(sink)
  outbox.write('head\xe4\r\n')
  outbox.write(Buffer.from('body'))
  outbox.write('end')
  t.strictSame(sink.writes, [], 'held for the turn')
  await settle(1)
  t.strictSame(sink.writes, ['head\xe4\r\nbodyend'])
  t.equal(outbox.bytes, 14)
  outbox.write('next')
  await settle(1)
  t.strictSame(sink.writes.slice(1), ['next'])
})

t.test('large pieces go as they are, behind what came before them', async (t) => {
  const sink = new Sink()
  const outbox = new Outbox(sink)
  const large = 'x'.repeat(70_000)
  outbox.write('before')
  outbox.write(large)
  outbox.write('behind')
  t.strictSame(sink.writes.join(''), `before${large}`)
  await settle(1)
  t.strictSame(sink.writes.join(''), `before${large}behind`)
})

t.test('any sizes, in any order, are the same bytes', async (t) => {
  const sink = new Sink()
  const outbox = new Outbox(sink)
  let wanted = ''
  const sizes = [1, 4_095, 4_096, 0, 65_535, 65_536, 1, 65_536, 30_000, 30_000, 30_000, 5, 4_096]
  for (const [index, size] of sizes.entries()) {
    const piece = String.fromCharCode(97 + index).repeat(size)
    outbox.write(index % 2 === 0 ? piece : Buffer.from(piece))
    wanted += piece
  }
  await settle(1)
  t.ok(sink.writes.join('') === wanted)
  t.equal(outbox.bytes, wanted.length)
})

t.test('says when the stream is behind, and whoever waits hears of its drain', async (t) => {
  const sink = new Sink(true)
  const outbox = new Outbox(sink)
  const much = 'x'.repeat(140_000)
  t.ok(outbox.write('held'), 'not yet the stream’s')
  await settle(1)
  t.notOk(outbox.write(much))
  t.notOk(outbox.write('y'))
  const drained = once(sink, 'drain')
  sink.accept()
  await drained
  t.ok(outbox.write('z'))
  await settle(1)
  t.equal(sink.writes.join(''), `held${much}yz`)
})

t.test('flush calls back once all of it is taken, also where nothing was held', async (t) => {
  const sink = new Sink(true)
  const outbox = new Outbox(sink)
  const told: string[] = []
  outbox.write('a')
  outbox.flush((error) => told.push(error ? 'failed' : 'a'))
  outbox.flush((error) => told.push(error ? 'failed' : 'nothing'))
  await settle(1)
  t.strictSame([told, sink.writes], [[], ['a']])
  sink.accept()
  await settle(1)
  t.strictSame(told, ['a', 'nothing'])
})

t.test('a stream that is gone is told of, and breaks nothing', async (t) => {
  const sink = new Sink()
  const outbox = new Outbox(sink)
  outbox.write('held')
  sink.destroy()
  outbox.write('x'.repeat(5_000))
  const errors: unknown[] = []
  outbox.write('more')
  outbox.flush((error) => errors.push(error))
  outbox.flush((error) => errors.push(error))
  await settle(2)
  t.match(errors, [{ code: 'ERR_STREAM_DESTROYED' }, { code: 'ERR_STREAM_DESTROYED' }])
  t.strictSame(sink.writes, [])
})
