import { once } from 'node:events'
import { constants, type OutgoingHttpHeaders } from 'node:http2'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { until } from '../mux/turns.ts'
import { FakeUpstream, scripted, startEdge, startOrigin } from './edge-fixture.ts'
import { ask, http2Over } from './http2-client.ts'

t.test('ALPN: the best of what a visitor offers', async (t) => {
  const { edge } = await startWith(t, () => 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  for (const [offered, chosen] of [
    [['http/1.1', 'h2'], 'h2'],
    [['http/1.1'], 'http/1.1'],
    [['http/1.0', 'http/1.1'], 'http/1.1'],
  ] as const) {
    const { socket } = await edge.visit('app.test', { ALPNProtocols: [...offered] })
    t.equal(socket.alpnProtocol, chosen)
  }
})

t.test('a request reaches its target in the form of HTTP/1.1', async (t) => {
  const heads: string[] = []
  const { ask } = await startWith(t, (head) => {
    heads.push(head)
    return 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
  })

  t.test('with its host first and its cookies in one line', async (t) => {
    const { headers, body } = await ask({
      ':path': '/a?b=c',
      'x-one': ['1', '2'],
      cookie: ['a=1', 'b=2'],
      te: 'trailers',
      'x-forwarded-for': '6.6.6.6',
    })
    t.equal(headers[':status'], 200)
    t.equal(body, 'ok')
    const lines = heads.pop()?.split('\r\n') ?? []
    t.strictSame(lines.slice(0, 2), ['GET /a?b=c HTTP/1.1', 'Host: app.test'])
    for (const line of ['x-one: 1', 'x-one: 2', 'cookie: a=1; b=2', 'TE: trailers']) {
      t.ok(lines.includes(line), line)
    }
    t.notMatch(lines.join('\n'), '6.6.6.6')
    t.notMatch(lines.join('\n'), /transfer-encoding|content-length/i)
  })

  t.test('many at once on one connection', async (t) => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask({})))
    t.strictSame(new Set(answers.map(({ body }) => body)), new Set(['ok']))
    heads.length = 0
  })

  t.test('or not at all', async (t) => {
    const cases: [name: string, headers: OutgoingHttpHeaders, status: number | 'reset'][] = [
      ['a Host that differs', { host: 'other.test' }, 400],
      ['another name', { ':authority': 'other.test' }, 421],
      ['no name', { ':authority': 'a b' }, 'reset'],
      ['another scheme', { ':scheme': 'http' }, 400],
      ['a path that is a URL', { ':path': 'https://app.test/' }, 'reset'],
      ['a path that is none', { ':path': 'a' }, 'reset'],
      ['a path with a space', { ':path': '/a b' }, 'reset'],
      ['a path with a fragment', { ':path': '/a#b' }, 400],
      ['CONNECT', { ':method': 'CONNECT', ':path': undefined, ':scheme': undefined }, 405],
      ['too many lines', Object.fromEntries(lines(101)), 431],
    ]
    for (const [name, headers, status] of cases) {
      // Of some of these node:http2 resets the stream, and we do not hear of it.
      const answer = await ask(headers).catch(() => undefined)
      t.equal(answer?.headers[':status'] ?? 'reset', status, name)
    }
    t.strictSame(heads, [])
    const same = await ask({ host: 'app.test' })
    t.equal(same.headers[':status'], 200, 'a Host that says the same is fine')
    t.equal(heads.pop()?.match(/^host:/gim)?.length, 1)
  })

  t.test('a header that is much too long ends the stream', async (t) => {
    await t.rejects(ask(Object.fromEntries(lines(90, 'x'.repeat(1_000)))), {
      code: 'ERR_HTTP2_STREAM_ERROR',
    })
    t.strictSame(heads, [])
  })
})

