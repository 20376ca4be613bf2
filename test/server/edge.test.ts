import { connect as connectTls } from 'node:tls'
import t from 'tap'
import { Challenges } from '../../src/certs/acme/challenges.ts'
import { edgeErrors } from '../../src/server/edge/error-page.ts'
import { type CheckedRequest, checkRequest } from '../../src/server/edge/request-guard.ts'
import { settle, until } from '../mux/turns.ts'
import {
  FakeUpstream,
  knock,
  scripted,
  startEdge,
  startOrigin,
  startRedirector,
} from './edge-fixture.ts'

const ok = () => 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

t.test('the public port sends a connection where its ClientHello says', async (t) => {
  const edge = await startEdge(t)
  edge.route('app.test', new FakeUpstream(await startOrigin(t, scripted(ok))))
  const echo = await startOrigin(t, (socket) => socket.pipe(socket))
  const echoes = new FakeUpstream(echo)
  edge.route('db.test', echoes, 'tcp')

  t.test('an http route: requests', async (t) => {
    t.match(await edge.ask('app.test'), /^HTTP\/1\.1 200 OK[\s\S]*ok$/)
  })

  t.test('also when the name is spelled in another way', async (t) => {
    const visitor = await edge.visit('APP.Test')
    visitor.get('/', 'app.TEST.:444', 'Connection: close')
    t.match(await visitor.rest(), /^HTTP\/1\.1 200 OK/)
  })

  t.test('also in HTTP/1.0, where the visitor offers nothing else by ALPN', async (t) => {
    const visitor = await edge.visit('app.test', { ALPNProtocols: ['http/1.0'] })
    t.equal(visitor.socket.alpnProtocol, 'http/1.0')
    visitor.say('GET / HTTP/1.0', 'Host: app.test')
    t.match(await visitor.rest(), /^HTTP\/1\.1 200 OK/)
    const both = await edge.visit('app.test', { ALPNProtocols: ['http/1.0', 'http/1.1'] })
    t.equal(both.socket.alpnProtocol, 'http/1.1')
  })

  t.test('a tcp route: bytes, and each half ends by itself', async (t) => {
    const visitor = await edge.visit('db.test', { ALPNProtocols: ['postgresql'] })
    t.equal(visitor.socket.alpnProtocol, false)
    visitor.socket.end('GET / no HTTP at all\r\n\r\n')
    t.equal(await visitor.rest(), 'GET / no HTTP at all\r\n\r\n')
    t.equal(visitor.hasEnded, true)
    t.match(echoes.opened, [{ remoteAddress: '127.0.0.1', localPort: edge.port }])
    await until('the line', () => edge.log.count('connection') === 1)
    t.match(edge.log.lines.at(-1)?.fields, { host: 'db.test', session: 'fake' })
  })

  t.test('a tcp route whose target resets: the visitor sees a reset', async (t) => {
    const visitor = await edge.visit('db.test')
    visitor.socket.write('x')
    await visitor.have('x')
    echoes.streams.at(-1)?.destroy(new Error('gone'))
    await visitor.rest()
    t.equal(visitor.error?.code, 'ECONNRESET')
  })

  t.test("the gateway's own name, or none: its page", async (t) => {
    for (const name of ['gateway.test', undefined]) {
      const visitor = await edge.visit(name)
      visitor.get('/?q', 'gateway.test', 'Connection: close')
      t.match(await visitor.rest(), /^HTTP\/1\.1 200 OK[\s\S]*This is a gotunnel gateway/)
    }
  })

  t.test('the name of the agents, or their protocol: an agent', async (t) => {
    const options = { port: edge.port, host: '127.0.0.1', rejectUnauthorized: false }
    for (const hello of [
      { servername: 'tunnel.test' },
      { servername: 'any.test', ALPNProtocols: ['gotunnel'] },
    ]) {
      const before = edge.agentSockets.length
      const socket = connectTls({ ...options, ...hello }).on('error', () => {})
      t.teardown(() => socket.destroy())
      await until('the agent', () => edge.agentSockets.length > before)
      const bytes = edge.agentSockets.at(-1)?.read()
      t.equal(bytes[0], 0x16, 'with its ClientHello still in it')
    }
  })

  t.test('a name that nobody holds, with a certificate at hand: a page that says so', async (t) => {
    t.match(
      await edge.ask('away.test'),
      /^HTTP\/1\.1 404 Not Found[\s\S]*no tunnel for host \(HOST_UNKNOWN, request [0-9a-f-]{36}\)/,
    )
  })

  t.test(
    'a name that nobody holds, without: the alert unrecognized_name, and a log line',
    async (t) => {
      for (const name of ['unknown.test', 'a.b.unknown.test']) {
        edge.log.lines.length = 0
        const visitor = await knock(t, edge.port)
        visitor.socket.write(clientHello(name))
        await visitor.rest()
        t.equal(Buffer.from(visitor.text, 'latin1').toString('hex'), '15030300020270')
        t.match(edge.log.lines, [
          {
            level: 'info',
            message: 'no tunnel for host',
            fields: { host: name, remoteAddress: '127.0.0.1' },
          },
        ])
      }
    },
  )

  t.test('what is no hostname: the same', async (t) => {
    for (const name of ['../../etc/passwd', '*.test', '127.0.0.1', 'app.test:443', 'app_x.test']) {
      const visitor = await knock(t, edge.port)
      visitor.socket.write(clientHello(name))
      await visitor.rest()
      t.equal(Buffer.from(visitor.text, 'latin1').toString('hex'), '15030300020270', name)
    }
  })

  t.test('no TLS: a word about https', async (t) => {
    const visitor = await knock(t, edge.port)
    visitor.get('/', 'app.test')
    t.match(await visitor.rest(), /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*use https:\/\//)
  })

  t.test('log lines about unknown names are few, however many come', async (t) => {
    edge.log.lines.length = 0
    for (let i = 0; i < 20; i += 1) {
      const visitor = await knock(t, edge.port)
      visitor.socket.write(clientHello(`n${i}.unknown.test`))
      await visitor.rest()
    }
    t.ok(edge.log.count('no tunnel for host') <= 10, `${edge.log.count('no tunnel for host')}`)
  })
})

t.test('who opens more connections than may be is cut off', async (t) => {
  const edge = await startEdge(t, { connections: 3, connectionsPerAddress: 2 })
  const first = await edge.visit('gateway.test')
  await edge.visit('gateway.test')
  const third = await knock(t, edge.port)
  await third.rest()
  t.equal(edge.connections.limitedCount, 1)
  first.socket.destroy()
  await until('room', () => edge.connections.openCount === 1)
  await edge.visit('gateway.test')
})

t.test('a request that could be read in two ways goes nowhere', async (t) => {
  const edge = await startEdge(t)
  const heads: string[] = []
  const upstream = new FakeUpstream(
    await startOrigin(
      t,
      scripted((head) => {
        heads.push(head)
        return ok()
      }),
    ),
  )
  edge.route('app.test', upstream)
  const host = 'Host: app.test'
  const cases: [name: string, lines: string[], status: number][] = [
    ['two Host lines', ['GET / HTTP/1.1', host, host], 400],
    ['an empty Host', ['GET / HTTP/1.1', 'Host:'], 400],
    ['no Host', ['GET / HTTP/1.1'], 400],
    ['no Host, in HTTP/1.0', ['GET / HTTP/1.0'], 400],
    ['user info in Host', ['GET / HTTP/1.1', 'Host: a@app.test'], 400],
    ['a space in Host', ['GET / HTTP/1.1', 'Host: app.test evil'], 400],
    ['a path in Host', ['GET / HTTP/1.1', 'Host: app.test/../x'], 400],
    ['UTF-8 in Host', ['GET / HTTP/1.1', 'Host: \xc3\xa4pp.test'], 400],
    ['an address as Host', ['GET / HTTP/1.1', 'Host: 127.0.0.1'], 400],
    ['another host', ['GET / HTTP/1.1', 'Host: other.test', 'Connection: close'], 421],
    ['a target that names another host', ['GET https://other.test/ HTTP/1.1', host], 400],
    ['a target with user info', ['GET https://app.test@other.test/ HTTP/1.1', host], 400],
    ['a target of another scheme', ['GET ftp://app.test/ HTTP/1.1', host], 400],
    ['a target without slash', ['GET app.test HTTP/1.1', host], 400],
    ['a fragment', ['GET /#x HTTP/1.1', host], 400],
    [
      'a length and chunks',
      ['POST / HTTP/1.1', host, 'Content-Length: 4', 'Transfer-Encoding: chunked'],
      400,
    ],
    ['two lengths', ['POST / HTTP/1.1', host, 'Content-Length: 4', 'Content-Length: 5'], 400],
    ['one length twice', ['POST / HTTP/1.1', host, 'Content-Length: 4, 4'], 400],
    ['an odd length', ['POST / HTTP/1.1', host, 'Content-Length: +4'], 400],
    ['chunks in HTTP/1.0', ['POST / HTTP/1.0', host, 'Transfer-Encoding: chunked'], 400],
    ['another coding', ['POST / HTTP/1.1', host, 'Transfer-Encoding: gzip, chunked'], 400],
    [
      'chunked twice',
      ['POST / HTTP/1.1', host, 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
      400,
    ],
    ['a space before the colon', ['GET / HTTP/1.1', 'Host : app.test'], 400],
    ['a folded line', ['GET / HTTP/1.1', host, 'X: a', ' b'], 400],
    ['a bare CR', ['GET / HTTP/1.1', host, 'X: a\rY: b'], 400],
    ['a NUL', ['GET / HTTP/1.1', host, 'X: a\0b'], 400],
    ['an empty header name', ['GET / HTTP/1.1', host, ': x'], 400],
    ['HTTP/0.9', ['GET /'], 400],
    ['the HTTP/2 preface', ['PRI * HTTP/2.0', '', 'SM'], 400],
    ['CONNECT', ['CONNECT app.test:22 HTTP/1.1', host], 405],
    ['more than 100 lines', ['GET / HTTP/1.1', host, ...Array(100).fill('A: b')], 431],
    [
      'so many lines that Node would hide some',
      ['GET / HTTP/1.1', host, ...Array(2_100).fill('A:b')],
      431,
    ],
    ['lines too long', ['GET / HTTP/1.1', host, `X: ${'x'.repeat(17_000)}`], 431],
  ]
  for (const [name, lines, status] of cases) {
    t.test(name, async (t) => {
      const visitor = await edge.visit('app.test')
      visitor.say(...lines)
      const text = await visitor.rest()
      t.match(text, `HTTP/1.1 ${status} `)
      t.equal(text.split('HTTP/1.1 ').length, 2, 'one answer')
    })
  }
  t.test('none of them has reached the target', async (t) => {
    t.same(heads, [])
    t.equal(upstream.opened.length, 0)
  })

  t.test('100 lines are fine', async (t) => {
    t.match(await edge.ask('app.test', ...Array(98).fill('A: b')), /^HTTP\/1\.1 200/)
  })
})

t.test('requests that come together are served one after the other', async (t) => {
  const heads: string[] = []
  const origin = await startOrigin(
    t,
    scripted((head) => {
      heads.push(head.split(' ')[1] ?? '')
      return undefined
    }),
  )
  const edge = await startEdge(t)
  const upstream = new FakeUpstream(origin)
  edge.route('app.test', upstream)
  const visitor = await edge.visit('app.test')
  visitor.get('/1', 'app.test')
  visitor.get('/2', 'app.test')
  await until('the first', () => heads.length === 1)
  await settle()
  t.same(heads, ['/1'])
  upstream.push(0, ok())
  await until('the second', () => heads.length === 2)
  upstream.push(0, ok().replace('ok', 'no'))
  await visitor.have(/ok[\s\S]*no$/)
  t.equal(upstream.opened.length, 1)

  const flood = await edge.visit('app.test')
  for (let i = 0; i < 300; i += 1) flood.get(`/flood-${i}`, 'app.test')
  await until('the first of a flood', () => heads.includes('/flood-0'))
  await settle()
  t.equal(heads.length, 3, 'the others wait in their connection')
})

t.test('a connection for one name carries requests for another', async (t) => {
  const edge = await startEdge(t)
  const one = new FakeUpstream(await startOrigin(t, scripted(ok)))
  const other = new FakeUpstream(await startOrigin(t, scripted(ok)))
  edge.route('app.test', one)
  edge.route('api.test', one)
  edge.route('api.app.test', one) // one label too many for the certificate, which is for *.test
  edge.route('ssh.test', one, 'tcp')
  edge.route('foreign.test', other)
  const cases: [serverName: string, host: string, status: number][] = [
    ['app.test', 'API.test.', 200],
    ['app.test', 'api.app.test', 421],
    ['app.test', 'ssh.test', 421],
    ['app.test', 'foreign.test', 421],
    ['app.test', 'gateway.test', 421],
    ['app.test', 'nobody.test', 421],
    ['away.test', 'app.test', 421],
    ['gateway.test', 'app.test', 421],
  ]
  for (const [serverName, host, status] of cases) {
    const isSame = status === 200 ? 'where the agent and the certificate are the same' : 'not'
    t.test(`${serverName} for ${host}: ${isSame}`, async (t) => {
      const visitor = await edge.visit(serverName)
      visitor.get('/', host, 'Connection: close')
      t.match(await visitor.rest(), `HTTP/1.1 ${status} `)
    })
  }
})

t.test('a page of the gateway is of the type that is asked for', async (t) => {
  const edge = await startEdge(t)
  const ask = (accept: string) =>
    edge.ask('away.test', `Accept: ${accept}`, 'X-Request-Id: abc<b', 'X-Other: 1')
  const html = await ask('text/html,*/*;q=0.8')
  t.match(html, /^HTTP\/1\.1 404 Not Found\r\nContent-Type: text\/html; charset=utf-8\r\n/)
  t.match(html, /<h1>no tunnel for host<\/h1>\n<p>404 .*HOST_UNKNOWN .*request [0-9a-f-]{36} /)
  const json = await edge.ask('away.test', 'Accept: application/json', 'X-Request-Id: abc')
  t.match(json, /\r\nX-Request-Id: abc\r\n/)
  t.strictSame(JSON.parse(json.split('\r\n\r\n')[1] ?? ''), {
    error: {
      ...{ status: 404, code: 'HOST_UNKNOWN', message: 'no tunnel for host', requestId: 'abc' },
    },
  })
  t.match(await ask('*/*'), /\r\n\r\nno tunnel for host \(HOST_UNKNOWN, request [0-9a-f-]{36}\)\n$/)
})

t.test('the access log has a line a request', async (t) => {
  const trustedProxies = { matches: (address: string) => address === '127.0.0.1' }
  const edge = await startEdge(t, {}, {}, { trustedProxies, logQuery: true })
  edge.route('app.test', new FakeUpstream(await startOrigin(t, scripted(ok))))
  const lines = () => edge.log.lines.filter(({ message }) => message === 'request')
  await edge.ask('app.test', 'X-Request-Id: one', 'X-Forwarded-For: 192.0.2.7')
  const visitor = await edge.visit('app.test')
  visitor.say('PUT /a?token=b HTTP/1.1', 'Host: away.test', 'Connection: close')
  await visitor.rest()
  const scanner = await edge.visit('app.test')
  scanner.say('GET / HTTP/1.1', 'Host : app.test')
  await scanner.rest()
  await until('all lines', () => lines().length === 3)
  t.match(
    lines().map(({ fields }) => fields),
    [
      {
        ...{ remoteAddress: '192.0.2.7', method: 'GET', host: 'app.test', path: '/', status: 200 },
        ...{ bytesIn: Number, bytesOut: Number, durationMs: Number, session: 'fake' },
        ...{ requestId: 'one', code: undefined, outcome: undefined },
      },
      {
        ...{ remoteAddress: '127.0.0.1', method: 'PUT', host: 'app.test', path: '/a?token=b' },
        ...{ status: 421, code: 'HOST_MISMATCH', outcome: 'refused' },
      },
      { host: 'app.test', status: 400, code: 'BAD_REQUEST', outcome: 'refused' },
    ],
  )
})

t.test('the gateway page is there and nothing else', async (t) => {
  const edge = await startEdge(t)
  t.match(await await edge.visit('gateway.test'), {})
  const visitor = await edge.visit('gateway.test')
  visitor.say('HEAD / HTTP/1.1', 'Host: gateway.test')
  await visitor.have(/^HTTP\/1\.1 200 OK[\s\S]*\r\n\r\n$/)
  visitor.get('/x', 'gateway.test')
  await visitor.have('404 Not Found')
  visitor.say(
    'POST / HTTP/1.1',
    'Host: gateway.test',
    'Content-Length: 2',
    'Connection: close',
    '',
    'hi',
  )
  t.match(await visitor.rest(), /404[\s\S]*404/)
})

t.test('drains: what is served ends, the rest is closed', async (t) => {
  const edge = await startEdge(t)
  const upstream = new FakeUpstream(await startOrigin(t, () => {}))
  edge.route('app.test', upstream)
  const idle = await edge.visit('app.test')
  const busy = await edge.visit('app.test')
  busy.get('/', 'app.test')
  await until('the request', () => upstream.streams.length === 1)
  edge.https.drain()
  await idle.rest()
  t.equal(idle.hasEnded, true)
  upstream.push(0, ok())
  t.match(await busy.rest(), /ok$/)
  t.equal(busy.hasEnded, true)
  await edge.connections.close(60_000)
})

t.test('a header that takes too long is a 408', async (t) => {
  const edge = await startEdge(t, {}, { headerMs: 1_000 })
  const visitor = await edge.visit('gateway.test')
  visitor.socket.write('GET / HTTP/1.1\r\n')
  const drip = setInterval(() => visitor.socket.write('A: b\r\n'), 100)
  t.teardown(() => clearInterval(drip))
  t.match(await visitor.rest(), /^HTTP\/1\.1 408 /)
})

t.test('when nothing moves for too long', async (t) => {
  const edge = await startEdge(t, {}, { idleMs: 1_000, responseMs: 1_000 })
  const big = 'x'.repeat(16 * 1024 * 1024)
  const origin = await startOrigin(
    t,
    scripted((head) => {
      const path = head.split(' ')[1]
      if (path === '/events') return 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab'
      if (path === '/big') return `HTTP/1.1 200 OK\r\nContent-Length: ${big.length}\r\n\r\n${big}`
      return undefined
    }),
  )
  const upstream = new FakeUpstream(origin)
  edge.route('app.test', upstream)

  t.test('the target is to blame for a missing response: 504', async (t) => {
    t.match(await edge.ask('app.test'), /^HTTP\/1\.1 504 [\s\S]*TARGET_TIMEOUT/)
    await until('the end of the stream', () => upstream.streams[0]?.destroyed === true)
  })

  t.test('the visitor for an upload that does not arrive: 408', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.say('POST / HTTP/1.1', 'Host: app.test', 'Content-Length: 9', 'Connection: close')
    t.match(await visitor.rest(), /^HTTP\/1\.1 408 [\s\S]*REQUEST_TIMEOUT/)
  })

  t.test('a visitor that does not read is cut off', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.socket.pause()
    visitor.get('/big', 'app.test')
    await until('the end', () => edge.log.lines.at(-1)?.fields.outcome === 'broken')
    visitor.socket.resume()
    t.ok((await visitor.rest()).length < big.length)
  })

  t.test('a stream of events may be silent for longer', async (t) => {
    const visitor = await edge.visit('app.test')
    visitor.get('/events', 'app.test', 'Connection: close')
    await visitor.have('ab')
    const stream = upstream.streams.length - 1
    const startMs = performance.now()
    await until('a long silence', () => performance.now() - startMs > 2_500)
    upstream.push(stream, 'cdefghi')
    t.match(await visitor.rest(), /abcdefghi$/)
  })

  t.test('a connection without requests is closed', async (t) => {
    const visitor = await edge.visit('app.test')
    t.equal(await visitor.rest(), '')
  })
})

