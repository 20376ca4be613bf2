import { readdir, readFile } from 'node:fs/promises'
import fc from 'fast-check'
import t from 'tap'
import { FrameDecoder, type FrameHandler } from '../../src/mux/decoder.ts'
import {
  decodeHeader,
  encodeHeader,
  Flag,
  FrameType,
  GoAwayCode,
  HEADER_BYTES,
  INITIAL_WINDOW_BYTES,
  MAX_WINDOW_BYTES,
  PROTOCOL_VERSION,
  SESSION_ID,
} from '../../src/mux/frame.ts'
import { FrameBatch } from '../../src/mux/frame-batch.ts'
import { hex } from './raw-peer.ts'

t.test('the numbers on the wire are those of the yamux spec', async (t) => {
  t.same([PROTOCOL_VERSION, HEADER_BYTES, SESSION_ID], [0, 12, 0])
  t.same(FrameType, { Data: 0, WindowUpdate: 1, Ping: 2, GoAway: 3 })
  t.same(Flag, { Syn: 1, Ack: 2, Fin: 4, Rst: 8 })
  t.same(GoAwayCode, { Normal: 0, ProtocolError: 1, InternalError: 2 })
  t.same([INITIAL_WINDOW_BYTES, MAX_WINDOW_BYTES], [262_144, 4_294_967_295])
})

// ── headers ──

const headers: [bytes: string, type: FrameType, flags: number, streamId: number, length: number][] =
  [
    ['00 00 0000 00000001 00000005', FrameType.Data, 0, 1, 5],
    ['00 00 0001 00000003 00040000', FrameType.Data, Flag.Syn, 3, 262_144],
    ['00 00 0004 00000002 00000000', FrameType.Data, Flag.Fin, 2, 0],
    ['00 01 0001 00000001 00000000', FrameType.WindowUpdate, Flag.Syn, 1, 0],
    ['00 01 0002 ffffffff ffffffff', FrameType.WindowUpdate, Flag.Ack, 0xffff_ffff, 0xffff_ffff],
    ['00 01 0008 80000000 80000000', FrameType.WindowUpdate, Flag.Rst, 0x8000_0000, 0x8000_0000],
    ['00 02 0001 00000000 01020304', FrameType.Ping, Flag.Syn, 0, 0x0102_0304],
    ['00 02 0002 00000000 fffffffe', FrameType.Ping, Flag.Ack, 0, 0xffff_fffe],
    ['00 03 0000 00000000 00000002', FrameType.GoAway, 0, 0, GoAwayCode.InternalError],
    ['00 00 abcd 12345678 9abcdef0', FrameType.Data, 0xabcd, 0x1234_5678, 0x9abc_def0],
  ]

t.test('writes each header as its bytes, and reads it back', async (t) => {
  for (const [bytes, type, flags, streamId, length] of headers) {
    const written = Buffer.alloc(HEADER_BYTES)
    encodeHeader(written, 0, type, flags, streamId, length)
    t.same(written, hex(bytes), bytes)
    t.same(decodeHeader(hex(bytes)), { version: 0, type, flags, streamId, length })
  }
})

t.test('writes and reads a header in the middle of a buffer, and nothing beside it', async (t) => {
  const written = Buffer.alloc(20, 0xee)
  encodeHeader(written, 4, FrameType.Data, Flag.Fin, 7, 9)
  t.same(written, hex('eeeeeeee 00 00 0004 00000007 00000009 eeeeeeee'))
  t.same(decodeHeader(written, 4), { version: 0, type: 0, flags: 4, streamId: 7, length: 9 })
})

t.test('reads a version and a type that do not exist as they are', async (t) => {
  t.match(decodeHeader(hex('ff fe 0000 00000000 00000000')), { version: 255, type: 254 })
})

const u32s = fc.oneof(
  fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff),
  fc.nat(0xffff_ffff),
)

t.test('any header reads back as it was written', async () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.values(FrameType)),
      fc.nat(0xffff),
      u32s,
      u32s,
      (type, flags, streamId, length) => {
        const written = Buffer.alloc(HEADER_BYTES)
        encodeHeader(written, 0, type, flags, streamId, length)
        const read = decodeHeader(written)
        return (
          read.version === 0 &&
          read.type === type &&
          read.flags === flags &&
          read.streamId === streamId &&
          read.length === length
        )
      },
    ),
  )
})

// ── the decoder ──

/** Keeps what a decoder tells, as lines; pieces of one payload are joined. */
class Recorder implements FrameHandler {
  readonly lines: string[] = []
  readonly pieces: Buffer[] = []
  #payload: Buffer[] = []

