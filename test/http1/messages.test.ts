import t, { type Test } from 'tap'
import { formatHead, formatLastChunk, writeChunk } from '../../src/http1/format.ts'
import { isFramedSoundly, requestFraming, responseFraming } from '../../src/http1/framing.ts'
import { type Grammar, requestGrammar, responseGrammar } from '../../src/http1/grammar.ts'
import { parseResponseHead } from '../../src/http1/head.ts'
import { HeadReader } from '../../src/http1/head-reader.ts'
import { LineReader } from '../../src/http1/line-reader.ts'
import { cuttings, type Read, readRequest, readResponse } from './reading.ts'

const bad = 'HTTP1_MALFORMED'
const large = 'HTTP1_TOO_LARGE'

/** In one piece, and the same cut anywhere. */
function check(
  t: Test,
  read: (pieces: readonly string[]) => Read | string,
  message: string,
  wanted: Partial<Read> | string,
) {
  const whole = read([message])
  t.match(whole, wanted, JSON.stringify(message.slice(0, 200)))
  for (const pieces of cuttings(message)) {
    const cut = read(pieces)
    if (JSON.stringify(cut) === JSON.stringify(whole)) continue
    t.strictSame(cut, whole, `cut as ${JSON.stringify(pieces).slice(0, 500)}`)
    return
  }
}

t.test('reads a request line of RFC 9112 §3, and refuses what is only like one', async (t) => {
  const lines: [string, string][] = [
    ['GET / HTTP/1.1', 'GET / 1.1'],
    ['GET / HTTP/1.0', 'GET / 1.0'],
    ['M-SEARCH * HTTP/1.1', 'M-SEARCH * 1.1'],
    ['GET http://a.test/?b HTTP/1.1', 'GET http://a.test/?b 1.1'],
    ['GET /"<>\\^`{|} HTTP/1.1', 'GET /"<>\\^`{|} 1.1'],
    [`${'A'.repeat(32)} / HTTP/1.1`, `${'A'.repeat(32)} / 1.1`],
    [`${'A'.repeat(33)} / HTTP/1.1`, bad],
    ['get / HTTP/1.1', bad],
    ['-GET / HTTP/1.1', bad],
    ['GET  / HTTP/1.1', bad],
    ['GET\t/ HTTP/1.1', bad],
    ['GET /  HTTP/1.1', bad],
    ['GET / HTTP/1.1 ', bad],
    [' GET / HTTP/1.1', bad],
    ['GET /a b HTTP/1.1', bad],
    ['GET /\x7f HTTP/1.1', bad],
    ['GET /\x80 HTTP/1.1', bad],
    ['GET /\xff HTTP/1.1', bad],
    ['GET /\0 HTTP/1.1', bad],
    ['GET /\r HTTP/1.1', bad],
    ['GET /\n HTTP/1.1', bad],
    ['GET /', bad],
    ['GET / HTTP/1.2', bad],
    ['GET / HTTP/2.0', bad],
    ['GET / HTTP/01.1', bad],
    ['GET / http/1.1', bad],
    ['GET / HTTP/1.1\r', bad],
    ['HTTP/1.1 200 OK', bad],
    ['', bad],
  ]
  for (const [line, start] of lines) {
    const wanted = start === bad ? bad : { start, rawHeaders: ['Host', 'a.test'], rest: '' }
    check(t, readRequest, `${line}\r\nHost: a.test\r\n\r\n`, wanted)
  }
})

t.test('reads a status line of RFC 9112 §4', async (t) => {
  const lines: [string, string][] = [
    ['HTTP/1.1 200 OK', '1.1 200 OK'],
    ['HTTP/1.0 404 Not Found', '1.0 404 Not Found'],
    ['HTTP/1.1 200 ', '1.1 200 '],
    ['HTTP/1.1 200', '1.1 200 '],
    ['HTTP/1.1 999 \t\xe4', '1.1 999 \t\xe4'],
    ['HTTP/1.1 099 OK', bad],
    ['HTTP/1.1 20 OK', bad],
    ['HTTP/1.1 2000 OK', bad],
    ['HTTP/1.1  200 OK', '1.1 200 OK'],
    ['HTTP/1.1\t200 OK', bad],
    ['HTTP/1.1 200 O\x01K', bad],
    ['HTTP/1.1 200 O\rK', bad],
    ['HTTP/1.1 200 O\nK', bad],
    ['HTTP/1.2 200 OK', '1.1 200 OK'],
    ['HTTP/1.10 200 OK', bad],
    ['HTTP/2 200 OK', bad],
    ['http/1.1 200 OK', bad],
    ['ICY 200 OK', bad],
    ['', bad],
  ]
  for (const [line, start] of lines) {
    const wanted = start === bad ? bad : { start, body: '', rawTrailers: [] }
    check(t, (pieces) => readResponse(pieces), `${line}\r\nContent-Length: 0\r\n\r\n`, wanted)
  }
})

