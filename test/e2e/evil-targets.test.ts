import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import t from 'tap'
import { startAgent, startGateway } from '../support/programs.ts'
import { inTurns } from './in-turns.ts'
import { readRequests, readResponse, valuesIn } from './strict-reader.ts'
import { serveTcp } from './targets.ts'
import { connectTo, heard } from './visitor.ts'

// Responses that are malformed or ambiguous, or more than one, through an agent and a gateway: the visitor
// gets one well-formed response, or a page that says what is wrong, or sees that it breaks off. And the
// next visitor gets their own.

/** `page`: a 502 of the gateway's. `broken`: a beginning, and then no end but a reset. */
type Expected = 'page' | 'broken' | { readonly body: string; readonly headers?: readonly string[] }
type Case = [name: string, response: string, expected: Expected]

const ok = (...lines: string[]) => `${['HTTP/1.1 200 OK', ...lines].join('\r\n')}\r\n\r\n`
const whole: Expected = { body: 'evil' }
const chunked = 'Transfer-Encoding: chunked'
const second = `${ok('Content-Length: 6')}second`

const cases: Case[] = [
  // Where it ends
  ['two lengths', `${ok('Content-Length: 4', 'Content-Length: 8')}evilevil`, 'page'],
  [
    'one length twice',
    `${ok('Content-Length: 4', 'Content-Length: 4')}evil`,
    { body: 'evil', headers: ['content-length', 'x-request-id', 'date', 'connection'] },
  ],
  ['a list of lengths', `${ok('Content-Length: 4, 4')}evil`, 'page'],
  [
    'a length and chunks',
    `${ok('Content-Length: 5', chunked)}4\r\nevil\r\n0\r\n\r\n`,
    { body: 'evil', headers: ['x-request-id', 'date', 'connection', 'transfer-encoding'] },
  ],
  [
    'chunks in HTTP/1.0',
    `${ok('Connection: keep-alive', chunked).replace('1.1', '1.0')}4\r\nevil\r\n0\r\n\r\n`,
    whole,
  ],
  ['a length with a sign', `${ok('Content-Length: +4')}evil`, 'page'],
  ['a negative length', `${ok('Content-Length: -4')}evil`, 'page'],
  ['an empty length', `${ok('Content-Length:')}evil`, 'page'],
  ['a length beyond 64 bits', `${ok('Content-Length: 18446744073709551620')}evil`, 'page'],
  ['gzip', `${ok('Transfer-Encoding: gzip')}evil`, 'page'],
  [
    'chunked behind gzip',
    `${ok('Transfer-Encoding: gzip, chunked')}4\r\nevil\r\n0\r\n\r\n`,
    'page',
  ],
  ['chunked twice', `${ok(chunked, chunked)}4\r\nevil\r\n0\r\n\r\n`, 'page'],
  ['chunked, folded', `${ok('Transfer-Encoding:', ' chunked')}4\r\nevil\r\n0\r\n\r\n`, whole],
  ['a space before the colon', `${ok('Content-Length : 4')}evil`, whole],
  ['less than its length', `${ok('Content-Length: 8')}evil`, 'broken'],
  ['no last chunk', `${ok(chunked)}4\r\nevil\r\n`, 'broken'],
  ['a bad chunk size', `${ok(chunked)}4\r\nevil\r\nx\r\n`, 'broken'],
  ['a chunk that is too long', `${ok(chunked)}4\r\nevilevil\r\n0\r\n\r\n`, 'broken'],
  ['a bare LF behind a chunk size', `${ok(chunked)}4\r\nevil\r\n0\n\r\n`, 'broken'],
  [
    'a chunk size beyond 64 bits',
    `${ok(chunked)}4\r\nevil\r\n10000000000000004\r\nevil\r\n`,
    'broken',
  ],
  ['chunk extensions', `${ok(chunked)}4;a="b\\""\r\nevil\r\n0;c\r\n\r\n`, whole],
  // More than one
  ['another response behind it', `${ok('Content-Length: 4')}evil${second}`, whole],
  ['another behind its chunks', `${ok(chunked)}4\r\nevil\r\n0\r\n\r\n${second}`, whole],
  ['another behind one without a body', `HTTP/1.1 204 No Content\r\n\r\n${second}`, { body: '' }],
  ['a body of a 204', `HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil`, { body: '' }],
  ['a body of a 304', `HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil`, { body: '' }],
  [
    'a hundred 100s before it',
    `${'HTTP/1.1 100 Continue\r\n\r\n'.repeat(100)}${ok('Content-Length: 4')}evil`,
    whole,
  ],
  [
    'a hundred 103s before it',
    `${'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(100)}${ok('Content-Length: 4')}evil`,
    whole,
  ],
  [
    'a 101 that nobody asked for',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nevil',
    'page',
  ],
  [
    'a 101 without a word of a protocol',
    `HTTP/1.1 101 Switching Protocols\r\n\r\n${second}`,
    'page',
  ],
  // Lines
  ['a NUL in a value', `${ok('X: a\0b', 'Content-Length: 4')}evil`, 'page'],
  ['a bare CR in a value', `${ok('X: a\rSet-Cookie: evil=1', 'Content-Length: 4')}evil`, 'page'],
  ['a bare LF, which ends the line', `${ok('X: a\nContent-Length: 4')}evil`, whole],
  ['bare LFs, which end the head', 'HTTP/1.1 200 OK\nContent-Length: 4\n\nevil\r\n\r\n', whole],
  ['a folded line', `${ok('X: a', ' b', 'Content-Length: 4')}evil`, whole],
  ['a folded status line', `HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 4\r\n\r\nevil`, 'page'],
  ['an empty name', `${ok(': x', 'Content-Length: 4')}evil`, 'page'],
  ['a space in a name', `${ok('X Y: z', 'Content-Length: 4')}evil`, 'page'],
  ['a line without a colon', `${ok('X', 'Content-Length: 4')}evil`, 'page'],
  ['a control character in a value', `${ok('X: a\x01b', 'Content-Length: 4')}evil`, 'page'],
  ['a header beyond 64 KiB', `${ok(`X: ${'x'.repeat(70_000)}`, 'Content-Length: 4')}evil`, 'page'],
  ['a header without end', `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(20_000)}`, 'page'],
  [
    'so many lines that Node hides some',
    `${ok(...Array(2_100).fill('A:b'), 'Content-Length: 4')}evil`,
    'page',
  ],
  [
    'lines that are ours to write',
    `${ok('Gotunnel-Error: HOST_UNKNOWN', 'X-Request-Id: evil', 'Connection: close, X-Hop', 'X-Hop: 1', 'Keep-Alive: timeout=1', 'Content-Length: 4')}evil`,
    { body: 'evil', headers: ['content-length', 'x-request-id', 'date', 'connection'] },
  ],
  [
    'two cookies',
    `${ok('Set-Cookie: a=1, b', 'Content-Length: 4', 'set-cookie: c=2')}evil`,
    {
      body: 'evil',
      headers: ['set-cookie', 'content-length', 'set-cookie', 'x-request-id', 'date', 'connection'],
    },
  ],
  ['__proto__ for a name', `${ok('__proto__: x', 'Content-Length: 4')}evil`, whole],
  // The first line
  ['no HTTP', 'SSH-2.0-OpenSSH_9.6\r\n', 'page'],
  ['nothing at all', '', 'page'],
  ['HTTP/2.0', 'HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nevil', 'page'],
  ['HTTP/0.9', 'HTTP/0.9 200 OK\r\nContent-Length: 4\r\n\r\nevil', 'page'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 4\r\n\r\nevil', 'page'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\nevil', 'page'],
  ['a status of 0', 'HTTP/1.1 000 OK\r\nContent-Length: 4\r\n\r\nevil', 'page'],
  ['a bare CR in the reason', 'HTTP/1.1 200 O\rK\r\nContent-Length: 4\r\n\r\nevil', 'page'],
  [
    'a control character in the reason',
    'HTTP/1.1 200 O\x01K\r\nContent-Length: 4\r\n\r\nevil',
    'page',
  ],
  ['no reason', 'HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nevil', whole],
  ['an empty line before it', `\r\n${ok('Content-Length: 4')}evil`, 'page'],
  ['a request', 'GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n', 'page'],
]

