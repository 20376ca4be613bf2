import { createHash } from 'node:crypto'
import t from 'tap'
import { html } from '../../src/server/dashboard/html.ts'
import { statusPage } from '../../src/server/dashboard/page.ts'
import { bytesWords, clipped, countWords, durationWords } from '../../src/server/dashboard/words.ts'
import { NOW, route, serve, session, statusWith } from './dashboard-fixture.ts'

t.test('html', async (t) => {
  t.equal(
    html`<b>${'<i>&"\'`'}</b>`.markup,
    '<b>&#60;i&#62;&#38;&#34;&#39;&#96;</b>',
    'text is escaped',
  )
  t.equal(html`<b>${html`<i>${'<'}</i>`}</b>`.markup, '<b><i>&#60;</i></b>', 'markup is not')
  t.equal(
    html`${[html`<br>`, '<br>', 3, undefined]}`.markup,
    '<br>&#60;br&#62;3',
    'lists are joined',
  )
})

t.test('words', async (t) => {
  const durations = [
    [-5, '0 s'],
    [999, '0 s'],
    [61_000, '1 min 1 s'],
    [3_600_000, '1 h'],
    [3_605_000, '1 h'],
    [90_061_000, '1 d 1 h'],
  ] as const
  for (const [ms, words] of durations) t.equal(durationWords(ms), words, `${ms} ms`)
  const sizes = [
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [150 * 1024 * 1024, '150 MiB'],
    [2 ** 50, '1024 TiB'],
  ] as const
  for (const [bytes, words] of sizes) t.equal(bytesWords(bytes), words, `${bytes} bytes`)
  t.equal(countWords(1234567), '1,234,567')
  t.equal(clipped('x'.repeat(121)), `${'x'.repeat(119)}…`)
})

