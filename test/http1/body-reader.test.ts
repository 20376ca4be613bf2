import fc from 'fast-check'
import t from 'tap'
import { BodyReader } from '../../src/http1/body-reader.ts'
import { requestGrammar } from '../../src/http1/grammar.ts'
import { cuttings, readRequest, readResponse } from './reading.ts'

const bad = 'HTTP1_MALFORMED'
const large = 'HTTP1_TOO_LARGE'
const chunked = 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n'

t.test('reads chunks of RFC 9112 §7.1, and refuses what is only like them', async (t) => {
  const whole = (body: string, rawTrailers: string[] = [], rest = '') => ({
    body,
    rawTrailers,
    rest,
  })
  const cases: [string, object | string][] = [
    ['0\r\n\r\n', whole('')],
    ['5\r\nhello\r\n0\r\n\r\n', whole('hello')],
    ['5\r\nhello\r\n0\r\n\r\nGET /', whole('hello', [], 'GET /')],
    ['2\r\n\r\n\r\n2\r\n0\r\r\n000\r\n\r\n', whole('\r\n0\r')],
    ['00000000000000a\r\n0123456789\r\n0\r\n\r\n', whole('0123456789')],
    ['A\r\n0123456789\r\n0\r\n\r\n', whole('0123456789')],
    ['1;a=b;c="d"\r\nx\r\n0;e\r\n\r\n', whole('x')],
    ['1 \t;a\r\nx\r\n0\r\n\r\n', whole('x')],
    ['1;\x80\xff\r\nx\r\n0\r\n\r\n', whole('x')],
    ['0\r\nA: b\r\nc:\r\n\r\n', whole('', ['A', 'b', 'c', ''])],
    ['0\r\nA: b\r\n\r\nA: c\r\n', whole('', ['A', 'b'], 'A: c\r\n')],
    // a size
    ['\r\n0\r\n\r\n', bad],
    ['-1\r\n', bad],
    ['+1\r\n', bad],
    ['0x1\r\n', bad],
    ['g\r\n', bad],
    ['1 \r\nx\r\n0\r\n\r\n', bad],
    [' 1\r\nx\r\n0\r\n\r\n', bad],
    ['1 1\r\n', bad],
    ['1\nx\r\n0\r\n\r\n', bad],
    ['1\r\r\n', bad],
    ['20000000000000\r\n', bad],
    ['ffffffffffffffff\r\n', bad],
    ['00000000000000001\r\nx\r\n', bad],
    ['1;\0\r\n', bad],
    ['1;a\rb\r\n', bad],
    ['1;a\nx\r\n', bad],
    // a chunk's end
    ['1\r\nxy\r\n0\r\n\r\n', bad],
    ['1\r\nx0\r\n\r\n', bad],
    ['1\r\nx\n0\r\n\r\n', bad],
    ['1\r\nx\r0\r\n\r\n', bad],
    ['1\r\nx\r\n\r\n0\r\n\r\n', bad],
    // trailers
    ['0\r\n\n', bad],
    ['0\r\nA\r\n\r\n', bad],
    ['0\r\n A: b\r\n\r\n', bad],
    ['0\r\nA: b\r\n c\r\n\r\n', bad],
    ['0\r\nA : b\r\n\r\n', bad],
    ['0\r\nA: b\rc\r\n\r\n', bad],
    ['0\r\nA: b\nc: d\r\n\r\n', bad],
    ['0\r\nContent-Length: 5\r\n\r\n', bad],
    ['0\r\nA: b\r\ntransfer-encoding: chunked\r\n\r\n', bad],
  ]
  for (const [text, wanted] of cases) {
    const read = readRequest([chunked + text])
    t.match(read, wanted, JSON.stringify(text))
    for (const pieces of cuttings(text)) {
      const cut = readRequest([chunked, ...pieces])
      if (JSON.stringify(cut) === JSON.stringify(read)) continue
      t.strictSame(cut, read, `${JSON.stringify(text)} cut as ${JSON.stringify(pieces)}`)
      break
    }
  }
})

t.test('white space behind a size is taken in a response alone', async (t) => {
  const response = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
  const padded = '1   \r\nx\r\n0 \t\r\n\r\n'
  t.match(readResponse([response + padded]), { body: 'x', rawTrailers: [] })
  t.equal(readRequest([chunked + padded]), bad)
  t.equal(readResponse([`${response}1 1\r\nx`]), bad)
})

t.test('a body that was cut off is not whole', async (t) => {
  const missing = { rawTrailers: undefined, rest: '' }
  const text = '5\r\nhello\r\n0\r\nA: b\r\n\r\n'
  for (let at = 0; at < text.length; at += 1) {
    t.match(readRequest([chunked + text.slice(0, at)]), missing, `chunks cut at ${at}`)
  }
  t.match(readRequest(['POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab']), {
    body: 'ab',
    ...missing,
  })
  t.match(readResponse(['HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n']), missing)
})

