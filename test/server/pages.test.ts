import t from 'tap'
import type { Caller } from '../../src/server/dashboard/access.ts'
import { certificatesPage } from '../../src/server/dashboard/pages/certificates.ts'
import { renderPage } from '../../src/server/dashboard/pages/layout.ts'
import { overviewPage } from '../../src/server/dashboard/pages/overview.ts'
import { requestPage, requestsPage } from '../../src/server/dashboard/pages/requests.ts'
import { sessionsPage } from '../../src/server/dashboard/pages/sessions.ts'
import { tunnelsPage } from '../../src/server/dashboard/pages/tunnels.ts'
import { type Page, View } from '../../src/server/dashboard/pages/view.ts'
import type { GatewayStatus } from '../../src/server/status.ts'
import { Telemetry } from '../../src/server/telemetry/telemetry.ts'
import { tunnelsOf } from '../../src/server/tunnel-status.ts'
import { exercise, NOW, route, session, statusWith } from './dashboard-fixture.ts'

const caller: Caller = { formToken: 'form-token', canLogOut: true, isWelcome: () => true }

t.test('overview', async (t) => {
  const page = show(overviewPage, statusWith([session({})]))
  for (const part of [
    'gateway.example.com',
    'data-since="1772362800">1 h</time>',
    '[::]:8443',
    'not listening',
    'Requests a second: now',
    'No visitor has come yet.',
  ]) {
    t.ok(page.includes(part), part)
  }
  const empty = show(overviewPage, statusWith([]))
  t.match(empty, /No agent is connected.*tunnel\.example\.com:9443/)
  const status = statusWith([])
  const closing = { ...status, gateway: { ...status.gateway, isClosing: true } }
  t.match(show(overviewPage, closing), /draining/)
})

t.test('sessions', async (t) => {
  t.test('show agents with what they offer', async (t) => {
    const routes = [
      route({ name: 'ssh.example.com', port: 2222, isSsh: true }),
      route({ port: 30_017 }),
      route({ name: 'own.example.com', mode: 'tls' }),
    ]
    const page = show(sessionsPage, statusWith([session({ routes })]))
    for (const part of [
      '<bdi>shed</bdi>',
      '<bdi>linux/arm64</bdi>',
      '12 ms',
      '1.5 MiB',
      'ssh.example.com, port 2222, plain SSH',
      'port 30017',
      'action="/sessions/s1/disconnect"',
      'name="token" value="form-token"',
    ]) {
      t.ok(page.includes(part), part)
    }
  })

  t.test('mark who has been silent for too long', async (t) => {
    const silent = (lastPongAgoMs: number) =>
      show(sessionsPage, statusWith([session({ lastPongAgoMs })]))
    t.match(silent(21_000), /class="bad"><dt>Heartbeat/)
    t.notMatch(silent(20_000), /class="bad"><dt>Heartbeat/)
  })

  t.test('are found by what they are, and shown in pages', async (t) => {
    const many = Array.from({ length: 120 }, (_, index) =>
      session({ id: `s${index}`, agentName: `agent-${index}` }),
    )
    const cards = (query: string) =>
      show(sessionsPage, statusWith(many), query).match(/<article/g)?.length ?? 0
    t.strictSame(
      ['', 'page=3', 'page=99', 'q=agent-119', 'q=nobody'].map(cards),
      [50, 20, 20, 1, 0],
    )
    t.match(show(sessionsPage, statusWith(many), 'page=2'), /120 agents, 51 to 100/)
  })

  t.test('with very many names link to the rest', async (t) => {
    const routes = Array.from({ length: 20 }, (_, n) => route({ name: `n${n}.example.com` }))
    t.match(show(sessionsPage, statusWith([session({ routes })])), /and 8 more/)
  })
})

t.test('tunnels', async (t) => {
  const telemetry = new Telemetry()
  exercise(telemetry)

  t.test('show what went through', async (t) => {
    const page = show(tunnelsPage, statusWith([session({})]), '', telemetry)
    for (const part of [
      'href="https://app.example.com:8443/"',
      '<td class="n bad" data-label="5xx">1</td>',
      '<td class="n" data-label="p50">13 ms</td>',
      'TARGET_BROKEN',
      '>valid</span>',
    ]) {
      t.ok(page.includes(part), part)
    }
  })

  t.test('are sorted and found', async (t) => {
    const names = (query: string) =>
      [
        ...show(tunnelsPage, statusWith([session({})]), query, telemetry).matchAll(
          /id="t-s1-(\w+)/g,
        ),
      ]
        .map(([, name]) => name)
        .join(' ')
    t.equal(names(''), 'app ssh')
    t.equal(names('sort=name&order=down'), 'ssh app')
    t.equal(names('sort=5xx'), 'app ssh')
    t.equal(names('sort=5xx&order=up'), 'ssh app')
    t.equal(names('sort=constructor'), 'app ssh')
    t.equal(names('q=SSH'), 'ssh')
  })
})

