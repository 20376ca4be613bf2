import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import t, { type Test } from 'tap'
import { listen } from '../../src/net/listen.ts'
import { until } from '../mux/turns.ts'
import { FakeUpstream, scripted, startEdge, startOrigin } from './edge-fixture.ts'

t.test('a request reaches its target', async (t) => {
  const seen: string[] = []
  const { edge } = await startWith(t, (head) => {
    seen.push(head)
    return 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
  })

  t.test(
    'with its header lines in order, hop-by-hop ones and forged addresses left out',
    async (t) => {
      const visitor = await edge.visit('app.test')
      visitor.say(
        'GET /a?b=c HTTP/1.1',
        'hOsT: App.Test:8443',
        'X-One: 1',
        'Connection: close, X-Secret, X-Forwarded-For, Host',
        'X-Secret: x',
        'X-Forwarded-For: 6.6.6.6',
        'x_forwarded_for: 6.6.6.6',
        'X-Forwarded-Proto: http',
        'X-Forwarded-Prefix: /evil',
        'Forwarded: for=6.6.6.6',
        'X-Real-IP: 6.6.6.6',
        'X-Request-Id: given-1',
        'Proxy: http://6.6.6.6',
        'Proxy-Connection: keep-alive',
        'Keep-Alive: timeout=9',
        'TE: gzip, trailers',
        'Accept: a',
        'x-one: 2',
        'Accept: b',
      )
      t.match(await visitor.rest(), /^HTTP\/1\.1 200 OK\r\n/)
      t.same(seen.pop()?.split('\r\n'), [
        'GET /a?b=c HTTP/1.1',
        'hOsT: App.Test:8443',
        'X-One: 1',
        'Accept: a',
        'x-one: 2',
        'Accept: b',
        'X-Forwarded-For: 127.0.0.1',
        'X-Forwarded-Proto: https',
        'X-Forwarded-Host: App.Test:8443',
        'X-Forwarded-Port: 443',
        'Forwarded: for=127.0.0.1;host="App.Test:8443";proto=https',
        'X-Request-Id: given-1',
        'TE: trailers',
        'Connection: keep-alive',
      ])
    },
  )

  t.test('in origin form', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.get('https://app.test?x', 'app.test', 'Connection: close')
    await visitor.rest()
    t.match(seen.pop(), /^GET \/\?x HTTP\/1\.1\r\n/)
  })

  t.test('with a length that says so, where a body is usual and there is none', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.say('POST / HTTP/1.1', 'Host: app.test', 'Connection: close')
    await visitor.rest()
    const head = seen.pop() ?? ''
    t.match(head, /\r\nContent-Length: 0\r\n/)
    t.notMatch(head, /transfer-encoding/i)
  })

  t.test('and leaves an access line', async (t) => {
    edge.log.lines.length = 0
    await edge.ask('app.test')
    await until('the line', () => edge.log.count('request') === 1)
    t.match(edge.log.lines[0]?.fields, {
      host: 'app.test',
      method: 'GET',
      path: '/',
      status: 200,
      remoteAddress: '127.0.0.1',
      session: 'fake',
    })
  })
})

