import { once } from 'node:events'
import {
  constants,
  createServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { listen } from '../../src/net/listen.ts'
import { until } from '../mux/turns.ts'
import { FakeUpstream, startEdge, startOrigin } from './edge-fixture.ts'
import { ask, http2Over } from './http2-client.ts'

t.test('a target that speaks HTTP/2', async (t) => {
  const { edge, session, seen, upstream } = await startWith(t, (stream, { ':path': path }) => {
    if (path === '/hints') stream.additionalHeaders({ ':status': 103, link: '</a>; rel=preload' })
    if (path === '/trailers') {
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '7' }))
      stream.end('abc')
    } else if (path === '/only-headers') {
      stream.respond({ ':status': 200, 'grpc-status': '5' }, { endStream: true })
    } else if (path === '/length') {
      stream.respond({ ':status': 200, 'content-length': 2 })
      stream.end('ok')
    } else {
      stream.respond({ ':status': 200, 'set-cookie': ['a=1', 'b=2'] })
      stream.pipe(stream)
    }
  })

  t.test('hears what an HTTP/1.1 visitor asks', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.get('/length', 'App.test:8443', 'Connection: close', 'TE: trailers', 'Cookie: a=b')
    t.match(
      await visitor.rest(),
      /^HTTP\/1\.1 200 OK\r\n[\s\S]*content-length: 2\r\n[\s\S]*\r\n\r\nok$/,
    )
    t.match(seen.pop(), {
      ':method': 'GET',
      ':path': '/length',
      ':scheme': 'http',
      ':authority': 'App.test:8443',
      te: 'trailers',
      cookie: 'a=b',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'https',
    })
  })

  t.test('and its body, and its trailers, both ways', async (t) => {
    const visitor = await edge.visit('app.test')
    const lines = ['Host: app.test', 'Connection: close', 'Transfer-Encoding: chunked']
    visitor.say('POST /echo HTTP/1.1', ...lines)
    visitor.socket.write('3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n')
    t.match(await visitor.rest(), /\r\n\r\n3\r\nabc\r\n0\r\n\r\n$/)
    const other = await edge.visit('app.test')
    other.get('/trailers', 'app.test', 'Connection: close')
    t.match(await other.rest(), /\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n$/)
  })

  t.test('hears what an HTTP/2 visitor asks', async (t) => {
    const whole = await ask(session, { ':method': 'POST', ':path': '/' }, 'hello')
    t.match(whole, { headers: { ':status': 200, 'set-cookie': ['a=1', 'b=2'] }, body: 'hello' })
    t.match(await ask(session, { ':path': '/trailers' }), {
      body: 'abc',
      trailers: { 'x-sum': '7' },
    })
    const only = session.request({ ':authority': 'app.test', ':path': '/only-headers' })
    const [headers, flags] = await once(only, 'response')
    t.equal(headers['grpc-status'], '5')
    t.equal(flags & constants.NGHTTP2_FLAG_END_STREAM, 1, 'and nothing follows')
    t.equal(await text(only), '')
    const { informed } = await ask(session, { ':path': '/hints' })
    t.match(informed, [{ ':status': 103, link: '</a>; rel=preload' }])
    const head = await ask(session, { ':path': '/length', ':method': 'HEAD' })
    t.match([head.headers['content-length'], head.body], ['2', ''])
  })

  t.test('both ways at once, as each speaks', async (t) => {
    const stream = session.request({ ':authority': 'app.test', ':method': 'POST', ':path': '/' })
    for (const word of ['one', 'two', 'three']) {
      stream.write(word)
      t.equal(String((await once(stream, 'data'))[0]), word)
    }
    stream.end()
    t.equal(await text(stream), '')
  })

  t.test('many requests over one stream', async (t) => {
    const answers = Array.from({ length: 10 }, (_, index) =>
      ask(session, { ':method': 'POST', ':path': '/' }, `${index}`),
    )
    const bodies = (await Promise.all(answers)).map(({ body }) => body)
    t.strictSame(bodies, [...'0123456789'])
    t.equal(upstream.opened.length, 1)
  })
})

t.test('what a visitor gives up, the target need not finish', async (t) => {
  const streams: ServerHttp2Stream[] = []
  const { edge, session, upstream } = await startWith(t, (stream) => {
    stream.respond({ ':status': 200 })
    stream.write('some')
    streams.push(stream)
  })
  const stream = session.request({ ':authority': 'app.test', ':path': '/' })
  stream.on('error', () => {})
  await once(stream, 'data')
  stream.close(constants.NGHTTP2_CANCEL)
  await until('it is cancelled', () => streams[0]?.rstCode === constants.NGHTTP2_CANCEL)
  const visitor = await edge.visit('app.test')
  visitor.get('/', 'app.test')
  await visitor.have('some')
  visitor.socket.destroy()
  await until('it is cancelled', () => streams[1]?.rstCode === constants.NGHTTP2_CANCEL)
  t.equal(upstream.opened.length, 1, 'and the session is kept')

  t.test('nor take the half of an upload for the whole', async (t) => {
    const upload = session.request({ ':authority': 'app.test', ':method': 'POST', ':path': '/' })
    upload.on('error', () => {})
    upload.write('half')
    await until('it has begun', () => streams.length === 3)
    const body = text(streams[2] as ServerHttp2Stream)
    body.catch(() => {})
    await until('it has half', () => (streams[2] as ServerHttp2Stream).readableFlowing !== null)
    upload.destroy(new Error('gone'))
    await until('it is cancelled', () => streams[2]?.rstCode === constants.NGHTTP2_CANCEL)
    t.equal(streams[2]?.aborted, true)
    await t.rejects(body)
  })
})