t.test('a response reaches its visitor', async (t) => {
  const responses = new Map<string, string>()
  const { ask, session } = await startWith(t, (head, socket) => {
    const path = head.split(' ')[1] ?? ''
    if (!path.startsWith('/close')) return responses.get(path)
    socket.end(responses.get(path) ?? '', 'latin1')
    return undefined
  })
  const get = (path: string, response: string, headers: OutgoingHttpHeaders = {}) => {
    responses.set(path, response)
    return ask({ ':path': path, ...headers })
  }

  t.test('without the lines of its connection, duplicates apart', async (t) => {
    const { headers, body } = await get(
      '/lines',
      'HTTP/1.1 299 Odd\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX: \xe9\r\nX: 2\r\nKeep-Alive: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Content-Type-Options: nosniff\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 2\r\n\r\nok',
    )
    t.match(headers, {
      ':status': 299,
      'set-cookie': ['a=1', 'b=2'],
      x: '\xe9, 2',
      'x-content-type-options': 'nosniff',
      'content-length': '2',
    })
    t.notOk('keep-alive' in headers || 'connection' in headers || 'x-hop' in headers)
    t.equal(body, 'ok')
  })

  t.test('to HEAD, with the length and without a body', async (t) => {
    const response = 'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n'
    const { headers, body } = await get('/head', response, { ':method': 'HEAD' })
    t.match([headers['content-length'], body], ['1234', ''])
  })

  for (const status of ['204 No Content', '304 Not Modified']) {
    t.test(`${status}, without a body`, async (t) => {
      const { headers, body } = await get('/none', `HTTP/1.1 ${status}\r\nETag: "x"\r\n\r\n`)
      t.match([headers[':status'], headers.etag, body], [Number(status.slice(0, 3)), '"x"', ''])
    })
  }

  t.test('with its trailers', async (t) => {
    const { body, trailers } = await get(
      '/trailers',
      'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\nSet-Cookie: a=b\r\n\r\n',
    )
    t.equal(body, 'abc')
    t.strictSame(Object.entries(trailers ?? {}), [['x-sum', '7']])
  })

  t.test('in chunks, without trailers', async (t) => {
    const { body, trailers } = await get(
      '/chunks',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    )
    t.match([body, trailers], ['abc', undefined])
  })

  t.test('which ends with the connection to the target', async (t) => {
    t.equal((await get('/close', 'HTTP/1.1 200 OK\r\n\r\nabc')).body, 'abc')
  })

  t.test('after a 103', async (t) => {
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'
    const { headers, informed } = await get(
      '/hints',
      `${hints}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`,
    )
    t.equal(headers[':status'], 200)
    t.match(informed, [{ ':status': 103, link: '</a.css>; rel=preload' }])
  })

  t.test('broken off, where the target breaks off; its connection goes on', async (t) => {
    for (const response of [
      'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
    ]) {
      await t.rejects(get('/close', response), { message: /NGHTTP2_INTERNAL_ERROR/ })
    }
    t.equal(session.destroyed, false)
  })

  t.test('502 where there is none', async (t) => {
    const { headers, body } = await get('/close', '')
    t.match([headers[':status'], headers['gotunnel-error']], [502, 'TARGET_UNREACHABLE'])
    t.match(body, 'without an answer')
  })
})