t.test('reads header lines as they came, and refuses what readers disagree about', async (t) => {
  const fields: [string, string[] | string, inResponse?: string[]][] = [
    ['', []],
    ['A: b\r\n', ['A', 'b']],
    ['A:b\r\na:\r\nA: \t \r\n', ['A', 'b', 'a', '', 'A', '']],
    ['A: \t b \t c \t\r\n', ['A', 'b \t c']],
    ['!#$%&\'*+.^_`|~-09: :;"\x80\xff\r\n', ["!#$%&'*+.^_`|~-09", ':;"\x80\xff']],
    ['__proto__: x\r\nconstructor: y\r\n', ['__proto__', 'x', 'constructor', 'y']],
    ['A : b\r\nC\t :\r\n', bad, ['A', 'b', 'C', '']],
    ['A: b\r\n c\r\n', bad, ['A', 'b c']],
    ['A: b\r\n\t c \r\n  d : e\r\nF: g\r\n', bad, ['A', 'b c  d : e', 'F', 'g']],
    ['A:\r\n b\r\n \r\nC: d\r\n', bad, ['A', 'b', 'C', 'd']],
    ['A: b\nC: d\r\n', bad, ['A', 'b', 'C', 'd']],
    ['A: b\n', bad, ['A', 'b']],
    ['A: b\n c\n', bad, ['A', 'b c']],
    [' A: b\r\n', bad],
    [' : b\r\n', bad],
    [': b\r\n', bad],
    ['A b : c\r\n', bad],
    ['A: b\n\rC: d\r\n', bad],
    ['A\r\n', bad],
    ['A b: c\r\n', bad],
    ['A\0: b\r\n', bad],
    ['\x80: b\r\n', bad],
    ['A: b\0\r\n', bad],
    ['A: b\x7f\r\n', bad],
    ['A: b\x0b\r\n', bad],
    ['A: b\rc\r\n', bad],
    ['A: b\r\r\n', bad],
    ['\r: b\r\n', bad],
  ]
  const wanted = (lines: string[] | string) =>
    typeof lines === 'string' ? bad : { rawHeaders: lines, rawTrailers: [], rest: '' }
  for (const [text, rawHeaders, inResponse = rawHeaders] of fields) {
    check(t, readRequest, `GET / HTTP/1.1\r\n${text}\r\n`, wanted(rawHeaders))
    const response = `HTTP/1.1 200 OK\r\n${text}\r\n`
    check(t, (pieces) => readResponse(pieces, 'HEAD'), response, wanted(inResponse))
  }
})

t.test('lines of a response may end in LF, and so may its head, wherever it does', async (t) => {
  const [line, length] = ['HTTP/1.1 200 OK', 'Content-Length: 2']
  const wanted = { rawHeaders: ['Content-Length', '2'], body: 'ok', rest: '' }
  for (const end of ['\n\n', '\n\r\n', '\r\n\n', '\r\n\r\n']) {
    for (const first of ['\n', '\r\n']) {
      check(t, (pieces) => readResponse(pieces), `${line}${first}${length}${end}ok`, wanted)
    }
  }
  const untilClose = { rawHeaders: [], body: 'a\r\n\r\nb' }
  check(t, (pieces) => readResponse(pieces), `${line}\n\na\r\n\r\nb`, untilClose)
})

t.test('tells a head that it had to mend', async (t) => {
  for (const [text, isExact] of [
    ['HTTP/1.1 200 OK\r\nA: b\r\n', true],
    ['HTTP/1.1 200\r\n', true],
    ['HTTP/1.1 200 OK\nA: b\n', false],
    ['HTTP/1.1 200 OK\r\nA : b\r\n', false],
    ['HTTP/1.1 200 OK\r\nA: b\r\n c\r\n', false],
  ] as const) {
    t.equal(parseResponseHead(text).isExact, isExact, JSON.stringify(text))
  }
})