t.test('the page', async (t) => {
  t.test('shows agents, their names, certificates and listeners', async (t) => {
    const page = statusPage(statusWith([session({})]), NOW)
    for (const part of [
      '<h1>gateway.example.com</h1>',
      'up 1 h',
      '<bdi>shed</bdi>',
      '<bdi>linux/arm64</bdi>',
      '<a href="https://app.example.com:8443/" rel="noreferrer">app.example.com</a>',
      '<td>ssh.example.com</td>',
      '12 ms',
      '3 s ago',
      '1.5 MiB',
      '2026-03-31 12:00:00 UTC',
      '30 d left',
      '[::]:8443',
    ]) {
      t.ok(page.includes(part), part)
    }
    t.notMatch(page, /<script/i, 'and has no script')
  })

  t.test('leaves the port out of links to 443', async (t) => {
    const status = statusWith([session({})], { public: { address: '::', port: 443 } })
    t.match(statusPage(status, NOW), /href="https:\/\/app\.example\.com\/"/)
  })

  t.test('shows every way to a tunnel, and counts ports', async (t) => {
    const routes = [
      route({ name: 'ssh.example.com', port: 2222, isSsh: true }),
      route({ port: 30_017 }),
      route({ name: 'own.example.com', mode: 'tls' }),
    ]
    const page = statusPage(statusWith([session({ routes })]), NOW)
    for (const part of [
      '<td>ssh.example.com, port 2222, plain SSH on port 8443</td>',
      '<td>port 30017</td>',
      '<td>own.example.com</td><td data-label="mode">tls</td>',
      '<b>2</b> and 2 ports held by them',
    ]) {
      t.ok(page.includes(part), part)
    }
  })

  t.test('says where agents reach it while there are none', async (t) => {
    const page = statusPage(statusWith([]), NOW)
    t.match(page, /No agent is connected/)
    t.match(page, /tunnel\.example\.com:9443/)
  })

  t.test('says that it closes', async (t) => {
    const status = statusWith([])
    t.match(
      statusPage({ ...status, gateway: { ...status.gateway, isClosing: true } }, NOW),
      /nothing new is accepted/,
    )
  })

  t.test('marks an agent that has been silent for too long', async (t) => {
    t.match(statusPage(statusWith([session({ lastPongAgoMs: 21_000 })]), NOW), /class="late">21 s/)
    t.match(statusPage(statusWith([session({ lastPongAgoMs: 20_000 })]), NOW), /<dd>20 s ago/)
  })

  t.test('marks a certificate that is about to expire', async (t) => {
    const certificates = [
      {
        name: 'a.example.com',
        source: 'development',
        state: 'valid' as const,
        notAfterMs: NOW + 86_400_000,
      },
      { name: 'b.example.com', source: 'operator', state: 'valid' as const, notAfterMs: NOW - 1 },
    ]
    const page = statusPage({ ...statusWith([]), certificates }, NOW)
    t.match(page, /class="late">\(1 d left\)/)
    t.match(page, /class="late">\(expired\)/)
  })

  t.test('says what becomes of a certificate', async (t) => {
    const failure = { kind: 'challenge' as const, reason: 'no <route>', nextTryAtMs: NOW + 60_000 }
    const page = (certificate: object) => {
      const one = { name: 'a.example.com', source: 'letsencrypt.org', state: 'none' as const }
      return statusPage({ ...statusWith([]), certificates: [{ ...one, ...certificate }] }, NOW)
    }
    t.match(page({}), />none yet</)
    t.match(page({ state: 'ordering' }), />being made</)
    t.match(page({ state: 'renewing', notAfterMs: NOW + 60_000 }), /\(1 min left\).*being renewed/)
    const failing = page({ state: 'failing', failure })
    t.match(failing, /failing: <bdi>no &#60;route&#62;<\/bdi>; next try in 1 min/)
  })

  t.test('shows what an agent says of itself as text, whatever it says', async (t) => {
    const payloads = [
      '<script>alert(1)</script>',
      '"><img src=x onerror=alert(1)>',
      "' onmouseover='alert(1)",
      '</style><script>alert(1)</script>',
      '<!--',
      ']]><svg/onload=alert(1)>',
      '&lt;script&gt;',
      '{{constructor.constructor("alert(1)")()}}',
      '\u202Emoc.elpmaxe',
      '</bdi></h3><script>alert(1)</script>',
    ]
    const plain = tagsOf(statusPage(statusWith([session({})]), NOW))
    for (const payload of payloads) {
      const hostile = session({
        agentId: `${payload}i`,
        agentName: payload,
        agentVersion: payload,
        agentPlatform: payload,
        routes: [
          route({ name: 'app.example.com', mode: 'http', target: payload }),
          route({ name: 'ssh.example.com', target: payload }),
        ],
      })
      const tags = tagsOf(statusPage(statusWith([hostile]), NOW))
      t.strictSame(
        tags.filter((tag) => !/^<\/?(bdi|span)>$/.test(tag)),
        plain.filter((tag) => !/^<\/?(bdi|span)>$/.test(tag)),
        payload,
      )
    }
  })
})

t.test('the server', async (t) => {
  t.test('serves the page under a policy that lets nothing run or load', async (t) => {
    const { get } = await serve(t, () => statusWith([session({})]))
    const { code, headers, body } = await get('/')
    t.equal(code, 200)
    t.equal(headers['content-type'], 'text/html; charset=utf-8')
    const [, css = ''] = /<style>([\s\S]*?)<\/style>/.exec(body) ?? []
    const hash = createHash('sha256').update(css).digest('base64')
    t.equal(
      headers['content-security-policy'],
      `default-src 'none'; style-src 'sha256-${hash}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    )
    t.match(headers, {
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      'cache-control': 'no-store',
    })
    t.equal((await get('/?now')).code, 200, 'a query is ignored')
  })

  t.test('gives the same as JSON', async (t) => {
    const { get } = await serve(t, () => statusWith([session({})]))
    const { headers, body } = await get('/api/v1/status')
    t.equal(headers['content-type'], 'application/json')
    t.match(JSON.parse(body), {
      gateway: { gatewayHost: 'gateway.example.com' },
      sessions: [{ id: 's1', routes: [{ name: 'app.example.com' }, { name: 'ssh.example.com' }] }],
      certificates: [{ name: 'app.example.com', notAfterMs: NOW + 30 * 86_400_000 }],
    })
  })

  t.test('is alive, and ready until it closes', async (t) => {
    let isReady = true
    const { get } = await serve(t, () => statusWith([]), { isReady: () => isReady })
    const probe = { host: '10.0.0.7:8080' } // as supervisors do
    t.match(await get('/healthz', probe), { code: 200, body: 'ok\n' })
    t.match(await get('/readyz', probe), { code: 200, body: /"isReady":true/ })
    isReady = false
    t.match(await get('/healthz', probe), { code: 200, body: 'ok\n' })
    t.match(await get('/readyz', probe), { code: 503, body: /"isReady":false,"isClosing":true/ })
  })

  t.test('knows no other page and no other method', async (t) => {
    const { get } = await serve(t, () => statusWith([]))
    for (const path of ['/x', '//', '/constructor', '/__proto__', '/api/v1/status/', '*']) {
      t.match(await get(path), { code: 404 }, path)
    }
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      t.match(await get('/', { method }), { code: 405, headers: { allow: 'GET, HEAD' } }, method)
    }
    t.match(await get('/', { method: 'HEAD' }), { code: 200, body: '' }, 'HEAD')
  })

  t.test('answers only to its own names', async (t) => {
    const { get } = await serve(t, () => statusWith([]))
    const cases: readonly (readonly [string, number])[] = [
      ['gateway.example.com', 200],
      ['GATEWAY.example.com.:8080', 200],
      ['localhost', 200],
      ['localhost:8080', 200],
      ['127.0.0.1:8080', 200],
      ['127.255.0.9', 200],
      ['[::1]:8080', 200],
      ['', 403],
      ['evil.example', 403],
      ['localhost.evil.example', 403],
      ['gateway.example.com.evil.example', 403],
      ['evil.example@localhost', 403],
      ['localhost@evil.example', 403],
      ['127.0.0.1.evil.example', 403],
      ['127.1', 403],
      ['127.0.0.1:x', 403],
      ['0177.0.0.1', 403],
      ['10.0.0.1', 403],
      ['0.0.0.0', 403],
      ['[::ffff:127.0.0.1]', 403],
      ['[::]', 403],
      ['::1', 403],
    ]
    for (const [host, code] of cases) t.match(await get('/', { host }), { code }, `Host: ${host}`)
    t.match(await get('/metrics', { host: 'evil.example' }), { code: 403 }, 'on every path')
    const twice = ['Host', 'localhost', 'Host', 'evil.example']
    t.match(await get('/', { lines: twice }), { code: 403 }, 'two Host lines')
  })

  t.test('survives a status that cannot be read', async (t) => {
    const { get } = await serve(t, () => {
      throw new Error('no')
    })
    t.match(await get('/'), { code: 500, body: 'The status could not be read.\n' })
    t.match(await get('/x'), { code: 404 })
  })
})

/** What a browser would take for tags and comments. */
function tagsOf(page: string): string[] {
  return page.replace(/<style>[\s\S]*?<\/style>/, '').match(/<[a-z/!][^>]*>?/gi) ?? []
}