t.test('an upload', async (t) => {
  let origin: Socket | undefined
  let heard = ''
  const { session, ask } = await startServed(t, (socket) => {
    heard = ''
    origin = socket
    socket.on('data', (chunk) => (heard += chunk.toString('latin1')))
    socket.once('data', () => {
      if (heard.startsWith('POST /refuse')) socket.write(refusal)
      if (heard.startsWith('POST /expect')) socket.write('HTTP/1.1 100 Continue\r\n\r\n')
    })
  })
  const refusal = 'HTTP/1.1 413 Payload Too Large\r\nContent-Length: 2\r\n\r\nno'
  const answer = (body: string) =>
    origin?.write(
      `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )

  t.test('of unknown length goes in chunks, with trailers', async (t) => {
    const stream = session.request(post('/'), { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '7' }))
    stream.write('abc')
    await until('the first', () => heard.endsWith('3\r\nabc\r\n'))
    stream.end('def')
    await until('the last', () => heard.endsWith('0\r\nx-sum: 7\r\n\r\n'))
    t.match(heard, '\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\nx-sum: 7\r\n\r\n')
    answer('thanks')
    t.equal(await text(stream), 'thanks')
  })

  t.test('is awaited where the visitor asks first', async (t) => {
    const stream = session.request({ ...post('/expect'), expect: '100-continue' })
    await once(stream, 'continue')
    stream.end('body')
    await until('the body', () => heard.endsWith('0\r\n\r\n'))
    answer('ok')
    t.equal(await text(stream), 'ok')
  })

  t.test('may be answered before it is complete', async (t) => {
    const stream = session.request(post('/refuse'))
    stream.write('some')
    const [headers] = await once(stream, 'response')
    t.equal(headers[':status'], 413)
    t.equal(await text(stream), 'no')
    if (!stream.closed) await once(stream, 'close')
    t.equal(stream.rstCode, constants.NGHTTP2_NO_ERROR)
  })

  t.test('that is given up ends at the target too', async () => {
    const stream = session.request(post('/'))
    stream.on('error', () => {})
    stream.write('some')
    await until('the target has some', () => heard.includes('some'))
    const gone = origin as Socket
    stream.close(constants.NGHTTP2_CANCEL)
    await until('its end', () => gone.destroyed || gone.readableEnded)
  })

  t.test('whose length is not what was said is refused', async (t) => {
    const short = ask({ ...post('/'), 'content-length': 10 }, 'short')
    await t.rejects(short, { message: /PROTOCOL_ERROR/ })
  })
})

t.test('extended CONNECT is an Upgrade at the target', async (t) => {
  const heads: string[] = []
  const { session, edge } = await startWith(t, (head, socket) => {
    heads.push(head)
    if (head.includes('/no')) {
      return 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'
    }
    socket.removeAllListeners('data')
    socket.on('data', (chunk) => socket.write(chunk))
    return 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\nhi '
  })
  if (!session.remoteSettings.enableConnectProtocol) await once(session, 'remoteSettings')
  const open = (path: string) =>
    session.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': path,
      ':scheme': 'https',
      ':authority': 'app.test',
      'sec-websocket-version': '13',
    })

  t.test('agreed to with 200; then bytes both ways, and ends', async (t) => {
    const stream = open('/chat')
    const [headers] = await once(stream, 'response')
    t.match(headers, { ':status': 200, 'sec-websocket-protocol': 'chat' })
    t.notOk('sec-websocket-accept' in headers || 'upgrade' in headers)
    stream.end('there')
    t.equal(await text(stream), 'hi there')
    const head = heads.pop() ?? ''
    t.match(head, /^GET \/chat HTTP\/1\.1\r\n/)
    t.match(head, /\r\nUpgrade: websocket$/)
    t.match(head, /\r\nSec-WebSocket-Key: [\w+/]{22}==\r\n/)
    await until('the line', () => edge.log.count('request') === 1)
  })

  t.test('refused as the target refuses', async (t) => {
    const stream = open('/no')
    const [headers] = await once(stream, 'response')
    t.equal(headers[':status'], 403)
    stream.end()
    t.equal(await text(stream), 'no')
  })
})

t.test('a client that floods is sent away', async (t) => {
  const start = () => startWith(t, () => undefined)

  t.test('with streams that it resets at once', async (t) => {
    const { session, upstream } = await start()
    for (let count = 0; count < 500 && !session.closed; count += 1) {
      const stream = session.request({ ':authority': 'app.test', ':path': '/' })
      stream.on('error', () => {})
      await new Promise(setImmediate) // or it would not be sent at all
      stream.close(constants.NGHTTP2_CANCEL)
    }
    await until('its end', () => session.destroyed)
    t.ok(upstream.opened.length <= 201, `${upstream.opened.length} streams to the target`)
  })

  t.test('with pings', async () => {
    const { session } = await start()
    for (let count = 0; count < 500 && !session.destroyed; count += 1) {
      session.ping(() => {})
      await new Promise(setImmediate)
    }
    await until('its end', () => session.destroyed)
  })

  t.test('with settings', async () => {
    const { session } = await start()
    for (let count = 0; count < 500 && !session.destroyed; count += 1) {
      session.settings({ initialWindowSize: 65_535 + count }, () => {})
      await new Promise(setImmediate)
    }
    await until('its end', () => session.destroyed)
  })

  t.test('with a header without end (CONTINUATION)', async (t) => {
    const { edge } = await startWith(t, () => undefined)
    const { socket } = await edge.visit('app.test', { ALPNProtocols: ['h2'] })
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    socket.write(frame(4, 0, 0, Buffer.alloc(0)))
    socket.write(frame(1, 0, 1, Buffer.from('828487', 'hex'))) // no END_HEADERS
    const more = frame(9, 0, 1, Buffer.concat([Buffer.from('00017801', 'hex'), Buffer.from('y')]))
    let sent = 0
    while (!socket.destroyed && sent < 10_000) {
      socket.write(more)
      sent += 1
      if (sent % 10 === 0) await new Promise(setImmediate)
    }
    if (!socket.closed) await once(socket, 'close').catch(() => {})
    t.ok(sent < 10_000, `after ${sent} frames`)
  })

  t.test('with more streams than may be at once', async (t) => {
    const { session, upstream } = await start()
    const answers: Promise<unknown>[] = []
    session.on('remoteSettings', () => {})
    const streams = Array.from({ length: 30 }, () => session.request({ ':authority': 'app.test' }))
    for (const stream of streams) answers.push(once(stream, 'close').catch(() => {}))
    await until('10 of them', () => upstream.opened.length === 10)
    t.equal(session.remoteSettings.maxConcurrentStreams, 10)
    session.destroy()
    await Promise.all(answers)
    t.equal(upstream.opened.length, 10)
  })
})

t.test('draining lets what runs end, and says that no more is taken', async (t) => {
  let origin: Socket | undefined
  const { session, edge } = await startWith(t, (_head, socket) => {
    origin = socket
    return undefined
  })
  const stream = session.request({ ':authority': 'app.test', ':path': '/' })
  await until('the request is there', () => origin !== undefined)
  const goaway = once(session, 'goaway')
  edge.https.drain()
  t.equal((await goaway)[0], constants.NGHTTP2_NO_ERROR)
  origin?.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast')
  t.equal(await text(stream), 'last')
  if (!session.closed) await once(session, 'close')
  await until('no connection is left', () => edge.connections.openCount === 0)
})

t.test('who ends the connection has left, whatever is still to be answered', async (t) => {
  const edge = await startEdge(t)
  const upstream = new FakeUpstream(await startOrigin(t, (socket) => socket.resume()))
  edge.route('app.test', upstream)
  const { socket } = await edge.visit('app.test', { ALPNProtocols: ['h2'] })
  socket.allowHalfOpen = true
  const session = await http2Over(t, socket)
  session.request({ ':authority': 'app.test', ':path': '/' }).on('error', () => {})
  await until('the request is there', () => upstream.streams.length === 1)
  socket.end() // without GOAWAY, as a process ends that is killed
  await until('no connection is left', () => edge.connections.openCount === 0)
  await until('its stream is gone', () => upstream.streams.every((each) => each.destroyed))
})

t.test('when nothing moves for too long', async (t) => {
  const timeouts = { idleMs: 200, headerMs: 200, responseMs: 200 }
  const { session, edge, upstream } = await startWith(t, () => undefined, timeouts)

  t.test('the target is to blame for a missing response: 504', async (t) => {
    const stream = session.request({ ':authority': 'app.test', ':path': '/' })
    const [headers] = await once(stream, 'response')
    t.match(headers, { ':status': 504, 'gotunnel-error': 'TARGET_TIMEOUT' })
    stream.resume()
    await until('its stream is gone', () => upstream.streams.every((each) => each.destroyed))
  })

  t.test('the visitor for an upload that does not arrive: 408', async (t) => {
    const stream = session.request(post('/'))
    stream.write('some')
    const [headers] = await once(stream, 'response')
    t.match(headers, { ':status': 408, 'gotunnel-error': 'REQUEST_TIMEOUT' })
    stream.resume()
  })

  t.test('a connection without requests is closed', async () => {
    if (!session.closed) await once(session, 'close')
  })

  t.test('and one that says nothing at all', async () => {
    const { socket } = await edge.visit('app.test', { ALPNProtocols: ['h2'] })
    socket.resume()
    await once(socket, 'close')
  })
})

t.test(
  'a visitor that takes less than the window is cut off after one time of silence',
  async (t) => {
    const timeouts = { idleMs: 500 }
    const { session, edge } = await startWith(
      t,
      (_head, socket) => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n${'x'.repeat(100)}`)
        return undefined
      },
      timeouts,
    )
    session.settings({ initialWindowSize: 10 })
    await once(session, 'localSettings')
    const stream = session.request({ ':authority': 'app.test' })
    stream.on('error', () => {})
    await once(stream, 'response') // and not read
    await until('the end', () => edge.log.lines.at(-1)?.fields.outcome === 'broken')
    const { durationMs } = edge.log.lines.at(-1)?.fields ?? {}
    t.ok(
      Number(durationMs) < 10 * timeouts.idleMs,
      'a target that is silent may be so for 30 of them',
    )
  },
)