  dataHeader(id: number, flags: number, length: number): void {
    this.lines.push(`data ${id} flags ${flags} length ${length}`)
  }
  dataPayload(piece: Buffer): void {
    this.pieces.push(piece)
    this.#payload.push(piece)
  }
  dataEnd(): void {
    this.lines.push(`end ${Buffer.concat(this.#payload).toString()}`)
    this.#payload = []
  }
  windowUpdate(id: number, flags: number, credit: number): void {
    this.lines.push(`credit ${id} flags ${flags} bytes ${credit}`)
  }
  ping(flags: number, value: number): void {
    this.lines.push(`ping flags ${flags} value ${value}`)
  }
  goAway(code: number): void {
    this.lines.push(`go away ${code}`)
  }
}

function decode(chunks: readonly Buffer[]): Recorder {
  const recorder = new Recorder()
  const decoder = new FrameDecoder(recorder)
  for (const chunk of chunks) decoder.push(chunk)
  return recorder
}

// Kept as it is: version 0 must go on being read like this. 105 bytes.
const transcript = hex(`
  00 01 0001 00000001 00000000
  00 00 0000 00000001 00000005  68656c6c6f
  00 00 0005 00000003 00000001  21
  00 00 0000 00000003 00000000
  00 02 0001 00000000 0000002a
  00 01 0002 00000001 fffc0000
  00 00 0004 00000001 00000003  627965
  00 03 0000 00000000 00000000
`)
const told = [
  'credit 1 flags 1 bytes 0',
  ...['data 1 flags 0 length 5', 'end hello'],
  ...['data 3 flags 5 length 1', 'end !'],
  ...['data 3 flags 0 length 0', 'end '],
  'ping flags 1 value 42',
  'credit 1 flags 2 bytes 4294705152',
  ...['data 1 flags 4 length 3', 'end bye'],
  'go away 0',
]

t.test('tells the frames of a transcript in the order of the wire', async (t) => {
  t.equal(transcript.length, 105)
  t.same(decode([transcript]).lines, told)
})

t.test('tells the same wherever the transcript is cut in two', async (t) => {
  for (let at = 0; at <= transcript.length; at += 1) {
    const { lines } = decode([transcript.subarray(0, at), transcript.subarray(at)])
    if (!t.same(lines, told, `cut at ${at}`)) break
  }
})

t.test('tells the same wherever the transcript is cut in three', async (t) => {
  const expected = told.join('\n')
  const wrong: string[] = []
  for (let i = 0; i <= transcript.length; i += 1) {
    for (let j = i; j <= transcript.length; j += 1) {
      const chunks = [transcript.subarray(0, i), transcript.subarray(i, j), transcript.subarray(j)]
      if (decode(chunks).lines.join('\n') !== expected) wrong.push(`${i}, ${j}`)
    }
  }
  t.same(wrong, [])
})

t.test('tells the same byte by byte, with empty chunks between', async (t) => {
  const chunks = [...transcript].flatMap((byte) => [Buffer.from([byte]), Buffer.alloc(0)])
  t.same(decode(chunks).lines, told)
})

t.test('tells the same however the transcript is cut', async () => {
  const cuts = fc.array(fc.nat(transcript.length), { maxLength: 40 })
  fc.assert(
    fc.property(cuts, (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), transcript.length]
      const chunks = at.slice(1).map((end, i) => transcript.subarray(at[i], end))
      return decode(chunks).lines.join() === told.join()
    }),
  )
})

t.test('parses a header split over three chunks', async (t) => {
  const chunks = [hex('00 00 00'), hex('00 00000007 0000'), hex('0002 6f6b')]
  t.same(decode(chunks).lines, ['data 7 flags 0 length 2', 'end ok'])
})

t.test('passes payload on at once, in slices of the memory that it came in', async (t) => {
  const chunk = Buffer.alloc(64 * 1024, 'x')
  hex('00 00 0000 00000001 00040000').copy(chunk)
  const { pieces, lines } = decode([chunk])
  t.same(lines, ['data 1 flags 0 length 262144'])
  t.equal(pieces.length, 1)
  t.equal(pieces[0]?.buffer, chunk.buffer)
  t.equal(pieces[0]?.byteOffset, chunk.byteOffset + 12)
  t.equal(pieces[0]?.length, chunk.length - 12)
})

t.test('passes a chunk that is all payload on as itself', async (t) => {
  const chunk = Buffer.from('hello')
  const { pieces } = decode([hex('00 00 0000 00000001 00000010'), chunk, Buffer.alloc(0)])
  t.equal(pieces.length, 1)
  t.equal(pieces[0], chunk)
})

