import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer, connect as dial, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { listen } from '../../src/net/listen.ts'
import { VisitStream } from '../../src/server/edge/visits/visit-stream.ts'
import type { Upstream } from '../../src/server/upstream.ts'
import { settle, until } from '../mux/turns.ts'
import { duplexPair } from '../support/duplex-pair.ts'
import { Client, FakeUpstream, scripted, startEdge, startOrigin } from './edge-fixture.ts'

/*
 * What a visitor's connection with HTTP/1.1 and a target's go through: in whatever pieces it comes,
 * whoever leaves first, and whatever comes behind what was asked for.
 */

type Edge = Awaited<ReturnType<typeof startEdge>>

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

t.test('requests are the same in whatever pieces they come', async (t) => {
  const heard: string[] = []
  const origin = createHttpServer(async (request, response) => {
    let body = ''
    for await (const piece of request) body += piece
    heard.push([request.method, request.url, body, ...request.rawTrailers].join(' '))
    response.end('ok')
  })
  await listen(origin, { port: 0, host: '127.0.0.1' })
  t.teardown(() => origin.close().closeAllConnections())
  const edge = await startEdge(t)
  edge.route('app.test', new FakeUpstream(origin))
  const host = 'Host: app.test\r\n'
  const chunked = 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n'
  const requests = [
    `\r\n\r\nPUT /1 HTTP/1.1\r\n${host}Content-Length: 2\r\n\r\nab\r\n`,
    `PUT /2 HTTP/1.1\r\n${host}${chunked}`,
    `GET /3 HTTP/1.1\r\n${host}Connection: close\r\n\r\n`,
  ].join('')
  for (let at = 1; at < requests.length; at += 1) {
    const { visitor } = await visitPlainly(t, edge)
    visitor.socket.write(requests.slice(0, at))
    await settle(3)
    visitor.socket.write(requests.slice(at))
    const answers = (await visitor.rest()).match(/HTTP\/1\.1 \d+/g)
    t.strictSame(answers, Array(3).fill('HTTP/1.1 200'), `cut at ${at}`)
    t.strictSame(heard.splice(0), ['PUT /1 ab', 'PUT /2 abc A b', 'GET /3 '])
  }
})

t.test('a hint that comes with the switch stays before it', async (t) => {
  const origin = await startOrigin(
    t,
    scripted(
      () =>
        'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nhello',
    ),
  )
  const edge = await startEdge(t)
  edge.route('app.test', new FakeUpstream(origin))
  const visitor = await edge.visit('app.test')
  visitor.get('/', 'app.test', 'Connection: Upgrade', 'Upgrade: x')
  t.match(
    await visitor.have('hello'),
    /^HTTP\/1\.1 103 [\s\S]*\nHTTP\/1\.1 101 [\s\S]*\r\n\r\nhello$/,
  )
})

t.test('a visitor that does not read pages of errors is cut off, too', async (t) => {
  const edge = await startEdge(t, {}, { idleMs: 1_000 })
  const unreachable = { id: 'away', open: gone } as unknown as Upstream
  edge.route('app.test', unreachable)
  const { visitor, accepted } = await visitPlainly(t, edge)
  visitor.socket.pause()
  for (let i = 0; i < 1_000; i += 1) visitor.get('/', 'app.test')
  await until('it reads no more', () => accepted.writableLength > 0)
  await until('the end', () => accepted.destroyed)
  await until('all lines', () => edge.telemetry.total.openRequests === 0)
})

t.test('a visitor that says no more and does not read is not waited for', async (t) => {
  const big = 'x'.repeat(4 * 1024 * 1024)
  const origin = await startOrigin(
    t,
    scripted(() => `HTTP/1.1 200 OK\r\nContent-Length: ${big.length}\r\n\r\n${big}`),
  )
  const edge = await startEdge(t)
  edge.route('app.test', new FakeUpstream(origin))
  const { visitor, accepted } = await visitPlainly(t, edge)
  visitor.socket.pause()
  visitor.get('/', 'app.test')
  await until('it reads no more', () => accepted.writableNeedDrain)
  visitor.socket.end()
  await until('the end', () => accepted.destroyed)
  await until('its line', () => edge.telemetry.total.openRequests === 0)
})

