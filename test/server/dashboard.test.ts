import t from 'tap'
import { html } from '../../src/server/dashboard/html.ts'
import { bytesWords, clipped, countWords, durationWords } from '../../src/server/dashboard/words.ts'
import { NOW, serve, session, statusWith } from './dashboard-fixture.ts'

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

t.test('the server', async (t) => {
  t.test('serves the page under a policy that lets nothing run or load', async (t) => {
    const { get } = await serve(t, () => statusWith([session({})]))
    const { code, headers, body } = await get('/')
    t.equal(code, 200)
    t.equal(headers['content-type'], 'text/html; charset=utf-8')
    t.equal(
      headers['content-security-policy'],
      "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    )
    t.notMatch(body, /<script>|<style|style=|\bon[a-z]+=/, 'and needs nothing more')
    t.match(headers, {
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'same-origin',
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
