import t from 'tap'
import { Histogram, RecentLatency } from '../../src/server/telemetry/latency.ts'
import { maskedHeaders } from '../../src/server/telemetry/masked-headers.ts'
import { RecentRequests, type RequestRecord } from '../../src/server/telemetry/recent-requests.ts'
import { SessionHistories } from '../../src/server/telemetry/session-histories.ts'
import { Telemetry } from '../../src/server/telemetry/telemetry.ts'
import { TimeSeries } from '../../src/server/telemetry/time-series.ts'
import { TrafficByName } from '../../src/server/telemetry/traffic-by-name.ts'
import { session } from './dashboard-fixture.ts'

t.test('latency', async (t) => {
  t.test('has quantiles within a fifth of the truth', async (t) => {
    const latency = new RecentLatency()
    for (let ms = 1; ms <= 10_000; ms += 1) latency.add(ms, 0)
    const { p50Ms = 0, p95Ms = 0, p99Ms = 0 } = latency.quantiles(0) ?? {}
    for (const [got, wanted] of [
      [p50Ms, 5_000],
      [p95Ms, 9_500],
      [p99Ms, 9_900],
    ] as const) {
      t.ok(got >= wanted && got <= wanted * 1.2, `${got} for ${wanted}`)
    }
  })

  t.test('forgets what is older than ten minutes', async (t) => {
    const latency = new RecentLatency()
    t.equal(latency.quantiles(0), undefined)
    latency.add(1_000, 400_000)
    latency.add(10, 750_000)
    t.ok((latency.quantiles(750_000)?.p99Ms ?? 0) >= 1_000, 'older than five: still there')
    latency.add(10, 1_100_000)
    t.ok((latency.quantiles(1_100_000)?.p99Ms ?? 0) < 20, 'older than ten: not')
    t.equal(latency.quantiles(9_000_000), undefined)
  })

  t.test('takes any number, and counts as Prometheus does', async (t) => {
    const histogram = new Histogram()
    for (const ms of [-1, 0, 0.5, 1, 1.01, 2, 1e12, Number.NaN]) histogram.add(ms)
    const [first, second] = histogram.cumulative()
    t.strictSame([first, second?.upToMs, second?.count], [{ upToMs: 1, count: 5 }, 2, 7])
    t.equal(histogram.count, 8)
  })
})

t.test('a time series keeps the newest rows, oldest first', async (t) => {
  const series = new TimeSeries(['a', 'b'], 3)
  t.strictSame(series.values('a'), [])
  for (const a of [1, 2, 3, 4, 5]) series.add({ a, b: -a }, a)
  t.strictSame(series.values('a'), [3, 4, 5])
  t.strictSame(series.values('b'), [-3, -4, -5])
  t.equal(series.lastAtMs, 5)
})

t.test('recent requests', async (t) => {
  t.test('are bounded in number, and found by what they are', async (t) => {
    const requests = new RecentRequests(3)
    for (const status of [200, 404, 502, 200]) requests.add(record({ status, host: `h${status}` }))
    t.strictSame(
      [...requests].map(({ id }) => id),
      [4, 3, 2],
    )
    t.equal(requests.find(1), undefined, 'fell out')
    t.equal(requests.find(3)?.status, 502)
    const found = (filter: object) => requests.matching(filter, 10).map(({ id }) => id)
    t.strictSame(found({ status: '5xx' }), [3])
    t.strictSame(found({ status: '404' }), [2])
    t.strictSame(found({ host: 'h200' }), [4])
    t.strictSame(found({ text: '/PATH' }), [4, 3, 2])
    t.strictSame(found({ text: 'elsewhere' }), [])
    t.equal(requests.matching({}, 2).length, 2)
  })

  t.test('keep their headers, an empty value and none at all too', async (t) => {
    const requests = new RecentRequests(3)
    const rawRequestHeaders = [
      'Host',
      'app.test',
      'X-Empty',
      '',
      'X-Twice',
      'a',
      'X-Twice',
      'b\t\xe9',
    ]
    requests.add(record({ rawRequestHeaders, rawResponseHeaders: [] }))
    t.match(requests.find(1), { host: 'app.test', rawRequestHeaders, rawResponseHeaders: [] })
    t.notMatch(JSON.stringify([...requests]), /X-Empty/i, 'and lists have none')
  })

  t.test('keep only so much of a header', async (t) => {
    const requests = new RecentRequests(3)
    const rawRequestHeaders = ['a', 'b', 'long', 'x'.repeat(5_000), 'c', 'd']
    requests.add(record({ rawRequestHeaders }))
    t.strictSame(requests.find(1)?.rawRequestHeaders, ['a', 'b'])
  })
})