t.test('a response reaches its visitor', async (t) => {
  const responses = new Map<string, string>()
  const { edge } = await startWith(t, (head, socket) => {
    const path = head.split(' ')[1] ?? ''
    const response = responses.get(path) ?? ''
    if (path.startsWith('/close')) socket.end(response, 'latin1')
    return path.startsWith('/close') ? undefined : response
  })
  const get = async (path: string, response: string, method = 'GET', version = '1.1') => {
    responses.set(path, response)
    const visitor = await edge.visit('app.test')
    const lines = ['Host: app.test', 'X-Request-Id: r1', 'Connection: close']
    visitor.say(`${method} ${path} HTTP/${version}`, ...lines)
    return visitor.rest()
  }

  t.test('with its lines in order and duplicates apart', async (t) => {
    const text = await get(
      '/lines',
      'HTTP/1.1 299 Odd but Fine\r\nSet-Cookie: a=1\r\nDate: then\r\nX: \xe9\r\nset-cookie: b=2\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nok',
    )
    t.equal(
      text,
      'HTTP/1.1 299 Odd but Fine\r\nSet-Cookie: a=1\r\nDate: then\r\nX: \xe9\r\nset-cookie: b=2\r\nContent-Length: 2\r\nX-Request-Id: r1\r\nConnection: close\r\n\r\nok',
    )
  })

  t.test('to HEAD, with the length and without a body', async (t) => {
    const text = await get('/head', 'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n', 'HEAD')
    t.match(text, /Content-Length: 1234\r\n/)
    t.match(text, /\r\n\r\n$/)
  })

  for (const status of ['204 No Content', '304 Not Modified']) {
    t.test(`${status}, without a body`, async (t) => {
      const text = await get('/none', `HTTP/1.1 ${status}\r\nETag: "x"\r\n\r\n`)
      t.match(text, `HTTP/1.1 ${status}\r\nETag: "x"\r\n`)
      t.notMatch(text, /transfer-encoding/i)
      t.match(text, /\r\n\r\n$/)
    })
  }

  t.test('in chunks, with its trailers', async (t) => {
    const text = await get(
      '/trailers',
      'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\nSet-Cookie: a=b\r\n\r\n',
    )
    t.match(text, /\r\nTrailer: X-Sum\r\n/)
    t.match(text, /\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n$/)
  })

  t.test('which ends with the connection to the target: in chunks', async (t) => {
    const text = await get('/close', 'HTTP/1.1 200 OK\r\n\r\nabc')
    t.match(text, /\r\n\r\n3\r\nabc\r\n0\r\n\r\n$/)
  })

  t.test('to HTTP/1.0, without chunks', async (t) => {
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'
    const text = await get('/old', chunked, 'GET', '1.0')
    t.match(text, /\r\n\r\nabc$/)
  })

  t.test('after a 103, for those who understand it', async (t) => {
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'
    const response = `${hints}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`
    t.equal((await get('/hints', response)).indexOf(`${hints}HTTP/1.1 200 OK\r\n`), 0)
    t.equal((await get('/hints', response, 'GET', '1.0')).indexOf('HTTP/1.1 200 OK\r\n'), 0)
  })

  t.test('as a 502 where it is no HTTP', async (t) => {
    const cases: [name: string, response: string][] = [
      ['garbage', 'SSH-2.0-OpenSSH_9.6\r\n'],
      ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
      [
        'a transfer coding we cannot undo',
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
      ],
      ['a header without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`],
      [
        'a switch that was not asked for',
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
      ],
    ]
    for (const [name, response] of cases) {
      const text = await get('/bad', response)
      t.match(text, /^HTTP\/1\.1 502 Bad Gateway\r\n[\s\S]*Gotunnel-Error: TARGET_/, name)
    }
  })
})

t.test('a body streams both ways, no faster than it is read', async (t) => {
  const size = 64 * 1024 * 1024
  const block = randomBytes(64 * 1024)
  const whole = createHash('sha256')
  for (let hashed = 0; hashed < size; hashed += block.length) whole.update(block)
  const expected = whole.digest('hex')

  let sent = 0
  const origin = createServer((request, response) => {
    if (request.method === 'POST') {
      const hash = createHash('sha256')
      request.on('data', (chunk) => hash.update(chunk))
      request.on('end', () => response.end(hash.digest('hex')))
      return
    }
    const more = () => {
      while (sent < size) {
        sent += block.length
        if (!response.write(block)) return response.once('drain', more)
      }
      return response.end()
    }
    response.setHeader('Content-Length', size)
    more()
  })
  await listen(origin, { port: 0, host: '127.0.0.1' })
  t.teardown(() => {
    origin.closeAllConnections()
    origin.close()
  })
  const edge = await startEdge(t)
  edge.route('app.test', new FakeUpstream(origin))

  t.test('down', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.get('/', 'app.test', 'Connection: close')
    await visitor.have('\r\n\r\n')
    visitor.socket.pause()
    await unchanged(() => sent)
    t.ok(sent < 24 * 1024 * 1024, `${sent} bytes on their way`)
    const hash = createHash('sha256')
    hash.update(Buffer.from(visitor.text.slice(visitor.text.indexOf('\r\n\r\n') + 4), 'latin1'))
    visitor.socket.removeAllListeners('data')
    visitor.socket.on('data', (chunk) => hash.update(chunk)).resume()
    await visitor.rest()
    t.equal(hash.digest('hex'), expected)
  })

  t.test('up', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.say('POST / HTTP/1.1', 'Host: app.test', `Content-Length: ${size}`, 'Connection: close')
    for (let written = 0; written < size; written += block.length) {
      if (!visitor.socket.write(block)) await once(visitor.socket, 'drain')
    }
    t.match(await visitor.rest(), expected)
  })
})