t.test('a head may be as long as the limit, in however many pieces it comes', async (t) => {
  const head = (bytes: number) => {
    const [before, after] = ['GET / HTTP/1.1\r\nA: ', '\r\n\r\n']
    return before + 'x'.repeat(bytes - before.length - after.length) + after
  }
  const body = 'GET /next'
  for (const [bytes, wanted] of [
    [99, { rest: body }],
    [100, { rest: body }],
    [101, large],
  ] as const) {
    check(t, (pieces) => readRequest(pieces, 100), head(bytes) + body, wanted)
  }
  t.equal(readRequest([head(5_000).slice(0, 101)], 100), large, 'before its end is there')
})

t.test('what can become no head is not waited for', async (t) => {
  const refused = (bytes: string, grammar: Grammar) => {
    const heads = new HeadReader(1_000, grammar)
    t.throws(
      () => heads.push(Buffer.from(bytes, 'latin1'), 0),
      { code: bad },
      JSON.stringify(bytes),
    )
  }
  for (const bytes of ['\x16\x03\x01', 'get', ' ', '\0', 'SSH-2.0-x\r\n', 'G\n']) {
    refused(bytes, requestGrammar)
  }
  for (const bytes of ['X', 'http', 'HTTP/2', '\n', '\r\n']) {
    refused(bytes, responseGrammar)
  }
})

t.test('tells whether a head has begun, and reads one after the other', async (t) => {
  const heads = new HeadReader(1_000, requestGrammar)
  const chunk = Buffer.from('GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGE')
  t.equal(heads.push(chunk, 0), 19)
  t.equal(heads.text, 'GET /a HTTP/1.1\r\n')
  t.equal(heads.push(chunk, 19), 38)
  t.notOk(heads.isAmidst)
  t.equal(heads.push(chunk, 38), -1)
  t.ok(heads.isAmidst)
  t.equal(heads.push(Buffer.from('T /c HTTP/1.1\r\n\r\nrest'), 0), 17)
  t.equal(heads.text, 'GET /c HTTP/1.1\r\n')
  t.notOk(heads.isAmidst)
})

t.test('holds no more than the limit of what never becomes a line', async (t) => {
  const line = new LineReader(10)
  t.equal(line.push(Buffer.from('12345'), 0), -1)
  t.equal(line.push(Buffer.from('678\r\nrest'), 0), 5)
  t.equal(line.text, '12345678')
  t.throws(() => line.push(Buffer.from('0123456789\r\n'), 0), { code: large })
  t.throws(() => new LineReader(10).push(Buffer.from('0123456789a'), 0), { code: large })
  t.throws(() => new LineReader(10).push(Buffer.from('a\n'), 0), { code: bad })
})

t.test('a request says where it ends, or is ambiguous (RFC 9112 §6.3)', async (t) => {
  const cases: [string[], string, unknown][] = [
    [[], '1.1', { kind: 'none' }],
    [['Content-Length', '0'], '1.1', { kind: 'none' }],
    [['content-length', '007'], '1.1', { kind: 'length', length: 7 }],
    [['CONTENT-LENGTH', '999999999999999'], '1.0', { kind: 'length', length: 999_999_999_999_999 }],
    [['Transfer-Encoding', 'Chunked'], '1.1', { kind: 'chunked' }],
    [['Transfer-Encoding', 'chunked'], '1.0', undefined],
    ...[
      ['Content-Length', '1000000000000000'],
      ['Content-Length', ''],
      ['Content-Length', '+1'],
      ['Content-Length', '-1'],
      ['Content-Length', '1, 1'],
      ['Content-Length', '0x1'],
      ['Content-Length', '1e3'],
      ['Content-Length', '1', 'Content-Length', '1'],
      ['Content-Length', '0', 'Content-Length', '1'],
      ['Content-Length', '0', 'Transfer-Encoding', 'chunked'],
      ['Transfer-Encoding', 'chunked', 'content-length', '5'],
      ['Transfer-Encoding', 'chunked', 'transfer-encoding', 'chunked'],
      ['Transfer-Encoding', 'gzip, chunked'],
      ['Transfer-Encoding', 'chunked, chunked'],
      ['Transfer-Encoding', 'chunked;x'],
      ['Transfer-Encoding', 'identity'],
      ['Transfer-Encoding', ''],
      ['Transfer-Encoding', '\x0bchunked'],
    ].map((lines): [string[], string, unknown] => [lines, '1.1', undefined]),
  ]
  for (const [lines, version, wanted] of cases) {
    t.strictSame(requestFraming(lines, version), wanted, `${version} ${JSON.stringify(lines)}`)
  }
})