t.test('tells the header of a data frame before any of its payload has come', async (t) => {
  t.same(decode([hex('00 00 0000 00000001 ffffffff')]).lines, ['data 1 flags 0 length 4294967295'])
})

t.test('refuses every version but 0', async (t) => {
  for (let version = 1; version <= 255; version += 1) {
    const bytes = Buffer.from([version, ...hex('00 0000 00000001 00000000')])
    t.throws(() => decode([bytes]), { code: 'MUX_BAD_VERSION' })
  }
})

t.test('refuses every type but the four, whatever its length says', async (t) => {
  for (let type = 4; type <= 255; type += 1) {
    const bytes = Buffer.from([0, type, ...hex('0000 00000001 ffffffff')])
    t.throws(() => decode([bytes]), { code: 'MUX_BAD_TYPE' })
  }
})

t.test('refuses a go-away code that does not exist', async (t) => {
  for (const code of ['00000003', '00000100', '80000000', 'ffffffff']) {
    t.throws(() => decode([hex(`00 03 0000 00000000 ${code}`)]), { code: 'MUX_BAD_TYPE' }, code)
  }
})

t.test('tells nothing more once it was stopped from within an event', async (t) => {
  const events = ['dataHeader', 'dataPayload', 'dataEnd', 'windowUpdate', 'ping', 'goAway'] as const
  for (const event of events) {
    const recorder = new Recorder()
    const decoder = new FrameDecoder(recorder)
    let isStopped = false
    const late: string[] = []
    for (const name of events) {
      const tell = (...args: number[]) => {
        if (isStopped) late.push(name)
        if (name === event) {
          isStopped = true
          decoder.stop()
        }
        return args
      }
      Object.assign(recorder, { [name]: tell })
    }
    decoder.push(transcript)
    decoder.push(transcript)
    t.ok(isStopped, event)
    t.same(late, [], event)
  }
})

// ── the batch ──

t.test('puts headers and small payloads into one piece, in order', async (t) => {
  const batch = new FrameBatch()
  batch.header(FrameType.WindowUpdate, Flag.Syn, 1, 0)
  batch.header(FrameType.Data, 0, 1, 5)
  batch.payload(Buffer.from('hello'))
  t.equal(batch.bytes, 29)
  const pieces = batch.take()
  t.same(pieces, [hex('00 01 0001 00000001 00000000  00 00 0000 00000001 00000005  68656c6c6f')])
  t.same([batch.bytes, batch.takenBytes], [0, 29])
  t.same(batch.take(), [])
})

t.test('passes a large payload on without a copy', async (t) => {
  const batch = new FrameBatch()
  const large = Buffer.alloc(1025, 'x')
  batch.header(FrameType.Data, 0, 1, large.length)
  batch.payload(large)
  batch.header(FrameType.WindowUpdate, Flag.Fin, 1, 0)
  const pieces = batch.take()
  t.equal(pieces.length, 3)
  t.equal(pieces[1], large)
})

t.test('what was taken has the bytes put in, and keeps them', async () => {
  type Step = { payload: number } | 'header' | 'take'
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 4, arbitrary: fc.constant<Step>('header') },
    { weight: 4, arbitrary: fc.record({ payload: fc.nat(3_000) }) },
    { weight: 2, arbitrary: fc.record({ payload: fc.constantFrom(1, 1_024, 1_025, 16_384) }) },
    { weight: 1, arbitrary: fc.constant<Step>('take') },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const batch = new FrameBatch()
      const expected: Buffer[] = []
      const taken: Buffer[] = []
      for (const [i, step] of steps.entries()) {
        if (step === 'take') taken.push(...batch.take())
        else if (step === 'header') {
          batch.header(FrameType.Ping, Flag.Syn, 0, i)
          expected.push(hex(`00 02 0001 00000000 ${i.toString(16).padStart(8, '0')}`))
        } else {
          const payload = Buffer.alloc(step.payload, i)
          batch.payload(payload)
          expected.push(payload)
        }
      }
      taken.push(...batch.take())
      return Buffer.concat(taken).equals(Buffer.concat(expected))
    }),
  )
})

// ── this folder ──

t.test('the README names only tests that exist', async (t) => {
  const folder = new URL('./', import.meta.url)
  const names = (await readdir(folder)).filter((name) => name.endsWith('.test.ts'))
  const sources = await Promise.all(names.map((name) => readFile(new URL(name, folder), 'utf8')))
  const titles = (await readFile(new URL('README.md', folder), 'utf8')).match(/\*[^*\n|]+\*/g) ?? []
  const all = sources.join('\n').replaceAll("\\'", "'")
  t.ok(titles.length > 50)
  t.same(
    titles.filter((title) => !all.includes(title.slice(1, -1))),
    [],
  )
})