t.test('what a target breaks off is visibly broken', async (t) => {
  const how = new Map<string, (stream: ServerHttp2Stream) => void>([
    ['/reset', (stream) => stream.destroy(new Error('broken'))],
    ['/gone', () => sockets.at(-1)?.destroy()],
    ['/destroyed', (stream) => stream.session?.destroy()],
  ])
  const { edge, session, sockets } = await startWith(t, (stream, { ':path': path = '' }) => {
    stream.respond({ ':status': 200 })
    stream.write('half')
    setTimeout(() => how.get(path)?.(stream), 50)
  })
  for (const path of how.keys()) {
    await t.rejects(ask(session, { ':path': path }), { code: 'ERR_HTTP2_STREAM_ERROR' }, path)
    const visitor = await edge.visit('app.test')
    visitor.get(path, 'app.test')
    t.notMatch(await visitor.rest(), /\r\n0\r\n\r\n$/)
    t.equal(visitor.error?.code, 'ECONNRESET', path)
  }
})

t.test('a target that does not serve a request', async (t) => {
  let refused = 0
  let sessions = 0
  const { session, origin } = await startWith(t, (stream, { ':path': path }) => {
    if (path === '/refuse' && refused < 1) {
      refused += 1
      stream.close(constants.NGHTTP2_REFUSED_STREAM)
    } else if (path === '/never') stream.close(constants.NGHTTP2_REFUSED_STREAM)
    else stream.respond({ ':status': 200 }, { endStream: true })
  })
  origin.on('session', () => (sessions += 1))
  const status = async (headers: OutgoingHttpHeaders) =>
    (await ask(session, headers)).headers[':status']

  t.test('because it refuses the stream is asked again', async (t) => {
    t.equal(await status({ ':path': '/refuse', ':method': 'POST' }), 200)
    t.equal(refused, 1)
    t.equal(await status({ ':path': '/never' }), 502, 'but only once')
  })

  t.test('because it leaves is asked again, over a new stream', async (t) => {
    for (const each of origin.sessions) each.goaway()
    const before = sessions
    t.equal(await status({}), 200)
    t.equal(sessions, before + 1)
    for (const each of origin.sessions) each.destroy()
    t.equal(await status({}), 200)
  })
})

t.test('a target that is none', async (t) => {
  for (const [words, code] of [
    ['HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n', 'TARGET_BAD_RESPONSE'],
    ['', 'TARGET_UNREACHABLE'],
  ] as const) {
    const origin = await startOrigin(t, (socket) => {
      socket.once('data', () => socket.end(words))
    })
    const edge = await startEdge(t)
    edge.route('app.test', new FakeUpstream(origin), 'http', { protocol: 'h2c' })
    t.match(await edge.ask('app.test'), new RegExp(`^HTTP/1\\.1 502 [\\s\\S]*${code}`))
  }
})

t.test('an agent that has no stream to give', async (t) => {
  const edge = await startEdge(t)
  const gone = {
    id: 'gone',
    open: () => {
      const socket = connect({ port: 1, host: '127.0.0.1' }).on('error', () => {})
      return socket.destroy(Object.assign(new Error('gone'), { code: 'MUX_SESSION_CLOSED' }))
    },
  }
  edge.route('app.test', gone, 'http', { protocol: 'h2c' })
  t.match(await edge.ask('app.test'), /^HTTP\/1\.1 503 [\s\S]*AGENT_AWAY/)
})

t.test('sessions end', async (t) => {
  const { edge, session, upstream, sessions } = await startWith(t, (stream) => {
    stream.respond({ ':status': 200 }, { endStream: true })
  })

  t.test('with their route', async (t) => {
    await ask(session, {})
    edge.registry.release(upstream)
    await until('its end', () => sessions.every(({ destroyed }) => destroyed))
    edge.route('app.test', upstream, 'http', { protocol: 'h2c' })
    await ask(session, {})
    t.equal(upstream.opened.length, 2)
  })

  t.test('and with the gateway', async () => {
    edge.https.drain()
    await until('its end', () => sessions.every(({ destroyed }) => destroyed))
  })
})

/** An edge before an HTTP/2 origin without TLS, and an HTTP/2 session with the edge. */
async function startWith(
  t: Test,
  serve: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
) {
  const seen: IncomingHttpHeaders[] = []
  const sessions: ServerHttp2Session[] = []
  const sockets: Socket[] = []
  const server = createServer()
  server.on('connection', (socket) => sockets.push(socket))
  server.on('session', (each) => sessions.push(each))
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {})
    seen.push(headers)
    serve(stream, headers)
  })
  await listen(server, { port: 0, host: '127.0.0.1' })
  t.teardown(() => {
    for (const each of sessions) each.destroy()
    server.close()
  })
  const origin = { on: server.on.bind(server), sessions }
  const upstream = new FakeUpstream(server)
  const edge = await startEdge(t)
  edge.route('app.test', upstream, 'http', { protocol: 'h2c' })
  const { socket } = await edge.visit('app.test', { ALPNProtocols: ['h2'] })
  const session = await http2Over(t, socket)
  return { edge, session, upstream, seen, sessions, sockets, origin }
}