t.test('a response ends where its request, its status and its lines say', async (t) => {
  const length = ['Content-Length', '5']
  const cases: [string, number, string[], unknown][] = [
    ['GET', 200, length, { kind: 'length', length: 5 }],
    ['GET', 200, ['Content-Length', '0'], { kind: 'none' }],
    ['GET', 200, [], { kind: 'close' }],
    ['GET', 200, ['Transfer-Encoding', 'chunked'], { kind: 'chunked' }],
    ['GET', 200, [...length, 'Transfer-Encoding', 'chunked'], { kind: 'chunked' }],
    ['GET', 200, ['Transfer-Encoding', 'chunked', ...length], { kind: 'chunked' }],
    ['GET', 200, [...length, ...length], { kind: 'length', length: 5 }],
    ['GET', 200, [...length, 'content-length', '05'], undefined],
    ['GET', 200, [...length, 'Content-Length', '6', ...length], undefined],
    ['GET', 200, ['Content-Length', '5, 5'], undefined],
    ['GET', 200, ['Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked'], undefined],
    ['GET', 200, [...length, 'Transfer-Encoding', 'identity'], undefined],
    ['GET', 200, ['Transfer-Encoding', 'gzip'], undefined],
    ['HEAD', 200, length, { kind: 'none' }],
    ['HEAD', 200, ['Transfer-Encoding', 'chunked'], { kind: 'none' }],
    ['GET', 204, length, { kind: 'none' }],
    ['GET', 304, length, { kind: 'none' }],
    ['GET', 100, length, { kind: 'none' }],
    ['GET', 205, [], { kind: 'close' }],
  ]
  for (const [method, status, rawHeaders, wanted] of cases) {
    const title = `${method} ${status} ${rawHeaders}`
    t.strictSame(responseFraming({ status, rawHeaders }, method), wanted, title)
  }
})

t.test('after a response whose end had to be guessed, nothing follows', async (t) => {
  const length = ['Content-Length', '5']
  const chunked = ['Transfer-Encoding', 'chunked']
  for (const [httpVersion, rawHeaders, isSound] of [
    ['1.1', [], true],
    ['1.1', length, true],
    ['1.0', length, true],
    ['1.1', chunked, true],
    ['1.0', chunked, false],
    ['1.1', [...length, ...chunked], false],
    ['1.1', [...length, ...length], false],
  ] as const) {
    t.equal(isFramedSoundly({ httpVersion, rawHeaders }), isSound, `${httpVersion} ${rawHeaders}`)
  }
})

t.test('what is written is what was read, and nothing that would be two lines', async (t) => {
  const head = formatHead('GET / HTTP/1.1', ['Host', 'a.test', 'A', 'b\t\xff'], 'More: x\r\n')
  t.equal(head, 'GET / HTTP/1.1\r\nHost: a.test\r\nA: b\t\xff\r\nMore: x\r\n\r\n')
  t.match(readRequest([head]), { rawHeaders: ['Host', 'a.test', 'A', 'b\t\xff', 'More', 'x'] })
  t.equal(formatHead('GET / HTTP/1.1', []), 'GET / HTTP/1.1\r\n\r\n')
  const written: (string | Buffer)[] = []
  const to = { write: (piece: string | Buffer) => written.push(piece) < 3 }
  const bytes = Buffer.alloc(255)
  t.equal(writeChunk(to, bytes), false, 'as the last of its writes says')
  t.strictSame(written, ['ff\r\n', bytes, '\r\n'])
  t.equal(writeChunk(to, Buffer.alloc(0)), true)
  t.equal(written.length, 3, 'no chunk without bytes: it would be the last')
  t.equal(formatLastChunk(['A', 'b']), '0\r\nA: b\r\n\r\n')
  const values = ['a\rb', 'a\nb', 'a\0b', '\x7f', '\u010d\u010a', '\u{1f600}']
  for (const lines of [
    ...values.map((value) => ['A', value]),
    ...['', ' ', 'A ', 'A:', 'A\r\nB', '\u010d', 'A\0'].map((name) => [name, 'b']),
  ]) {
    t.throws(() => formatHead('GET / HTTP/1.1', lines), TypeError, JSON.stringify(lines))
    t.throws(() => formatLastChunk(lines), TypeError)
  }
})
