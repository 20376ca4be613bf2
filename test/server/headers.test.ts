import t from 'tap'
import { preferredType } from '../../src/server/edge/accept.ts'
import { requestHeaders, responseHeaders, trailerPairs } from '../../src/server/edge/headers.ts'
import { forwardedLines, provenanceOf } from '../../src/server/edge/provenance.ts'
import { requestIdOf } from '../../src/server/edge/request-id.ts'

// What is done to header lines, HTTP/1.1 and HTTP/2 alike: lists of names and values in, lists out.

t.test('hop-by-hop lines end here', async (t) => {
  const passed = (...lines: string[]) => requestHeaders(lines, { added: [], framing: 'none' })
  for (const name of [
    'Connection',
    'Keep-Alive',
    'Proxy-Authenticate',
    'Proxy-Authorization',
    'Proxy-Connection',
    'TE',
    'Trailer',
    'Transfer-Encoding',
    'Upgrade',
  ]) {
    t.same(passed('A', '1', name, 'x', 'A', '2'), ['A', '1', 'A', '2'], name)
    t.same(
      responseHeaders([name, 'x'], { status: 200, requestId: 'r' }),
      ['X-Request-Id', 'r'],
      name,
    )
  }

  t.test('and so do those that Connection names, in any case and on any line', async (t) => {
    const lines = ['connection', 'x-a,, X-B', 'X-A', '1', 'Connection', ' x-c ', 'x-b', '2']
    t.same(passed(...lines, 'X-C', '3', 'X-D', '4'), ['X-D', '4'])
  })

  t.test('but not what keeps the request one', async (t) => {
    const lines = ['Host', 'a', 'Content-Length', '1']
    t.same(passed('Connection', 'Host, Content-Length', ...lines), lines)
  })

  t.test('nor what is told by us', async (t) => {
    const added = ['X-Forwarded-For', '192.0.2.1']
    const lines = ['Connection', 'X-Forwarded-For, X-Request-Id', 'X-Forwarded-For', '6.6.6.6']
    t.same(requestHeaders(lines, { added, framing: 'none' }), added)
  })
})

t.test('names that only look like ours go too', async (t) => {
  for (const name of [
    'x_forwarded_for',
    'X_Forwarded-Host',
    'X-Forwarded-Prefix',
    'X-Forwarded',
    'FORWARDED',
    'X-Real-IP',
    'x_real_ip',
    'X_Request_Id',
    'Proxy',
  ]) {
    t.same(requestHeaders([name, '6.6.6.6'], { added: [], framing: 'none' }), [], name)
  }
  const kept = ['X-Forward', '1', 'My-Forwarded', '2', 'Proxy-Hint', '3', 'X-Real-Ipa', '4']
  t.same(requestHeaders(kept, { added: [], framing: 'none' }), kept)
})

t.test('order, case and duplicates of the rest stay', async (t) => {
  const lines = ['Set-Cookie', 'a=1', 'B', '1', 'set-cookie', 'b=2, c', 'b', '2', 'SET-COOKIE', '']
  t.same(responseHeaders(lines, { status: 200, requestId: 'r' }), [...lines, 'X-Request-Id', 'r'])
})

t.test('one line says how long a response is, and none where it would not count', async (t) => {
  const length = ['Content-Length', '5']
  const passed = (status: number, ...lines: string[]) =>
    responseHeaders([...lines, ...length], { status, requestId: 'r' }).slice(0, -2)
  t.same(passed(200), length)
  t.same(passed(200, 'content-length', '5', 'A', 'b'), ['content-length', '5', 'A', 'b'])
  t.same(passed(304), length, 'that of what was not modified (RFC 9110 §8.6)')
  t.same(passed(205), length)
  t.same(passed(204), [])
  t.same(passed(101), [])
  t.same(passed(200, 'Transfer-Encoding', 'chunked'), [], 'chunks say it better')
})

t.test('a response cannot pass for one of the gateway itself', async (t) => {
  const lines = ['Gotunnel-Error', 'HOST_UNKNOWN', 'X-Request-Id', 'other']
  t.same(responseHeaders(lines, { status: 200, requestId: 'r' }), ['X-Request-Id', 'r'])
})

t.test('trailers that could be taken for more than they are do not pass', async (t) => {
  const names = ['Content-Length', 'Host', 'Set-Cookie', 'X-Forwarded-For', 'Connection', 'X-Sum']
  const pairs = trailerPairs(names.flatMap((name) => [name, '1']))
  t.same(pairs, [['X-Sum', '1']])
})

const nobody = { matches: () => false }
const inside = { matches: (address: string) => /^(?:10\.|fd00:)/.test(address) }

t.test('who the visitor is comes from the connection', async (t) => {
  const forged = ['X-Forwarded-For', '6.6.6.6', 'X-Forwarded-Proto', 'http', 'Forwarded', 'for=6.6']
  t.same(forwardedLines(provenanceOf(forged, '192.0.2.1', nobody), 'app.test', 443), [
    ...['X-Forwarded-For', '192.0.2.1', 'X-Forwarded-Proto', 'https'],
    ...['X-Forwarded-Host', 'app.test', 'X-Forwarded-Port', '443'],
    ...['Forwarded', 'for=192.0.2.1;host=app.test;proto=https'],
  ])

  t.test('with an IPv6 address, and a port, in quotes', async (t) => {
    const lines = forwardedLines(provenanceOf([], '2001:db8::1', nobody), 'app.test:8443', 8443)
    t.equal(lines.at(1), '2001:db8::1')
    t.equal(lines.at(-1), 'for="[2001:db8::1]";host="app.test:8443";proto=https')
  })

  t.test('of one that has just left, nothing is known', async (t) => {
    t.match(forwardedLines(provenanceOf([], '', nobody), 'a', 443).at(-1), 'for=unknown;')
  })
})