t.test('port 80', async (t) => {
  t.test('sends known names to https, with path and query', async (t) => {
    for (const [publicPort, location] of [
      [443, 'https://app.test/a?b=c'],
      [8443, 'https://app.test:8443/a?b=c'],
    ] as const) {
      const { port } = await startRedirector(t, publicPort)
      const visitor = await knock(t, port)
      visitor.get('/a?b=c', 'App.test.:80')
      const text = await visitor.rest()
      t.match(text, /^HTTP\/1\.1 308 Permanent Redirect\r\n/)
      t.match(text, `Location: ${location}\r\n`)
    }
  })

  t.test('answers everything else itself', async (t) => {
    const { port } = await startRedirector(t, 443)
    const cases: [name: string, lines: string[], status: number][] = [
      ['a name without tunnel', ['GET / HTTP/1.1', 'Host: other.test'], 404],
      ['no hostname', ['GET / HTTP/1.1', 'Host: a b'], 400],
      ['two Hosts', ['GET / HTTP/1.1', 'Host: app.test', 'Host: app.test'], 400],
      ['a whole URL', ['GET http://app.test/ HTTP/1.1', 'Host: app.test'], 400],
      ['a line too many', ['GET / HTTP/1.1', 'Host: app.test', ...Array(100).fill('A: b')], 431],
    ]
    for (const [name, lines, status] of cases) {
      const visitor = await knock(t, port)
      visitor.say(...lines)
      t.match(await visitor.rest(), `HTTP/1.1 ${status} `, name)
    }
  })

  t.test('answers the challenge of a CA, to whom it is for', async (t) => {
    const challenges = new Challenges()
    const answer = { token: 'token-1', keyAuthorization: 'token-1.thumbprint' }
    const takeAway = await challenges.present('http-01', 'app.test', answer)
    await challenges.present('http-01', 'own.test', answer)
    const hasOwnCertificate = (name: string) => name === 'own.test'
    const { port } = await startRedirector(t, 443, undefined, { challenges, hasOwnCertificate })
    const ask = async (method: string, token: string, host: string) => {
      const visitor = await knock(t, port)
      visitor.say(`${method} /.well-known/acme-challenge/${token} HTTP/1.1`, `Host: ${host}`)
      return visitor.rest()
    }
    t.match(
      await ask('GET', 'token-1', 'App.test.:80'),
      /^HTTP\/1\.1 200 [\s\S]*\ntoken-1\.thumbprint$/,
    )
    const others: [method: string, token: string, host: string][] = [
      ['GET', 'token-1', 'other.test'],
      ['GET', 'token-1', 'own.test'],
      ['GET', 'token-2', 'app.test'],
      ['GET', 'token-1/', 'app.test'],
      ['GET', '', 'app.test'],
      ['POST', 'token-1', 'app.test'],
    ]
    for (const [method, token, host] of others) {
      const text = await ask(method, token, host)
      t.match(text, /^HTTP\/1\.1 404 /, `${method} ${token} ${host}`)
      t.notMatch(text, 'thumbprint')
    }
    takeAway()
    t.match(await ask('GET', 'token-1', 'app.test'), /^HTTP\/1\.1 404 /, 'when it is over')
  })

  t.test('takes no more connections than may be', async (t) => {
    const { port } = await startRedirector(t, 443)
    const held = [await knock(t, port), await knock(t, port), await knock(t, port)]
    const fourth = await knock(t, port)
    await fourth.rest()
    t.equal(fourth.text, '')
    for (const visitor of held) visitor.socket.destroy()
  })
})