t.test('what is left of a stream is not held up by another that nobody reads', async (t) => {
  const block = Buffer.alloc(1024 * 1024, 'x')
  const { session, ask } = await startWith(t, (head, socket) => {
    if (!head.includes('/large')) return 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${8 * block.length}\r\n\r\n`)
    for (let count = 0; count < 8; count += 1) socket.write(block)
    return undefined
  })
  const held = session.request({ ':authority': 'app.test', ':path': '/large' })
  await once(held, 'response') // and not read
  for (let count = 0; count < 5; count += 1) t.equal((await ask({})).body, 'ok')
  t.equal((await text(held)).length, 8 * block.length, 'and is whole in the end')
})

function post(path: string): OutgoingHttpHeaders {
  return { ':method': 'POST', ':authority': 'app.test', ':path': path }
}

function lines(count: number, value = 'y'): [string, string][] {
  return Array.from({ length: count }, (_, index) => [`x-${index}`, value])
}

/** RFC 9113 §4.1. */
function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** An edge with a route to a scripted origin, and an HTTP/2 session with it. */
function startWith(
  t: Test,
  answer: Parameters<typeof scripted>[0],
  timeouts?: Parameters<typeof startEdge>[2],
) {
  return startServed(t, scripted(answer), timeouts)
}

async function startServed(
  t: Test,
  serve: (socket: Socket) => void,
  timeouts?: Parameters<typeof startEdge>[2],
) {
  const edge = await startEdge(t, {}, timeouts)
  const upstream = new FakeUpstream(await startOrigin(t, serve))
  edge.route('app.test', upstream)
  const { socket } = await edge.visit('app.test', { ALPNProtocols: ['h2'] })
  const session = await http2Over(t, socket)
  return { edge, upstream, session, ask: ask.bind(undefined, session) }
}