/** Answers `/7` as case 7 has it, and everything else well. */
function evil(finish: (socket: Socket, response: string) => void) {
  return serveTcp(t, (socket) => {
    let bytes = ''
    socket.on('data', (chunk) => {
      const { messages, rest } = readRequests(bytes + chunk.toString('latin1'))
      bytes = rest
      for (const { start } of messages) {
        const index = /^GET \/(\d+) /.exec(start)?.[1]
        if (index === undefined) socket.write(`${ok('Content-Length: 4')}good`)
        else finish(socket, cases[Number(index)]?.[1] ?? '')
      }
    })
  })
}
const target = await evil((socket, response) => socket.end(response, 'latin1'))
/** What it sends too much is what the next one would get. */
const clinging = await evil((socket, response) => socket.write(response, 'latin1'))
const gateway = await startGateway(t, { env: { IDLE_TIMEOUT_SEC: '3' } })
await startAgent(t, gateway, [
  { hostname: 'app.localhost', target },
  { hostname: 'clinging.localhost', target: clinging },
])

t.test('a response is one that is well-formed, or is none', async (t) => {
  t.jobs = 16
  for (const [index, [name, , expected]] of cases.entries()) {
    t.test(name, async (t) => {
      const { bytes, isBroken } = await ask('app.localhost', `/${index}`)
      const read = lastResponse(bytes)
      if (expected === 'broken') {
        t.equal(read, undefined, bytes)
        t.ok(isBroken, 'the connection does not end, it is reset')
        return
      }
      if (read === undefined) throw new Error(`no response: ${bytes}`)
      t.equal(read.rest, '', bytes)
      const { message } = read
      if (expected === 'page') {
        t.match(message.start, 'HTTP/1.1 502 ')
        t.match(valuesIn(message, 'gotunnel-error'), [/^TARGET_/])
        return
      }
      t.equal(message.body, expected.body)
      if (expected.headers === undefined) return
      t.strictSame(
        message.headers.map(([line]) => line),
        expected.headers,
      )
    })
  }
})