t.test('what is left of a request that passed', async (t) => {
  const check = (method: string, url: string, ...rawHeaders: string[]) =>
    checkRequest(
      { method, url, httpVersion: '1.1', rawHeaders: ['Host', 'App.test:1', ...rawHeaders] },
      { serverName: 'app.test', isShared: () => false, headerLines: 10 },
    ) as CheckedRequest
  t.same(check('GET', '/a'), {
    ...{ host: 'app.test', hostText: 'App.test:1', target: '/a' },
    ...{ framing: 'none', upgrade: undefined },
  })
  t.equal(check('GET', 'HTTPS://app.test').target, '/')
  t.equal(check('GET', 'https://app.test:1?q').target, '/?q')
  t.equal(check('OPTIONS', '*').target, '*')
  t.same(check('GET', '*'), edgeErrors.badRequest)
  t.equal(check('POST', '/').framing, 'empty')
  t.equal(check('POST', '/', 'content-length', '1').framing, 'length')
  t.equal(check('GET', '/', 'transfer-encoding', 'Chunked').framing, 'chunked')
  t.equal(check('GET', '/', 'connection', 'a,UPGRADE', 'upgrade', 'websocket').upgrade, 'websocket')
  t.equal(check('GET', '/', 'connection', 'close', 'upgrade', 'websocket').upgrade, undefined)
  t.equal(check('GET', '/', 'connection', 'upgrade', 'upgrade', 'h2c').upgrade, undefined)
})

/** A ClientHello for any name, also for what no TLS library would send. */
function clientHello(name: string): Buffer {
  const serverName = Buffer.from(name, 'latin1')
  const block = (lengthBytes: number, ...parts: Buffer[]) => {
    const body = Buffer.concat(parts)
    const length = Buffer.alloc(lengthBytes)
    length.writeUIntBE(body.length, 0, lengthBytes)
    return Buffer.concat([length, body])
  }
  const hex = (text: string) => Buffer.from(text, 'hex')
  const sni = Buffer.concat([hex('0000'), block(2, block(2, hex('00'), block(2, serverName)))])
  const body = Buffer.concat([
    hex('0303'), // legacy version
    Buffer.alloc(32, 7), // random
    hex('00'), // no session id
    block(2, hex('1301')), // TLS_AES_128_GCM_SHA256
    hex('0100'), // no compression
    block(2, sni), // extensions
  ])
  const message = Buffer.concat([hex('01'), block(3, body)])
  return Buffer.concat([hex('160301'), block(2, message)])
}
