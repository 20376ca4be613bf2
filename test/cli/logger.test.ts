import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import t from 'tap'
import { formatPretty, JsonFormat } from '../../src/cli/log-format.ts'
import { createLogger } from '../../src/cli/logger.ts'
import { Secret } from '../../src/config/secret.ts'
import { CodedError } from '../../src/errors.ts'
import type { LogFields } from '../../src/log.ts'

const time = new Date('2026-01-02T03:04:05.678Z')
const hostile = 'a\r\nb\u001b[31mc\u0000\u007f\u0085\u009b2J\u2028d\u2029e\u202ef'

t.test('a JSON line has time, level, message and the fields', async (t) => {
  t.strictSame(JSON.parse(json('listening', { port: 443, host: 'a', ok: true, none: null })), {
    time: '2026-01-02T03:04:05.678Z',
    level: 'info',
    message: 'listening',
    port: 443,
    host: 'a',
    ok: true,
    none: null,
  })
  t.strictSame(
    JSON.parse(json('x', { level: 'mine', time: 1, gone: undefined, call: () => 1 })),
    { time: '2026-01-02T03:04:05.678Z', level: 'info', message: 'x', _level: 'mine', _time: 1 },
    'a field never takes the place of what every line has',
  )
})

t.test('whatever a field says, JSON gives it back', async (t) => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string(),
    fc.constantFrom('a"b\\', '\ud800', ''),
  )
  const value = fc.oneof(text, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean())
  const field = fc.tuple(
    text.map((key) => `k${key}`),
    value,
  )
  const format = new JsonFormat()
  fc.assert(
    fc.property(fc.array(field, { maxLength: 20 }), (entries) => {
      const fields = Object.fromEntries(entries)
      const line = format.format({ time, level: 'info', message: 'x', fields })
      const { time: _, level, message, ...shown } = JSON.parse(line)
      t.notMatch(line, /[\x00-\x1f\x7f-\x9f\u2028-\u202e]/)
      t.strictSame(shown, JSON.parse(JSON.stringify(fields)))
    }),
  )
})

t.test('lines of one formatter do not mix up their times and names', async (t) => {
  const format = new JsonFormat()
  const line = (ms: number, fields: LogFields) =>
    format.format({ time: new Date(ms), level: 'info', message: 'x', fields })
  for (const ms of [0, 0, 1, 0, 1_999]) {
    t.equal(JSON.parse(line(ms, {})).time, new Date(ms).toISOString())
  }
  for (let n = 0; n < 800; n += 1) {
    const name = `name${n % 600}`
    t.equal(JSON.parse(line(0, { [name]: n }))[name], n)
  }
  t.match(JSON.parse(line(0, { time: 1, _time: 2, __time: 3 })), {
    _time: 1,
    __time: 2,
    ___time: 3,
  })
})

t.test('a pretty line is short', async (t) => {
  const fields = {
    host: 'app.example.com:443',
    path: '/a b',
    n: 1.5,
    list: [1, 'x'],
    map: { a: 1 },
  }
  t.match(
    formatPretty({ time, level: 'warn', message: 'slow', fields }, false),
    /^\d\d:04:05 warn {2}slow host=app\.example\.com:443 path="\/a b" n=1\.5 list=\[1,"x"\] map=\{"a":1\}$/,
  )
  const coloured = formatPretty({ time, level: 'error', message: 'x', fields: { a: 'b' } }, true)
  t.match(coloured, '\u001b[31merror\u001b[0m x \u001b[2ma=\u001b[0mb')
})

t.test('one entry stays one line, without what a terminal obeys', async (t) => {
  const fields = { value: hostile, [hostile]: 1, list: [hostile], error: new Error(hostile) }
  for (const line of [json(hostile, fields), pretty(hostile, fields)]) {
    t.notMatch(line, /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]/)
    t.match(line, '\\u001b[31mc')
  }
  t.equal(JSON.parse(json(hostile, fields)).message, hostile, 'JSON gives back what was said')
})

t.test('a line has bounds, however much is put into it', async (t) => {
  const long = 'x'.repeat(100_000)
  const deep = Array.from({ length: 50 }).reduce((inner) => ({ inner, long }), {})
  const wide = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`k${i}`, i]))
  const circle: Record<string, unknown> = {}
  circle.self = circle
  const cause = new Error('circular')
  cause.cause = cause
  for (const fields of [
    { long },
    { deep },
    wide,
    { wide },
    { list: Array(1e5).fill('x') },
    circle,
    { cause },
  ]) {
    for (const line of [json('x', fields), pretty('x', fields)])
      t.ok(line.length < 12_000, `${line.length}`)
  }
  t.match(json(long), 'x… (100000 characters)')
})

