import { once } from 'node:events'
import t from 'tap'
import { startAgent, startGateway } from '../support/programs.ts'
import { lacks, lacksNewerNode, newerNode } from '../support/tools.js'
import { openBrowser, openPage } from './browser.ts'
import { Site } from './browser-site.ts'
import { listen } from './targets.ts'

// A page with many assets, a WebSocket, events, a response that it reads piece by piece and an upload, in
// Chromium: by HTTP/2, where WebSockets are streams of the same connection, and by HTTP/1.1.

/** Of each kind, as the page has it. */
const assets = 40

t.test('Chromium', { skip: lacks('chromium') || lacksNewerNode() }, async (t) => {
  const site = new Site()
  const target = await listen(t, site.server)
  const browser = await openBrowser(t)
  for (const [http2, protocol, version] of [
    ['auto', 'h2', '2'],
    ['off', 'http/1.1', '1.1'],
  ] as const) {
    t.test(`has all of a page by ${protocol}`, async (t) => {
      const gateway = await startGateway(t, { node: newerNode, env: { HTTP2: http2 } })
      const agent = await startAgent(t, gateway, [{ hostname: 'app.localhost', target }])
      const reported = once(site.news, 'report')
      const { page, problems } = await openPage(browser)
      await page.goto(`https://app.localhost:${gateway.ports.public}/`)
      const [report] = await reported
      t.strictSame(report, {
        ...{ scripts: assets, styles: assets, images: assets },
        webSocket: { echoes: [true, true, true], code: 4001, reason: 'enough', wasClean: true },
        events: ['first', 'second', 'last'],
        pieces: ['one', 'two', 'three'],
        uploaded: { bytes: 3_000_000 },
        ...{ protocols: [protocol], problems: [] },
      })
      t.strictSame(problems, [], 'nothing on its console')
      await page.close()
      await gateway.program.waitFor('request', { path: '/socket', http: version, status: 101 })
      for (const program of [gateway.program, agent]) t.strictSame(program.warnings, [])
    })
  }
})