t.test('headers are shown without what may be secret', async (t) => {
  const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl'
  const cases = [
    ['Accept', 'text/html', 'text/html'],
    ['AUTHORIZATION', 'Basic YTpi', '[secret]'],
    ['Cookie', 'a=b', '[secret]'],
    ['set-cookie', 'a=b', '[secret]'],
    ['X-Api-Key', 'k', '[secret]'],
    ['X-Hub-Signature-256', 'sha256=1', '[secret]'],
    ['X-Forwarded-Access-Token', 't', '[secret]'],
    ['Referer', 'https://a.test/p?code=1#x', 'https://a.test/p?[secret]#x'],
    ['Location', '/p?code=1', '/p?[secret]'],
    ['X-Proxy', 'http://me:word@a.test/', 'http://[secret]@a.test/'],
    ['X-Note', `is ${jwt}.`, 'is [secret].'],
    ['X-Long', 'x'.repeat(600), 'x'.repeat(500)],
  ] as const
  const lines = cases.flatMap(([name, value]) => [name, value] as const)
  t.strictSame(
    maskedHeaders(lines),
    cases.map(([name, , value]) => ({ name, value })),
  )
})

t.test('names that agents come and go with are bounded, and busy ones are kept', async (t) => {
  const names = new TrafficByName({ limit: 3, labelLimit: 2 })
  names.of('busy').openRequests = 1
  for (let index = 0; index < 10; index += 1) names.of(`name-${index}`)
  t.equal(names.size, 3)
  t.ok(names.find('busy'))
  t.equal(names.find('name-0'), undefined)
  t.strictSame(
    [...names.labelled()].map(([name]) => name),
    ['busy', 'name-8'],
  )
})

t.test('histories of sessions', async (t) => {
  const histories = new SessionHistories(2)
  const first = session({ id: 'a', rttMs: 5, bytesIn: 10, bytesOut: 1 })
  t.strictSame(histories.sample([first], 0), { in: 10, out: 1 })
  t.strictSame(histories.sample([{ ...first, bytesIn: 15, rttMs: 6 }], 1), { in: 5, out: 0 })
  t.strictSame(histories.rtts('a'), [5, 6])
  histories.sample([], 2)
  t.strictSame(histories.rtts('a'), [], 'those that have gone are forgotten')
})

t.test('telemetry', async (t) => {
  t.test('counts by name and in all, and what is open', async (t) => {
    const telemetry = new Telemetry()
    telemetry.beginRequest()
    telemetry.routeRequest('app.test')
    const { total, names } = telemetry
    t.match([total, names.find('app.test')], [{ openRequests: 1 }, { openRequests: 1 }])
    const error = { atMs: 7, status: 502, code: 'TARGET_BROKEN', isOurs: true }
    const report = record({ status: 502, durationMs: 20 })
    telemetry.endRequest({ ...report, error }, 'app.test')
    for (const traffic of [total, names.find('app.test')]) {
      t.match(traffic, { openRequests: 0, requests: 1, failedRequests: 1, lastError: error })
      t.strictSame(traffic?.requestsByClass, [0, 0, 0, 0, 0, 1])
    }
    telemetry.beginConnection('tcp:1')
    t.equal(total.openConnections, 1)
    telemetry.endConnection({ ...report, status: 0, durationMs: 1, error: undefined }, 'tcp:1')
    t.match(names.find('tcp:1'), { openConnections: 0, connections: 1, failedConnections: 0 })
  })

  t.test('has rates of what happened between two samples', async (t) => {
    const telemetry = new Telemetry()
    telemetry.start(() => ({ connections: 0, sessions: [] }))
    t.teardown(() => telemetry.close())
    telemetry.beginRequest()
    telemetry.sample({ connections: 4, sessions: [session({ bytesIn: 100 })] })
    telemetry.sample({ connections: 5, sessions: [] })
    const [first = 0, second] = telemetry.history.values('requestsPerSec')
    t.ok(first > 0)
    t.equal(second, 0)
    t.strictSame(telemetry.history.values('connections'), [4, 5])
    t.strictSame(telemetry.history.values('agents'), [1, 0])
  })
})

function record(changes: Partial<RequestRecord>): RequestRecord {
  return {
    id: 0,
    requestId: 'r',
    atMs: 0,
    remoteAddress: '192.0.2.1',
    host: 'app.test',
    http: '1.1',
    method: 'GET',
    path: '/path',
    status: 200,
    outcome: 'whole',
    code: undefined,
    durationMs: 1,
    firstByteMs: undefined,
    bytesIn: 1,
    bytesOut: 2,
    session: undefined,
    rawRequestHeaders: [],
    rawResponseHeaders: [],
    ...changes,
  }
}