t.test('errors are their message, code and cause', async (t) => {
  const cause = Object.assign(new Error('connect ECONNREFUSED ::1:1'), { code: 'ECONNREFUSED' })
  const error = new CodedError('NET_DOWN', 'cannot connect', { cause })
  t.strictSame(JSON.parse(json('x', { error })).error, {
    message: 'cannot connect',
    code: 'NET_DOWN',
    cause: { message: 'connect ECONNREFUSED ::1:1', code: 'ECONNREFUSED' },
  })
  t.match(pretty('x', { error }), 'error="cannot connect (NET_DOWN): connect ECONNREFUSED ::1:1"')
  t.equal(JSON.parse(json('x', { error: new TypeError() })).error.message, 'TypeError')
})

t.test('tokens, secrets and bodies are not shown', async (t) => {
  const token = 'eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhIn0.c2lnbmF0dXJl'
  const fields = {
    secret: new Secret('hunter2-a'),
    jwt_secret: 'hunter2-b',
    token: 'hunter2-c',
    nested: { Authorization: 'Bearer hunter2-d', 'set-cookie': 'hunter2-e', password: 'hunter2-f' },
    url: `/?t=${token}`,
    error: new Error(`bad token ${token}`),
    body: Buffer.from('hunter2-g'),
    tokenId: 'shown',
    secrets: 2,
  }
  for (const line of [json(`got ${token}`, fields), pretty(`got ${token}`, fields)]) {
    t.notMatch(line, 'hunter2')
    t.notMatch(line, 'c2lnbmF0dXJl')
    t.notMatch(line, 'aHVudGVy', 'nor in base64')
    t.match(line, 'shown')
  }
  t.match(JSON.parse(json('x', fields)), { secrets: 2, body: '(9 bytes)', secret: '[secret]' })
})

t.test('odd values are no trouble', async (t) => {
  const fields = {
    big: 10n,
    nan: Number.NaN,
    date: time,
    noDate: new Date(Number.NaN),
    set: new Set([1]),
    map: new Map([['a', 1]]),
    symbol: Symbol('s'),
    bare: Object.assign(Object.create(null), { a: 1 }),
  }
  t.match(JSON.parse(json('x', fields)), {
    big: '10',
    nan: 'NaN',
    date: '2026-01-02T03:04:05.678Z',
    noDate: 'no date',
    set: [1],
    map: { a: 1 },
    symbol: 'Symbol(s)',
    bare: { a: 1 },
  })
})

t.test('lines below the level are not written, and nothing is made of them', async (t) => {
  const { stream, lines } = sink()
  const log = createLogger({ logLevel: 'warn', logFormat: 'json', stream })
  const untouched = Object.defineProperty({}, 'x', { enumerable: true, get: () => t.fail('read') })
  log.debug('a', untouched)
  log.info('b', untouched)
  log.warn('c', { n: 1 })
  log.error('d')
  await log.close()
  t.strictSame(
    lines().map((line) => JSON.parse(line).message),
    ['c', 'd'],
  )
})

t.test('close writes what is still on its way, in order, and may be called again', async (t) => {
  const { stream, lines } = sink()
  const log = createLogger({ logLevel: 'debug', logFormat: 'auto', stream })
  for (let n = 0; n < 3000; n += 1) log.info('line', { n })
  await Promise.all([log.close(), log.close()])
  log.info('too late')
  const numbers = lines().map((line) => JSON.parse(line).n)
  t.strictSame(
    numbers,
    Array.from({ length: 3000 }, (_, n) => n),
  )
})

t.test('the format is for people on a terminal only', async (t) => {
  const noColor = process.env.NO_COLOR
  delete process.env.NO_COLOR
  t.teardown(() => {
    if (noColor !== undefined) process.env.NO_COLOR = noColor
  })
  const cases = [
    ['auto', true, /\u001b\[32minfo \u001b\[0m hello\n$/],
    ['auto', false, /^\{"time":.*"message":"hello"\}\n$/],
    ['json', true, /^\{"time":.*"message":"hello"\}\n$/],
    ['pretty', false, /^\S+ info {2}hello\n$/],
  ] as const
  for (const [logFormat, isTTY, expected] of cases) {
    const { stream, text } = sink()
    const log = createLogger({
      logLevel: 'info',
      logFormat,
      stream: Object.assign(stream, { isTTY }),
    })
    log.info('hello')
    await log.close()
    t.match(text(), expected, `${logFormat}, terminal: ${isTTY}`)
  }
})

function json(message: string, fields?: LogFields): string {
  return new JsonFormat().format({ time, level: 'info', message, fields })
}

function pretty(message: string, fields?: LogFields): string {
  return formatPretty({ time, level: 'info', message, fields }, false)
}

function sink() {
  const stream = new PassThrough()
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
  })
  return { stream, text: () => text, lines: () => text.split('\n').filter(Boolean) }
}