t.test('what a trusted proxy says counts', async (t) => {
  const cases: [name: string, lines: string[], address: string, chain: string][] = [
    ['nothing: it is the visitor', [], '10.0.0.1', '10.0.0.1'],
    ['one address', ['X-Forwarded-For', '192.0.2.9'], '192.0.2.9', '192.0.2.9, 10.0.0.1'],
    [
      'one that its visitor had forged before it',
      ['X-Forwarded-For', '6.6.6.6, 192.0.2.9'],
      '192.0.2.9',
      '6.6.6.6, 192.0.2.9, 10.0.0.1',
    ],
    [
      'two lines, and a trusted proxy before it',
      ['X-Forwarded-For', '6.6.6.6', 'x-forwarded-for', '192.0.2.9,10.9.9.9'],
      '192.0.2.9',
      '6.6.6.6, 192.0.2.9, 10.9.9.9, 10.0.0.1',
    ],
    [
      'what is no address, and all that stands before it',
      ['X-Forwarded-For', '6.6.6.6, evil"\tx, 192.0.2.9:1234, [2001:db8::9]:80'],
      '2001:db8::9',
      '192.0.2.9, 2001:db8::9, 10.0.0.1',
    ],
    [
      'Forwarded alone',
      ['Forwarded', 'for=6.6.6.6;by=x, proto=https;For="[2001:db8::9]:80";ext="a,b"'],
      '2001:db8::9',
      '6.6.6.6, 2001:db8::9, 10.0.0.1',
    ],
    ['somebody of ours', ['X-Forwarded-For', '10.0.0.7'], '10.0.0.7', '10.0.0.7, 10.0.0.1'],
  ]
  for (const [name, lines, address, chain] of cases) {
    const from = provenanceOf(lines, '10.0.0.1', inside)
    t.equal(from.address, address, name)
    t.equal(forwardedLines(from, 'a', 443)[1], chain, name)
  }

  t.test('as it does of scheme, host and port, where that makes sense', async (t) => {
    const said = (...lines: string[]) =>
      forwardedLines(provenanceOf(lines, '10.0.0.1', inside), 'app.test', 443)
    const proto = ['X-Forwarded-Proto', 'http', 'X-Forwarded-Host', 'www.test:80']
    t.same(said(...proto, 'X-Forwarded-Port', '80').slice(2), [
      ...['X-Forwarded-Proto', 'http', 'X-Forwarded-Host', 'www.test:80'],
      ...['X-Forwarded-Port', '80', 'Forwarded', 'for=10.0.0.1;host="www.test:80";proto=http'],
    ])
    const senseless = ['X-Forwarded-Proto', 'gopher', 'X-Forwarded-Host', 'a b"']
    t.same(said(...senseless, 'X-Forwarded-Port', '-1').slice(2), [
      ...['X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'app.test'],
      ...['X-Forwarded-Port', '443', 'Forwarded', 'for=10.0.0.1;host=app.test;proto=https'],
    ])
  })

  t.test('but a chain without end is cut', async (t) => {
    const endless = Array(10_000).fill('6.6.6.6').join(',')
    t.equal(provenanceOf(['X-Forwarded-For', endless], '10.0.0.1', inside).chain.length, 33)
  })
})

t.test('a request keeps the id it came with, if it is fit for a log', async (t) => {
  for (const id of ['1', 'a.b_c:d+e/f=g@h-i', 'x'.repeat(128)]) {
    t.equal(requestIdOf(['x-request-id', id]), id)
  }
  for (const id of ['', 'a b', 'a"b', 'a\tb', '<b>', 'é', 'x'.repeat(129)]) {
    t.match(requestIdOf(['X-Request-Id', id]), /^[0-9a-f-]{36}$/, id)
  }
  t.match(requestIdOf(['X-Request-Id', 'a', 'X-Request-Id', 'b']), /^[0-9a-f-]{36}$/)
  t.not(requestIdOf([]), requestIdOf([]))
})

t.test('a page is of the type that the visitor likes best', async (t) => {
  const types = ['text/html', 'application/json', 'text/plain']
  const browser = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8'
  const cases: [accept: string, type: string | undefined][] = [
    ['', undefined],
    ['*/*', undefined],
    ['image/png', undefined],
    [browser, 'text/html'],
    ['application/json', 'application/json'],
    ['application/json, text/plain, */*', 'application/json'],
    ['application/json, */*;q=0.1', 'application/json'],
    ['text/html;q=0.5, application/json;q=0.6', 'application/json'],
    ['text/*;q=0.3, text/html;q=0.2, application/json;q=0.1', 'text/plain'],
    ['TEXT/HTML;level=1', 'text/html'],
    ['text/plain;q=0, text/html;q=x', undefined],
    ['application/*', 'application/json'],
  ]
  for (const [accept, type] of cases) t.equal(preferredType(accept, types), type, accept)
})