t.test('streams to the target are used again', async (t) => {
  const { edge, upstream } = await startWith(t, (head) => {
    const path = head.split(' ')[1]
    const response = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
    const oldChunks =
      'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'
    if (path === '/twice') return response + response
    if (path === '/stray') return `${response}x`
    if (path === '/old-chunks') return oldChunks
    if (path === '/close') return response.replace('\r\n', '\r\nConnection: close\r\n')
    return response
  })
  const times = async (count: number, path = '/') => {
    for (let i = 0; i < count; i += 1) {
      const visitor = await edge.visit('app.test')
      visitor.get(path, 'app.test', 'Connection: close')
      t.match(await visitor.rest(), /^HTTP\/1\.1 200 OK[\s\S]*\r\nok(?:\r\n0\r\n\r\n)?$/)
    }
    return upstream.opened.length
  }

  t.equal(await times(3), 1, 'by requests of several visitors')
  const kept = upstream.streams[0] as Duplex
  await until('it is idle', () => kept.listenerCount('data') === 1)

  t.test('and gather no listeners by it', async (t) => {
    const count = () => kept.eventNames().reduce((sum, name) => sum + kept.listenerCount(name), 0)
    const before = count()
    await times(5)
    await until('it is idle', () => kept.listenerCount('data') === 1)
    t.equal(count(), before)
  })

  t.test('but not when a byte came that nobody asked for', async (t) => {
    upstream.push(0, 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
    await until('its end', () => kept.destroyed)
    t.equal(await times(2), 2)
    t.equal(await times(1, '/twice'), 2)
    t.equal(await times(1), 3)
    t.equal(await times(1, '/stray'), 3)
    t.equal(await times(1), 4)
  })

  t.test('nor when the target says that it closes, or does', async (t) => {
    const before = await times(1, '/close')
    t.equal(await times(1), before + 1)
    upstream.end(before)
    await until('its end', () => upstream.streams[before]?.destroyed === true)
    t.equal(await times(1), before + 2)
  })

  t.test('nor after chunks in HTTP/1.0, which some would have read otherwise', async (t) => {
    const before = await times(1, '/old-chunks')
    t.equal(await times(1), before + 1)
  })

  t.test('nor by another route of the same name', async (t) => {
    const before = await times(1)
    const idle = upstream.streams.at(-1)
    edge.registry.release(upstream)
    t.equal(idle?.destroyed, true, 'it ends with its route')
    edge.route('app.test', upstream)
    t.equal(await times(1), before + 1)
  })
})

t.test('a kept stream that the target closes under a request', async (t) => {
  const served = new WeakSet<Socket>()
  const { edge, upstream } = await startWith(t, (_head, socket) => {
    if (served.has(socket)) socket.destroy()
    served.add(socket)
    return 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
  })
  t.beforeEach(async () => {
    await edge.ask('app.test')
    upstream.opened.length = 0
  })

  t.test('is replaced, for what may be repeated', async (t) => {
    t.match(await edge.ask('app.test'), /^HTTP\/1\.1 200/)
    t.equal(upstream.opened.length, 1)
  })

  t.test('is a 502 for what may not', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.say('POST / HTTP/1.1', 'Host: app.test', 'Content-Length: 0', 'Connection: close')
    t.match(await visitor.rest(), /^HTTP\/1\.1 502/)
    t.equal(upstream.opened.length, 0)
  })
})

t.test('a target that hangs up', async (t) => {
  let seen = () => {}
  const { edge } = await startWith(t, (head, socket) => {
    switch (head.split(' ')[1]) {
      case '/length':
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
        break
      case '/chunks':
        socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
        break
      case '/reset':
        socket.write('HTTP/1.1 200 OK\r\n\r\nhalf')
        seen = () => socket.resetAndDestroy()
        break
      case '/head':
        socket.end('HTTP/1.1 200 OK\r\nContent-')
        break
      default:
        socket.end()
    }
    return undefined
  })

  for (const [path, version] of [
    ['/length', '1.1'],
    ['/chunks', '1.1'],
    ['/reset', '1.1'],
    ['/reset', '1.0'],
  ]) {
    t.test(`in mid-response (${path}, HTTP/${version}): the visitor sees it break`, async (t) => {
      const visitor = await edge.visit('app.test')
      visitor.say(`GET ${path} HTTP/${version}`, 'Host: app.test')
      if (path === '/reset') await visitor.have('half')
      seen()
      const text = await visitor.rest()
      t.notMatch(text, /\r\n0\r\n\r\n$/)
      t.equal(visitor.hasEnded, false, 'no clean end')
      t.equal(visitor.error?.code, 'ECONNRESET')
    })
  }

  for (const path of ['/', '/head']) {
    t.test(`before the response (${path}): 502`, async (t) => {
      const visitor = await edge.visit('app.test')
      visitor.get(path, 'app.test', 'Accept: text/html', 'Connection: close')
      const text = await visitor.rest()
      t.match(text, /^HTTP\/1\.1 502 Bad Gateway\r\nContent-Type: text\/html/)
      t.match(text, /TARGET_UNREACHABLE[\s\S]*<title>502 /)
    })
  }
})