t.test('what has a length ends there; what has none, with the connection', async (t) => {
  const length = 'Content-Length: 3\r\n\r\n'
  const message = `POST / HTTP/1.1\r\n${length}abcdef`
  for (const pieces of [[message], ...cuttings(message)]) {
    const wanted = { body: 'abc', rawTrailers: [], rest: 'def' }
    t.match(readRequest(pieces), wanted, JSON.stringify(pieces[0]))
  }
  const untilClose = { body: 'abc\r\n0\r\n\r\n', rawTrailers: [], rest: '' }
  t.match(readResponse(['HTTP/1.1 200 OK\r\n\r\nabc\r\n', '0\r\n\r\n']), untilClose)
})

t.test('what is none of the body is bounded', async (t) => {
  const of = (...pieces: string[]) => readRequest([chunked, ...pieces], 100)
  const last = '0\r\n\r\n'
  t.equal(of(`1;${'x'.repeat(8_191)}`), large, 'a line of a size')
  t.match(of(`1;${'x'.repeat(8_188)}\r\n`, `x\r\n${last}`), { body: 'x' })
  t.equal(of('A: b\r\n'.repeat(20)), bad)
  t.equal(of('0\r\n', ...'A: b\r\n'.repeat(16), 'A: b\r\n', '\r\n'), large, 'trailers')
  t.match(of('0\r\n', ...'A: b\r\n'.repeat(16), '\r\n'), { body: '' })
  for (const filling of [';aaaaaaaaaaaaaaa', '               ;', '\t\t\t\t\t\t\t\t\t;a;"b"']) {
    const chunk = `1${filling}\r\nx\r\n`
    t.match(of(chunk.repeat(900) + last), { body: 'x'.repeat(900) })
    t.equal(of(chunk.repeat(1_200) + last), large, `in many places: ${JSON.stringify(filling)}`)
  }
})

t.test('says nothing more once it has been stopped, in the midst of a piece', async (t) => {
  for (const [framing, bytes] of [
    [{ kind: 'length', length: 3 }, 'abc'],
    [{ kind: 'chunked' }, '1\r\na\r\n1\r\nb\r\n0\r\n\r\n'],
    [{ kind: 'close' }, 'abc'],
  ] as const) {
    const told: string[] = []
    const body: BodyReader = new BodyReader(
      framing,
      {
        onBody(piece) {
          told.push(String(piece))
          body.stop()
        },
        onBodyEnd: () => told.push('end'),
      },
      100,
      requestGrammar,
    )
    body.push(Buffer.from(bytes), 0)
    t.ok(body.isOver)
    t.equal(told.length, 1, framing.kind)
  }
})

t.test('passes on slices of what came, and copies nothing', async (t) => {
  const chunk = Buffer.from('3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n')
  const pieces: Buffer[] = []
  const listener = { onBody: (piece: Buffer) => pieces.push(piece), onBodyEnd: () => {} }
  const body = new BodyReader({ kind: 'chunked' }, listener, 100, requestGrammar)
  t.equal(body.push(chunk, 0), chunk.length)
  t.strictSame(pieces.map(String), ['abc', 'de'])
  t.ok(pieces.every(({ buffer }) => buffer === chunk.buffer))
})

t.test('any body in any chunks, in any pieces, is the same body', async () => {
  const strings = (more: object) => fc.string({ unit: 'binary', ...more }).map(toLatin1)
  const bodies = fc.array(strings({ minLength: 1, maxLength: 40 }), { maxLength: 8 })
  fc.assert(
    fc.property(bodies, fc.array(fc.nat(60)), strings({ maxLength: 9 }), (chunks, cuts, rest) => {
      const coded = chunks.map((text) => `${text.length.toString(16)}\r\n${text}\r\n`).join('')
      const text = `${chunked}${coded}0\r\nA: b\r\n\r\n${rest}`
      const pieces: string[] = []
      let at = 0
      for (const bytes of cuts) {
        if (bytes > 0) pieces.push(text.slice(at, at + bytes))
        at += bytes
      }
      pieces.push(text.slice(at))
      const read = readRequest(pieces.filter((piece) => piece !== ''))
      const wanted = { body: chunks.join(''), rawTrailers: ['A', 'b'], rest }
      const start = 'POST / 1.1'
      const rawHeaders = ['Transfer-Encoding', 'chunked']
      t.strictSame(read, { start, rawHeaders, ...wanted })
    }),
    { numRuns: 100 },
  )
})

function toLatin1(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
