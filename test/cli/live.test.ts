import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { drawView, type Paper, type View } from '../../src/cli/live/view.ts'

const nowMs = Date.parse('2026-01-01T12:00:00Z')
const view: View = {
  version: '1.2.3',
  gateway: 'tunnel.example.com:9443',
  state: 'connected',
  connectedSinceMs: nowMs - 150_000,
  rttMs: 12.4,
  tunnels: [
    { address: 'https://app.example.com', target: 'localhost:3000', count: 1234, of: 'request' },
    { address: 'ssh.example.com', target: 'localhost:22', count: 1, of: 'connection' },
  ],
  problems: [],
  requests: [],
}
const request = {
  ...{ atMs: nowMs, hostname: 'app.example.com', method: 'GET', path: '/' },
  ...{ status: 200, durationMs: 12 },
}
const paper: Paper = { columns: 80, rows: 24, isColoured: false, nowMs }

t.test('shows how the agent stands, and each tunnel', async (t) => {
  t.strictSame(drawView(view, paper), [
    'gotunnel-agent 1.2.3',
    '',
    'gateway  tunnel.example.com:9443  connected for 2 min, 12 ms',
    'tunnels  https://app.example.com → localhost:3000  1,234 requests',
    '         ssh.example.com         → localhost:22  1 connection',
    '',
    'no requests yet',
    '',
    'Ctrl+C ends the agent',
  ])
  const waiting = { ...view, state: 'waiting', problems: ['12:00:00 warn  no way'] } as const
  t.match(drawView(waiting, paper)[2], /tunnel.example.com:9443 {2}waiting$/)
  t.ok(drawView(waiting, paper).includes('12:00:00 warn  no way'))
})

t.test('scrolls what visitors ask for beneath, the newest first', async (t) => {
  const requests = [
    { ...request, path: '/third', status: 502, durationMs: 90_000 },
    { ...request, path: '/second', status: 0 },
    request,
  ]
  const lines = drawView({ ...view, requests }, paper)
  t.strictSame(
    lines.slice(6, 9).map((line) => line.slice(line.indexOf('GET'))),
    [
      'GET     502    1 min  app.example.com/third',
      'GET     left   12 ms  app.example.com/second',
      'GET     200    12 ms  app.example.com/',
    ],
  )
})

t.test('fits into any terminal', async (t) => {
  const tunnels = Array.from({ length: 500 }, (_, at) => ({
    ...{ address: `https://${at}.example.com`, target: 'localhost:3000' },
    ...{ count: at, of: 'request' as const },
  }))
  const requests = Array.from({ length: 200 }, () => ({ ...request, path: '/long'.repeat(100) }))
  const problems = ['x'.repeat(500), 'y'.repeat(500)]
  for (const isColoured of [false, true]) {
    for (const [columns, rows] of [
      [80, 24],
      [40, 10],
      [250, 80],
      [20, 3],
    ] as const) {
      const lines = drawView(
        { ...view, tunnels, requests, problems },
        { ...paper, columns, rows, isColoured },
      )
      t.ok(lines.length <= rows, `${lines.length} of ${rows} lines`)
      const widest = Math.max(...lines.map((line) => stripVTControlCharacters(line).length))
      t.ok(widest <= Math.max(columns, 30), `${widest} of ${columns} columns`)
    }
  }
})

t.test('lets no stranger write to the terminal', async (t) => {
  const evil = '\x1b[2J\r\n\x07\u202e'
  const requests = [{ ...request, hostname: evil, method: evil, path: evil }]
  const tunnels = [{ address: `https://${evil}`, target: 'a', count: 0, of: 'request' as const }]
  const text = drawView({ ...view, requests, tunnels }, paper).join('')
  t.notMatch(text, /[\x00-\x1f\x7f-\x9f\u202e]/)
})