t.test('a visitor that leaves takes the stream along', async (t) => {
  const { edge, upstream } = await startWith(
    t,
    () => 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab',
  )

  t.test('in the middle of a response', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.get('/', 'app.test')
    await visitor.have('ab')
    visitor.socket.destroy()
    await until('the end of the stream', () => upstream.streams[0]?.destroyed === true)
    await until('the line', () => edge.log.count('request') === 1)
    t.match(edge.log.lines.at(-1)?.fields, { outcome: 'aborted' })
  })

  t.test('in the middle of an upload', async () => {
    const visitor = await edge.visit('app.test')
    visitor.say('POST / HTTP/1.1', 'Host: app.test', 'Content-Length: 100', '', 'some')
    await until('the stream', () => upstream.streams.length === 2)
    visitor.socket.destroy()
    await until('the end of the stream', () => upstream.streams[1]?.destroyed === true)
  })
})

t.test('an upload', async (t) => {
  const heads: string[] = []
  let target: Socket | undefined
  const origin = await startOrigin(t, (socket) => {
    socket.on('data', (chunk) => {
      target = socket
      heads.push(chunk.toString('latin1'))
    })
  })
  const edge = await startEdge(t)
  edge.route('app.test', new FakeUpstream(origin))
  t.beforeEach(() => {
    heads.length = 0
  })
  const all = () => heads.join('')
  const expecting = [
    'PUT / HTTP/1.1',
    'Host: app.test',
    'Expect: 100-continue',
    'Content-Length: 4',
  ]

  t.test('that waits for 100 is told to go on by the target', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.say(...expecting)
    await until('the head', () => all().includes('\r\n\r\n'))
    t.match(all(), /\r\nExpect: 100-continue\r\n/)
    t.equal(visitor.text, '')
    target?.write('HTTP/1.1 100 Continue\r\n\r\n')
    await visitor.have('HTTP/1.1 100 Continue\r\n\r\n')
    visitor.socket.write('body')
    await until('the body', () => all().endsWith('\r\n\r\nbody'))
    target?.write('HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n')
    await visitor.have('HTTP/1.1 201 Created')
  })

  t.test('or is refused by it, before it began', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.say(...expecting)
    await until('the head', () => all().includes('\r\n\r\n'))
    target?.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig')
    await visitor.have(/413 Content Too Large[\s\S]*Connection: close\r\n\r\nbig/)
    visitor.socket.write('body') // RFC 9110 §10.1.1: it may send it all the same
    await visitor.rest()
    t.match(all(), /\r\n\r\n$/, 'but nobody wants it')
  })

  t.test('in chunks arrives in chunks, with its trailers but for those that lie', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.say('POST / HTTP/1.1', 'Host: app.test', 'Transfer-Encoding: chunked', 'Trailer: X-Sum')
    visitor.socket.write(
      '3\r\nabc\r\n0\r\nX-Sum: 7\r\nX-Forwarded-For: 6.6.6.6\r\nHost: evil\r\n\r\n',
    )
    await until('the end', () => all().endsWith('\r\n\r\n') && all().includes('X-Sum: 7'))
    t.match(all(), /\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n/)
    t.match(all(), /\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n$/)
  })

  t.test('that is answered early gets the answer, whole', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.say('POST / HTTP/1.1', 'Host: app.test', `Content-Length: ${1e9}`)
    await until('the head', () => all().includes('\r\n\r\n'))
    const flood = setInterval(() => visitor.socket.write('x'.repeat(65_536)), 1)
    t.teardown(() => clearInterval(flood))
    target?.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
    await visitor.have(/403 Forbidden[\s\S]*\r\n\r\nno$/)
    await visitor.rest()
  })
})

