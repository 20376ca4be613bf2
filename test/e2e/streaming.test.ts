import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type ClientHttp2Session, connect } from 'node:http2'
import type { Duplex, Readable, Writable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import t, { type Test } from 'tap'
import { WebSocketServer } from 'ws'
import { startAgent, startGateway } from '../support/programs.ts'
import { lacksNewerNode, newerNode } from '../support/tools.js'
import { listen } from './targets.ts'
import { ask as askHttp1 } from './visitor.ts'

// Streams in lock-step: each end sends its next piece when it has got the other's last. Whatever is held
// back on the way, for more to come, stops them.

/** What the target has of uploads; it answers with what the test emits. */
const target = new EventEmitter()

const site = createServer((request, response) => {
  if (request.url === '/converse') {
    response.writeHead(200, { 'content-type': 'text/plain' })
    response.flushHeaders()
    request.on('data', (piece) => response.write(`${piece}!`))
    request.on('end', () => response.end('bye'))
  } else if (request.url === '/trailers') void answerTrailers(request, response)
  else answerPieces(request, response)
})
const webSockets = new WebSocketServer({ noServer: true })
site.on('upgrade', (request, socket, head) => {
  if (request.headers.upgrade === 'lines/1') {
    const lines = ['Upgrade: lines/1', 'Connection: Upgrade', 'X-Kept: yes']
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\nwelcome`)
    socket.pipe(socket)
    return
  }
  webSockets.handleUpgrade(request, socket, head, (webSocket) => {
    webSocket.on('message', (data, isBinary) => webSocket.send(data, { binary: isBinary }))
  })
})

/** Piece by piece, as the test asks for the next. */
function answerPieces({ url = '' }: IncomingMessage, response: ServerResponse): void {
  const type = url.slice(1)
  const isByLength = type === 'text/plain'
  response.writeHead(200, { 'content-type': type, ...(isByLength && { 'content-length': 100 }) })
  response.flushHeaders()
  const send = (piece: string) => response.write(piece)
  target.on('piece', send)
  target.once('end', () => {
    target.off('piece', send)
    response.end()
  })
}

async function answerTrailers(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await text(request)
  response.writeHead(200, { trailer: 'x-sum' })
  response.write(body)
  response.addTrailers({ 'x-sum': `${request.trailers['x-sum']} seen` })
  response.end()
}

t.test('through a gateway', { skip: lacksNewerNode() }, async (t) => {
  const gateway = await startGateway(t, { node: newerNode })
  const offer = { hostname: 'app.localhost', target: await listen(t, site) }
  const agent = await startAgent(t, gateway, [offer])

  const session = await http2Session(t)
  for (const [version, ask] of [
    ['1.1', http1],
    ['2', http2],
  ] as const) {
    t.test(`over HTTP/${version}`, async (t) => {
      for (const type of ['text/event-stream', 'application/x-ndjson', 'text/plain']) {
        t.test(`pieces of ${type} arrive one by one`, async (t) => {
          const { request, response } = ask(t, `/${type}`)
          request.end()
          const pieces = reader(await response)
          const sent = Array.from({ length: 50 }, (_, count) => `${count % 10}\n`)
          const received: unknown[] = []
          for (const piece of sent) {
            target.emit('piece', piece)
            received.push(await pieces())
          }
          t.strictSame(received, sent)
          target.emit('end')
          t.equal(await pieces(), undefined)
        })
      }

      t.test('so do those of an upload, while it is answered', async (t) => {
        const { request, response } = ask(t, '/converse', 'POST')
        request.write('hello')
        const pieces = reader(await response)
        t.equal(await pieces(), 'hello!')
        for (const piece of ['a', 'few', 'words', 'more']) {
          request.write(piece)
          t.equal(await pieces(), `${piece}!`)
        }
        request.end()
        t.equal(await pieces(), 'bye')
        t.equal(await pieces(), undefined)
      })

      t.test('trailers go both ways', async (t) => {
        const { request, response, trailers } = ask(t, '/trailers', 'POST', { 'x-sum': '42' })
        request.end('with trailers')
        const body = await buffer(await response)
        t.equal(String(body), 'with trailers')
        t.match(trailers(), { 'x-sum': '42 seen' })
      })
    })
  }

  t.test('a WebSocket is one stream of an HTTP/2 connection (RFC 8441)', async (t) => {
    const stream = session.request({
      ...{ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/socket' },
      ...{ ':authority': `app.localhost:${gateway.ports.public}`, 'sec-websocket-version': '13' },
    })
    t.match(await once(stream, 'response'), [{ ':status': 200 }])
    const take = taker(stream)
    for (const [opcode, payload] of [
      [1, Buffer.from('hello')],
      [2, Buffer.alloc(60_000, 'bytes')],
      [9, Buffer.from('there?')],
      [8, Buffer.from('\x0f\xa1enough', 'latin1')], // 4001
    ] as const) {
      stream.write(frame(opcode, payload, 'masked'))
      const answer = frame(opcode === 9 ? 10 : opcode, payload)
      t.ok((await take(answer.length)).equals(answer), `opcode ${opcode}`)
    }
    stream.end()
    t.equal((await take(1)).length, 0, 'the end')
    await gateway.program.waitFor('request', { path: '/socket', http: '2', status: 101 })
  })

  t.test('any protocol may be switched to', async (t) => {
    const headers = { connection: 'Upgrade', upgrade: 'lines/1' }
    const request = askHttp1(gateway, 'app.localhost', '/lines', { headers })
    request.end()
    const [answer, socket, head] = await once(request, 'upgrade')
    t.match(answer.headers, { upgrade: 'lines/1', 'x-kept': 'yes' })
    if (head.length > 0) socket.unshift(head)
    await expectLines(socket)

    const path = { ':path': '/lines', ':authority': `app.localhost:${gateway.ports.public}` }
    const connect = { ':method': 'CONNECT', ':protocol': 'lines/1', ...path }
    const stream = session.request(connect, { endStream: false })
    t.match(await once(stream, 'response'), [{ ':status': 200, 'x-kept': 'yes' }])
    await expectLines(stream)

    async function expectLines(both: Duplex): Promise<void> {
      const take = taker(both)
      t.equal(String(await take(7)), 'welcome')
      both.write('one\n')
      t.equal(String(await take(4)), 'one\n')
      both.end('last\n')
      t.equal(String(await take(100)), 'last\n', 'and the end')
    }
  })

  t.test('nothing of all this was worth a warning', { buffered: false }, async (t) => {
    for (const program of [gateway.program, agent]) {
      t.strictSame(program.warnings, [])
    }
  })

  interface Asked {
    readonly request: Writable
    readonly response: Promise<Readable>
    readonly trailers: () => NodeJS.Dict<string | string[]>
  }

  function http1(t: Test, path: string, method = 'GET', trailers?: Record<string, string>): Asked {
    const request = askHttp1(gateway, 'app.localhost', path, { method })
    t.teardown(() => request.destroy())
    if (trailers) {
      request.setHeader('trailer', Object.keys(trailers))
      request.addTrailers(trailers)
    }
    let answer: IncomingMessage | undefined
    const response = once(request, 'response').then(([each]) => {
      answer = each
      return each as IncomingMessage
    })
    return { request, response, trailers: () => answer?.trailers ?? {} }
  }

  function http2(t: Test, path: string, method = 'GET', sent?: Record<string, string>): Asked {
    const headers = { ':path': path, ':method': method }
    const authority = { ':authority': `app.localhost:${gateway.ports.public}` }
    const request = session.request(
      { ...headers, ...authority },
      { endStream: method === 'GET', waitForTrailers: sent !== undefined },
    )
    t.teardown(() => request.destroy())
    let trailers = {}
    request.on('wantTrailers', () => request.sendTrailers(sent ?? {}))
    request.on('trailers', (each) => (trailers = each))
    const response = once(request, 'response').then(() => request)
    return { request, response, trailers: () => trailers }
  }

  async function http2Session(t: Test): Promise<ClientHttp2Session> {
    const { ports, ca } = gateway
    const socket = connectTls({
      ...{ port: ports.public, host: '127.0.0.1', servername: 'app.localhost', ca },
      ALPNProtocols: ['h2'],
    })
    const session = connect('https://app.localhost', { createConnection: () => socket })
    t.teardown(() => session.destroy())
    await once(session, 'remoteSettings')
    t.equal(session.remoteSettings.enableConnectProtocol, true)
    return session
  }
})

/** RFC 6455 §5.2; with a mask that changes nothing. */
function frame(opcode: number, payload: Buffer, mask?: 'masked'): Buffer {
  const isShort = payload.length < 126
  const head = Buffer.from([0x80 | opcode, isShort ? payload.length : 126])
  if (mask) head[1] = (head[1] ?? 0) | 0x80
  const length = Buffer.alloc(isShort ? 0 : 2)
  if (!isShort) length.writeUInt16BE(payload.length)
  return Buffer.concat([head, length, Buffer.alloc(mask ? 4 : 0), payload])
}

/** Gives the next so many bytes; fewer at the end. */
function taker(stream: Readable): (length: number) => Promise<Buffer> {
  const pieces = stream[Symbol.asyncIterator]()
  let held = Buffer.alloc(0)
  return async (length) => {
    while (held.length < length) {
      const { value, done } = await pieces.next()
      if (done) break
      held = Buffer.concat([held, value])
    }
    const taken = held.subarray(0, length)
    held = held.subarray(length)
    return taken
  }
}

/** Gives what comes next, as it comes; undefined at the end. */
function reader(stream: Readable): () => Promise<string | undefined> {
  const pieces = stream[Symbol.asyncIterator]()
  return async () => {
    const { value, done } = await pieces.next()
    return done ? undefined : String(value)
  }
}
