import { EventEmitter } from 'node:events'
import t from 'tap'
import type { AgentEvents, AgentStatus } from '../../src/client/agent-status.ts'
import { Monitor } from '../../src/client/monitor.ts'

class FakeAgent extends EventEmitter<AgentEvents> {
  state: AgentStatus['state'] = 'connecting'
  rttMs: number | undefined

  status(): AgentStatus {
    return {
      ...{ state: this.state, rttMs: this.rttMs, connectedSinceMs: undefined, session: undefined },
      ...{ ports: new Map(), tunnels: [route], streams: 3, lastError: undefined },
    }
  }
}

const target = { kind: 'tcp', host: '127.0.0.1', port: 1, text: ':1' } as const
const route = { hostname: 'app.test', mode: 'http', target } as const

t.test('an agent tells supervisors and Prometheus how it is', async (t) => {
  const agent = new FakeAgent()
  const monitor = new Monitor({ agent, version: '1.2.3' })
  const { port } = await monitor.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => monitor.close())
  const get = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method })
    return { status: response.status, body: await response.text() }
  }

  t.match(await get('/healthz'), { status: 200, body: 'ok\n' })
  t.match(await get('/readyz'), { status: 503, body: 'connecting\n' })
  t.notMatch((await get('/metrics')).body, /^gotunnel_agent_round_trip_seconds /m, 'not known yet')
  agent.state = 'connected'
  agent.rttMs = 12
  agent.emit('state', 'connected')
  agent.emit('connection', route)
  agent.emit('connection', route)
  t.match(await get('/readyz'), { status: 200, body: 'connected\n' })
  const { body } = await get('/metrics')
  for (const line of [
    'gotunnel_agent_build_info{version="1.2.3"} 1',
    'gotunnel_agent_connected 1',
    'gotunnel_agent_sessions_total 1',
    'gotunnel_agent_waits_total 0',
    'gotunnel_agent_round_trip_seconds 0.012',
    'gotunnel_agent_tunnels 1',
    'gotunnel_agent_streams 3',
    'gotunnel_agent_connections_total{tunnel="app.test"} 2',
  ]) {
    t.ok(body.includes(`\n${line}\n`), line)
  }
  t.match(await get('/'), { status: 404 })
  t.match(await get('/healthz', 'POST'), { status: 405 })
})