t.test('the next visitor gets what is theirs, whatever the target has sent too much', async (t) => {
  await inTurns(cases, 8, async ([name], index) => {
    const evil = await say('clinging.localhost', `/${index}`)
    evil.resume()
    await expectGood(name)
    await expectGood(name)
    evil.destroy() // it may be one of those that never end
    await expectGood(name)
  })

  async function expectGood(name: string): Promise<void> {
    const { bytes } = await ask('clinging.localhost', '/next')
    t.match(lastResponse(bytes)?.message, { start: 'HTTP/1.1 200 OK', body: 'good' }, name)
  }
})

/** The one behind those that are only informational. */
function lastResponse(bytes: string) {
  let read = readResponse(bytes)
  while (read?.message.start.startsWith('HTTP/1.1 1')) read = readResponse(read.rest)
  return read
}

/** All that comes, in a connection of its own, and whether that was reset in the end. */
async function ask(name: string, path: string): Promise<{ bytes: string; isBroken: boolean }> {
  const socket = await say(name, path)
  let bytes = ''
  socket.on('data', (chunk) => (bytes += chunk.toString('latin1')))
  const isBroken = await heard(socket).then(
    () => false,
    () => true,
  )
  socket.destroy()
  return { bytes, isBroken }
}

async function say(name: string, path: string): Promise<TLSSocket> {
  const socket = await connectTo(t, gateway, name)
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`)
  return socket
}