t.test('requests', async (t) => {
  const telemetry = new Telemetry()
  exercise(telemetry)
  const page = (query: string) => show(requestsPage, statusWith([]), query, telemetry)

  t.test('are listed and filtered', async (t) => {
    t.match(page(''), /href="\/requests\/1"/)
    t.match(page('host=app.example.com&status=5xx&text=/x'), /href="\/requests\/1"/)
    t.notMatch(page('status=404'), /href="\/requests\/1"/)
    t.match(page('status=nonsense'), /A status is such as/)
  })

  t.test('have a page each, without secrets', async (t) => {
    const record = telemetry.requests.find(1)
    if (record === undefined) throw new Error('no record')
    const detail = show(requestPage(record), statusWith([]))
    t.match(detail, /Cookie<\/th><td class="mono"><bdi>\[secret\]/)
    t.match(detail, /TARGET_BROKEN/)
    t.match(detail, /3\.0 ms/)
  })
})

t.test('certificates say what becomes of them', async (t) => {
  const failure = { kind: 'challenge' as const, reason: 'no <route>', nextTryAtMs: NOW + 60_000 }
  const page = (certificate: object) => {
    const one = { name: 'a.example.com', source: 'letsencrypt.org', state: 'none' as const }
    return show(certificatesPage, { ...statusWith([]), certificates: [{ ...one, ...certificate }] })
  }
  t.match(page({}), />not yet</)
  t.match(page({ state: 'ordering' }), />ordering</)
  t.match(
    page({ state: 'valid', notAfterMs: NOW + 86_400_000 }),
    /class="bad">\(<time.*>1 d<\/time> left/,
  )
  const renewed = { state: 'valid', notAfterMs: NOW + 86_400_000, renewAtMs: NOW + 1_000 }
  t.notMatch(page(renewed), /class="bad"/, 'short-lived, and about to be renewed')
  t.match(page({ state: 'expired', notAfterMs: NOW - 1 }), /\(over\)/)
  t.match(page({ state: 'valid', renewAtMs: NOW }), />2026-03-01</)
  t.match(
    page({ state: 'failing', failure }),
    /no &#60;route&#62;<\/bdi><\/span>; next try in <time.*>1 min</,
  )
})

t.test('what strangers say is text, whatever they say', async (t) => {
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
    '</bdi></h2><script>alert(1)</script>',
    '</template><script>alert(1)</script>',
    'javascript:alert(1)',
  ]
  for (const payload of payloads) {
    const telemetry = new Telemetry()
    const [hostile, plain] = [payload, 'plain'].map((word) => {
      exercise(telemetry, { path: word, method: word, header: word })
      const routes = [route({ name: 'app.example.com', mode: 'http', target: word })]
      const said = { agentId: `${word}i`, agentName: word, agentVersion: word, agentPlatform: word }
      const status = statusWith([session({ ...said, routes })])
      const record = telemetry.requests.find(telemetry.requests.lastId)
      const pages = [overviewPage, sessionsPage, tunnelsPage, requestsPage, certificatesPage]
      return [...pages, ...(record ? [requestPage(record)] : [])].map((page) =>
        tagsOf(show(page, status, '', telemetry)),
      )
    })
    const known = new Set(plain?.flat())
    t.strictSame(
      hostile?.flat().filter((tag) => !known.has(tag)),
      [],
      payload,
    )
    const searched = tagsOf(
      show(tunnelsPage, statusWith([]), new URLSearchParams({ q: payload }).toString()),
    )
    t.notOk(
      searched.some((tag) => /^<(script>|img|svg\/)/.test(tag)),
      `searched: ${payload}`,
    )
  }
})

function show(page: Page, status: GatewayStatus, query = '', telemetry = new Telemetry()): string {
  const snapshot = { atMs: NOW, status, telemetry, tunnels: tunnelsOf(status, telemetry) }
  return renderPage(page, new View({ snapshot, caller, query: new URLSearchParams(query) }))
}

/** What a browser would take for tags and comments, without what differs from row to row. */
function tagsOf(page: string): string[] {
  const tags = page.match(/<[a-z/!][^>]*>?/gi) ?? []
  return tags.map((tag) =>
    tag.replace(/ (id|href|datetime|data-since|d|title|aria-label)="[^"]*"/g, ''),
  )
}