t.test('a WebSocket', async (t) => {
  const heads: string[] = []
  const origin = await startOrigin(t, (socket) => {
    socket.once('data', (chunk) => {
      const head = chunk.toString('latin1')
      heads.push(head)
      if (head.startsWith('GET /no')) {
        socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
        return
      }
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nhello ',
      )
      socket.pipe(socket)
    })
  })
  const edge = await startEdge(t)
  edge.route('app.test', new FakeUpstream(origin))
  const upgrade = ['Connection: keep-alive, Upgrade', 'Upgrade: websocket']

  t.test('goes through, both ways, byte for byte', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.get('/', 'app.test', ...upgrade, 'X-Request-Id: r', 'Cookie: c')
    await visitor.have('hello ')
    t.equal(
      visitor.text,
      'HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nX-Request-Id: r\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello ',
    )
    t.match(heads[0], /\r\nCookie: c\r\nX-Forwarded-For: 127\.0\.0\.1\r\n/)
    t.match(heads[0], /\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n/)
    visitor.socket.write('\x81\x85mask', 'latin1')
    await visitor.have('hello \x81\x85mask')
    visitor.socket.end()
    await visitor.rest()
    await until('the line', () => edge.log.count('request') === 1)
    t.match(edge.log.lines.at(-1)?.fields, { status: 101, outcome: 'switched' })
  })

  t.test('may send before it is answered', async () => {
    const visitor = await edge.visit('app.test')
    visitor.socket.write(['GET / HTTP/1.1', 'Host: app.test', ...upgrade, '', 'early'].join('\r\n'))
    await visitor.have('hello early')
  })

  t.test('that the target refuses gets its answer', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.get('/no', 'app.test', ...upgrade)
    t.match(await visitor.rest(), /^HTTP\/1\.1 403 Forbidden[\s\S]*Connection: close\r\n\r\nno$/)
  })

  t.test('for a host without tunnel gets a page', async (t) => {
    const visitor = await edge.visit('away.test')
    visitor.get('/', 'away.test', ...upgrade)
    t.match(await visitor.rest(), /^HTTP\/1\.1 404 Not Found[\s\S]*no tunnel for host/)
  })

  t.test('with a body is refused; h2c is not passed on', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.get('/', 'app.test', ...upgrade, 'Content-Length: 3', '', 'GET')
    t.match(await visitor.rest(), /^HTTP\/1\.1 400 /)
    const other = await edge.visit('app.test')
    const h2c = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAM']
    other.get('/no', 'app.test', ...h2c)
    t.match(await other.rest(), /^HTTP\/1\.1 403 /)
    t.notMatch(heads.at(-1), /upgrade|http2-settings/i)
  })
})

t.test('says what is wrong with the agent', async (t) => {
  const edge = await startEdge(t)
  const cases: [code: string, status: number, page: string][] = [
    ['MUX_SESSION_CLOSED', 503, 'AGENT_AWAY'],
    ['MUX_TOO_MANY_OPENS', 503, 'AGENT_BUSY'],
    ['MUX_STREAM_RESET', 502, 'TARGET_UNREACHABLE'],
  ]
  for (const [code, status, page] of cases) {
    t.test(code, async (t) => {
      const broken = {
        id: 'broken',
        open: () => new Duplex().destroy(Object.assign(new Error('no'), { code })),
      }
      edge.route('app.test', broken)
      const text = await edge.ask('app.test')
      t.match(text, `HTTP/1.1 ${status} `)
      t.match(text, `\r\nGotunnel-Error: ${page}\r\n`)
      edge.registry.release(broken)
    })
  }
})

/** An edge, and behind `app.test` an origin that follows a script. */
async function startWith(t: Test, answer: Parameters<typeof scripted>[0]) {
  const origin = await startOrigin(t, scripted(answer))
  const edge = await startEdge(t)
  const upstream = new FakeUpstream(origin)
  edge.route('app.test', upstream)
  return { edge, upstream }
}

/** Waits until the number has been the same for a while. */
async function unchanged(number: () => number): Promise<void> {
  let last = number()
  let since = performance.now()
  await until('a number that stays', () => {
    if (number() !== last) since = performance.now()
    last = number()
    return performance.now() - since > 300
  })
}
