import http, { type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { parseResponseHead } from '../../src/http1/head.ts'
import { settle } from '../mux/turns.ts'
import { duplexPair } from '../support/duplex-pair.ts'
import { type Read, readRequest, readResponse } from './reading.ts'

// What our readers take, Node's parser takes too, and understands the same; it refuses some of it
// (`refusals`), and disagrees about none. The messages are changed in a few places, by the byte. `HTTP1_RUNS=100000 HTTP1_SEED=… npx tap --timeout=0 …` for more.

const numRuns = Number(process.env.HTTP1_RUNS ?? 2_500)
const seed = Number(process.env.HTTP1_SEED ?? Date.now() & 0x7fff_ffff)

const chunks = '5\r\nhello\r\n00a;a="b"\r\n0123456789\r\n0\r\nTrailer-A: b\r\n\r\n'
const requests = [
  'GET /path?query HTTP/1.1\r\nHost: a.test\r\nX-A: b\r\nConnection: close\r\n\r\n',
  'PUT /a HTTP/1.0\r\nhost:a.test\r\nContent-Length: 11\r\n\r\nhello world',
  `POST /b HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n${chunks}`,
]
const responses = [
  'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nhello world',
  'HTTP/1.0 404 Not Found\r\nServer: x\r\n\r\nuntil the end\r\n\r\n',
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Trailer-A\r\n\r\n${chunks}`,
  'HTTP/1.1 204\r\nETag: "a"\r\n\r\n',
]

t.test('a request that we take is the same request to Node', (t) =>
  compare(t, requests, async (bytes) => {
    const ours = readRequest([bytes])
    return isWhole(ours) ? { ours, nodes: await nodesRequest(bytes) } : undefined
  }),
)

t.test('a response that we take is the same response to Node', (t) =>
  compare(t, responses, async (bytes) => {
    const ours = readResponse([bytes])
    // With a tab behind it, the word is none to Node, and the body ends with the connection.
    if (/chunked *\t[\t ]*\r/i.test(bytes)) return
    if (!isWhole(ours) || wasMended(bytes)) return
    return { ours, nodes: await nodesResponse(bytes) }
  }),
)

/** What Node takes for an error, by its code, and we do not. */
const refusals: Readonly<Record<string, RegExp>> = {
  // It knows those of a list.
  HPE_INVALID_METHOD: /^[A-Z-]+ /,
  // What is no path, which the edge refuses (`request-guard`).
  HPE_INVALID_URL: /^[A-Z-]+ [^/ ]/,
  // To the byte, what RFC 9112 §7.1.1 has in an extension; none of it goes any further.
  HPE_STRICT: /\r\n[0-9a-f]+[\t ]*;/i,
  HPE_INVALID_CHUNK_SIZE: /\r\n[0-9a-f]+[\t ]+[;\r]/i,
  // A tab is white space behind a value as well (RFC 9110 §5.6.3); we do not pass it on.
  HPE_INVALID_CONTENT_LENGTH: /^content-length:.*\t ?\r$/im,
  HPE_INVALID_TRANSFER_ENCODING: /^transfer-encoding:.*\t ?\r$/im,
}

type Message = Omit<Read, 'rest'>
type Both = { ours: Read; nodes: Message | string }

async function compare(
  t: Test,
  messages: readonly string[],
  read: (bytes: string) => Promise<Both | undefined>,
) {
  let taken = 0
  const property = fc.asyncProperty(mutantsOf(messages), async (bytes) => {
    const both = await read(bytes)
    if (both === undefined) return
    taken += 1
    const { rest: _, ...ours } = both.ours
    if (typeof both.nodes === 'string' && refusals[both.nodes]?.test(bytes)) return
    t.strictSame(both.nodes, ours, JSON.stringify(bytes))
  })
  await fc.assert(property, { numRuns, seed, examples: messages.map((bytes) => [bytes]) })
  t.comment(`HTTP1_SEED=${seed}: of ${numRuns}, ${taken} were taken`)
}

/** Then it says less than other proxies take (`messages.test.ts`), but more than Node. */
function wasMended(response: string): boolean {
  const end = response.search(/\n\r?\n/) + 1
  return response[end] === '\n' || !parseResponseHead(response.slice(0, end)).isExact
}

function isWhole(read: Read | string): read is Read {
  return typeof read !== 'string' && read.rawTrailers !== undefined
}

/** With one byte to three more, less, or another. */
function mutantsOf(messages: readonly string[]): fc.Arbitrary<string> {
  const bytes = [...'\0\t\n\r\x0b \x7f\x80\xa0\xff:;,/"+-0f\\AaZ%#?=']
  const change = fc.record({
    at: fc.nat(200),
    cut: fc.nat(1),
    byte: fc.constantFrom('', ...bytes),
  })
  const changes = fc.array(change, { minLength: 1, maxLength: 3 })
  return fc.tuple(fc.constantFrom(...messages), changes).map(([message, all]) =>
    all.reduce((text, { at, cut, byte }) => {
      const place = at % (text.length + 1)
      return text.slice(0, place) + byte + text.slice(place + cut)
    }, message),
  )
}

async function nodesRequest(bytes: string): Promise<Message | string> {
  const server = http.createServer({ requireHostHeader: false })
  server.maxHeadersCount = 0
  let read: Reading | undefined
  let error: string | undefined
  const take = (request: IncomingMessage) => {
    const { method, url, httpVersion } = request
    read ??= reading(request, `${method} ${url} ${httpVersion}`)
  }
  server.on('request', take).on('checkContinue', take).on('checkExpectation', take)
  server.on('upgrade', take).on('connect', take)
  server.on('clientError', ({ code = 'error' }: NodeJS.ErrnoException) => (error ??= code))
  const [near, far] = duplexPair()
  server.emit('connection', far)
  await feed(near, bytes)
  return read?.isWhole ? read.message : (error ?? 'nothing')
}

async function nodesResponse(bytes: string): Promise<Message | string> {
  const [near, far] = duplexPair()
  let read: Reading | undefined
  let error: string | undefined
  const request = http.request({ createConnection: () => near, maxHeaderSize: 1_000 })
  request.on('response', (response) => {
    const { httpVersion, statusCode, statusMessage } = response
    read = reading(response, `${httpVersion} ${statusCode} ${statusMessage}`)
  })
  request.on('error', ({ code = 'error' }: NodeJS.ErrnoException) => (error ??= code))
  request.end()
  far.resume()
  await feed(far, bytes)
  return read?.isWhole ? read.message : (error ?? 'nothing')
}

interface Reading {
  message: Message
  isWhole: boolean
}

function reading(from: IncomingMessage, start: string): Reading {
  const message: Message = { start, rawHeaders: from.rawHeaders, body: '', rawTrailers: undefined }
  const read = { message, isWhole: false }
  from.on('data', (piece: Buffer) => (message.body += piece.toString('latin1')))
  from.on('error', () => {})
  from.on('end', () => {
    message.rawTrailers = from.rawTrailers
    read.isWhole = true
  })
  return read
}

async function feed(stream: Duplex, bytes: string): Promise<void> {
  stream.on('error', () => {}).resume()
  stream.end(bytes, 'latin1')
  await settle(4)
  stream.destroy()
  await settle(1)
}