t.test('a page of our own that has read an upload ends whole', async (t) => {
  const edge = await startEdge(
    t,
    {},
    {},
    {
      ownPages: (visit, { onDone }) => {
        const stream = new VisitStream(visit)
        stream.once('close', () => onDone(visit.isAnswered ? 'whole' : 'aborted'))
        let body = ''
        stream.on('data', (piece) => (body += piece))
        stream.on('end', () => {
          visit.respond({ status: 200, lines: [] })
          stream.end(`read ${body}`)
        })
      },
    },
  )
  const visitor = await edge.visit('gateway.test')
  for (const nth of [1, 2]) {
    visitor.say('POST / HTTP/1.1', 'Host: gateway.test', 'Content-Length: 3')
    visitor.socket.write('abc')
    await visitor.have(new RegExp(`(?:read abc[^]*){${nth}}`))
    await until('its line', () => edge.log.count('request') === nth)
    const { outcome, bytesOut } = edge.log.lines.at(-1)?.fields ?? {}
    t.equal(outcome, undefined, 'whole')
    t.ok(Number(bytesOut) > 100, `${bytesOut}`)
  }
})

t.test('a target that answers early and reads no more keeps no stream', async (t) => {
  const edge = await startEdge(t)
  const [near, far] = duplexPair({ highWaterMark: 1 })
  far.on('error', () => {})
  edge.route('app.test', { id: 'fake', open: () => near } as unknown as Upstream)
  const visitor = await edge.visit('app.test')
  visitor.say('PUT / HTTP/1.1', 'Host: app.test', 'Content-Length: 10000')
  visitor.socket.write('x'.repeat(10_000))
  await until('it waits for the target', () => near.writableLength >= 10_000)
  await settle()
  far.write('HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno')
  near.resume()
  await visitor.have(/no$/)
  await until('the end of the stream', () => near.destroyed)
})

t.test('what comes behind an answer is nobody’s, also when the visitor is slow', async (t) => {
  const big = 'x'.repeat(400_000)
  const stray = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
  const origin = await startOrigin(
    t,
    scripted((head) =>
      head.startsWith('GET /big')
        ? `HTTP/1.1 200 OK\r\nContent-Length: ${big.length}\r\n\r\n${big}${stray}`
        : ok,
    ),
  )
  const edge = await startEdge(t)
  edge.route('app.test', new FakeUpstream(origin))
  for (let i = 0; i < 10; i += 1) {
    const { visitor } = await visitPlainly(t, edge)
    visitor.socket.pause()
    visitor.get('/big', 'app.test')
    visitor.get('/next', 'app.test', 'Connection: close')
    await settle(5)
    visitor.socket.resume()
    t.notMatch(await visitor.rest(), 'evil')
    t.match(visitor.text, /ok$/)
  }
})

function gone(): Duplex {
  return new Duplex({ read() {}, write() {} }).destroy()
}

/** A visitor without TLS, behind a buffer that is soon full. */
async function visitPlainly(t: Test, edge: Edge): Promise<{ visitor: Client; accepted: Socket }> {
  const path = join(tmpdir(), `gotunnel-${randomUUID()}`)
  const server = createServer({ allowHalfOpen: true }).listen(path)
  await once(server, 'listening')
  const socket = dial(path)
  const visitor = new Client(socket)
  t.teardown(() => socket.destroy())
  const [accepted] = (await once(server, 'connection')) as [Socket]
  server.close()
  const from = { remoteAddress: '127.0.0.1', remotePort: 1, localAddress: '::', localPort: 443 }
  edge.https.accept(accepted as TLSSocket, 'app.test', from)
  return { visitor, accepted }
}
