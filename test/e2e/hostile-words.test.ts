import t from 'tap'
import { signToken } from '../../src/auth/jwt.ts'
import { ClientError } from '../../src/client/errors.ts'
import { Tunnel } from '../../src/client/tunnel.ts'
import { dialTls } from '../../src/transport/tls.ts'
import { sharedSecret, startGateway } from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { openBrowser, openPage } from './browser.ts'
import { serveHttp } from './targets.ts'
import { visit } from './visitor.ts'

// Agents and visitors choose most of the words on the dashboard. None of them is ever more than a word.

const breakouts = [
  '',
  '">',
  "'>",
  '`>',
  '-->',
  '</td></tr></table>',
  '</title>',
  '</script>',
  ']]>',
  '\\">',
]
const vectors = [
  '<script>pwned()</script>',
  '<img src=x onerror=pwned()>',
  '<svg onload=pwned()>',
  '<svg><script href="data:,pwned()"/></svg>',
  '<iframe srcdoc="<script>parent.pwned()</script>">',
  '<iframe src="javascript:parent.pwned()">',
  '<details open ontoggle=pwned()>',
  '<input autofocus onfocus=pwned()>',
  '<body onload=pwned()>',
  '<a href="javascript:pwned()" id=bait>bait</a>',
  '<form action="javascript:pwned()"><button>',
  '<meta http-equiv=refresh content="0;url=javascript:pwned()">',
  '<base href="https://elsewhere.example/">',
  '<style>@import "https://elsewhere.example/x.css"</style>',
  '" onmouseover="pwned()" autofocus onfocus="pwned()" x="',
]
const payloads = breakouts.flatMap((breakout) => vectors.map((vector) => breakout + vector))

t.test('150 of them in every field are text', { skip: lacks('chromium') }, async (t) => {
  t.equal(payloads.length, 150)
  const gateway = await startGateway(t)
  const target = await serveHttp(t, ({ headers }, response) => {
    response.setHeader('x-answer', headers['x-word'] ?? '')
    response.end()
  })
  const dial = dialTls({ host: 'localhost', port: gateway.ports.tunnel, ca: gateway.ca })
  for (const [at, word] of payloads.entries()) {
    const signal = AbortSignal.timeout(30_000)
    const tunnel = await Tunnel.open(
      {
        transport: await dial(signal),
        token: signToken({ secret: sharedSecret, issuer: word, expireSec: 3600 }),
        routes: [
          {
            hostname: `app-${at}.localhost`,
            mode: 'http',
            target: { host: '127.0.0.1', port: target, text: word },
          },
        ],
        agent: { id: `${at}${word}`, name: word, version: word, platform: word },
      },
      signal,
    )
    t.teardown(() => tunnel.destroy(new ClientError('CLIENT_CLOSED', 'the test is over')))
    const path = `/${encodeURIComponent(word)}`
    const headers = { 'x-word': word, referer: word, 'user-agent': word, 'x-request-id': word }
    await visit(gateway, `app-${at}.localhost`, path, { headers })
  }

  const browser = await openBrowser(t)
  const base = `http://localhost:${gateway.ports.dashboard}`
  const { page, problems } = await openPage(browser, { baseURL: base })
  await page.addInitScript('globalThis.pwned = () => { globalThis.isPwned = true }')
  const look = async (path: string) => {
    await page.goto(path)
    await page.locator('h1').waitFor()
    // What is live is drawn anew by a script, which could be careless where the server is not.
    if (!path.includes('/requests/')) await page.locator('#live.on').waitFor()
    t.equal(await page.evaluate('globalThis.isPwned'), undefined, path)
    t.equal(await page.locator('#bait, iframe, main img, base').count(), 0, path)
  }
  for (const path of ['/', '/sessions', '/tunnels', '/requests', '/certificates']) await look(path)
  await page.goto('/requests')
  const details = await page
    .locator('main a[href^="/requests/"]')
    .evaluateAll((links) => links.map((link) => (link as unknown as { href: string }).href))
  t.ok(details.length >= 50, `${details.length} requests are on the page`)
  for (const href of details.slice(0, vectors.length)) await look(new URL(href).pathname)
  t.strictSame(problems, [], 'and nothing had to be stopped by the Content-Security-Policy')
  await page.goto('/sessions')
  t.match(await page.locator('main').textContent(), vectors[1])
})
