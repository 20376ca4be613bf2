import t from 'tap'
import { complaints, openApi, type Schema } from '../support/openapi.ts'
import { exercise, NOW, route, serve, session, statusWith } from './dashboard-fixture.ts'

t.test('the API is what docs/openapi.yaml says', async (t) => {
  const { get, dashboard, gateway } = await serve(t, () => ({
    ...statusWith([session({ routes: [route({ name: 'app.example.com' }), route({ port: 2 })] })]),
    certificates: [
      {
        ...{ name: 'app.example.com', source: 'a.test', state: 'failing' as const },
        failure: { kind: 'challenge' as const, reason: 'no route', nextTryAtMs: NOW },
      },
    ],
  }))
  exercise(gateway.telemetry)

  t.test('has its paths and methods, and no others', async (t) => {
    const machines = Object.entries(dashboard.paths).filter(([path]) => isForMachines(path))
    const inCode = machines.flatMap(([path, methods]) =>
      methods.map((method) => `${method} ${path.replace(':id', '{id}')}`),
    )
    const inFile = Object.entries(openApi.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    )
    t.strictSame(inCode.sort(), inFile.sort())
  })

  const asked = [
    ['GET', '/readyz', '/readyz', 200],
    ['GET', '/api/v1/status', '/api/v1/status', 200],
    ['GET', '/api/v1/sessions', '/api/v1/sessions', 200],
    ['GET', '/api/v1/tunnels', '/api/v1/tunnels', 200],
    ['GET', '/api/v1/certificates', '/api/v1/certificates', 200],
    ['GET', '/api/v1/history', '/api/v1/history', 200],
    ['GET', '/api/v1/requests', '/api/v1/requests', 200],
    ['GET', '/api/v1/requests?limit=0', '/api/v1/requests', 400],
    ['GET', '/api/v1/requests?status=x', '/api/v1/requests', 400],
    ['GET', '/api/v1/requests/1', '/api/v1/requests/{id}', 200],
    ['GET', '/api/v1/requests/99', '/api/v1/requests/{id}', 404],
    ['DELETE', '/api/v1/sessions/s1', '/api/v1/sessions/{id}', 200],
    ['DELETE', '/api/v1/sessions/s2', '/api/v1/sessions/{id}', 404],
  ] as const
  for (const [method, path, template, code] of asked) {
    t.test(`${method} ${path}: ${code}`, async (t) => {
      const answer = await get(path, { method })
      t.equal(answer.code, code)
      t.equal(answer.headers['content-type'], 'application/json')
      const operation = openApi.paths[template]?.[method.toLowerCase()]
      const schema = operation?.responses[code]?.content['application/json']?.schema as Schema
      t.strictSame(complaints(JSON.parse(answer.body), schema), [])
    })
  }

  t.test('has what happened in it', async (t) => {
    const { tunnels } = JSON.parse((await get('/api/v1/tunnels')).body)
    t.match(tunnels, [
      {
        id: 'app.example.com',
        agent: 'shed',
        certificate: { state: 'failing' },
        traffic: { requests: 1, requestsByClass: { '5xx': 1 }, lastError: { status: 502 } },
      },
      { id: 'tcp:2', traffic: { requests: 0 } },
    ])
    const { requests } = JSON.parse((await get('/api/v1/requests?status=5xx')).body)
    t.match(requests, [{ host: 'app.example.com', path: '/x' }])
    t.strictSame(JSON.parse((await get('/api/v1/requests?status=404')).body).requests, [])
    const detail = JSON.parse((await get('/api/v1/requests/1')).body)
    t.match(detail.requestHeaders, [{ name: 'Cookie', value: '[secret]' }])
  })

  t.test('metrics are in the text format, with what happened', async (t) => {
    const { headers, body } = await get('/metrics')
    t.match(headers['content-type'], /^text\/plain; version=0\.0\.4/)
    for (const line of [
      'gotunnel_agents 1',
      'gotunnel_ready 1',
      'gotunnel_build_info{version="0.1.0"} 1',
      'gotunnel_http_requests_total{class="5xx"} 1',
      'gotunnel_http_request_duration_seconds_bucket{le="+Inf"} 1',
      'gotunnel_http_request_duration_seconds_count 1',
      'gotunnel_name_requests_total{name="app.example.com",class="5xx"} 1',
      'gotunnel_certificates{state="failing"} 1',
    ]) {
      t.ok(body.includes(`\n${line}\n`), line)
    }
    t.match(body, /^process_cpu_seconds_total /m)
    t.equal((await get('/metrics')).code, 200, 'and again')
    t.match((await get('/metrics')).body, /\ngotunnel_agents 1\n/, 'with the same values')
  })
})

function isForMachines(path: string): boolean {
  return /^\/(api\/|metrics$|healthz$|readyz$)/.test(path)
}
