import type { EventEmitter } from 'node:events'
import { createServer, type Server } from 'node:http'
import { ScrapedMetrics } from '../metrics/scraped.ts'
import type { HostPort } from '../net/address.ts'
import { listen } from '../net/listen.ts'
import type { AgentEvents, AgentStatus } from './agent-status.ts'

export interface MonitorOptions {
  readonly agent: EventEmitter<AgentEvents> & { status(): AgentStatus }
  readonly version: string
}

/**
 * Tells supervisors and Prometheus how an agent is: `/healthz` while it runs, `/readyz` while it is connected,
 * `/metrics`. There are names and numbers in it, and nothing can be changed through it.
 */
export class Monitor {
  readonly #server: Server
  readonly #agent: MonitorOptions['agent']
  readonly #metrics: ScrapedMetrics

  constructor({ agent, version }: MonitorOptions) {
    this.#agent = agent
    this.#metrics = agentMetrics(agent, version)
    this.#server = createServer(timeouts, (request, response) => {
      void this.#answer(request.method ?? '', request.url ?? '').then(({ status, type, body }) => {
        response.writeHead(status, {
          'content-type': type,
          'content-length': Buffer.byteLength(body),
          'cache-control': 'no-store',
          'x-content-type-options': 'nosniff',
        })
        response.end(request.method === 'HEAD' ? undefined : body)
      })
    })
  }

  /** @throws NetError NET_PORT_TAKEN, NET_PORT_FORBIDDEN, NET_LISTEN_FAILED */
  listen({ host, port }: HostPort): Promise<{ readonly address: string; readonly port: number }> {
    return listen(this.#server, { host, port })
  }

  async close(): Promise<void> {
    await new Promise((resolve) => {
      this.#server.close(resolve)
      this.#server.closeAllConnections()
    })
  }

  async #answer(method: string, url: string): Promise<Answer> {
    if (method !== 'GET' && method !== 'HEAD') return text(405, 'This can only be read.')
    const path = url.split('?', 1)[0]
    if (path === '/healthz') return text(200, 'ok')
    if (path === '/readyz') {
      const { state } = this.#agent.status()
      return text(state === 'connected' ? 200 : 503, state)
    }
    if (path !== '/metrics') return text(404, 'There are /healthz, /readyz and /metrics.')
    return { status: 200, type: this.#metrics.contentType, body: await this.#metrics.text() }
  }
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

const timeouts = {
  headersTimeout: 10_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
}

function text(status: number, sentence: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${sentence}\n` }
}

function agentMetrics(agent: MonitorOptions['agent'], version: string): ScrapedMetrics {
  const metrics = new ScrapedMetrics()
  let sessions = 0
  let waits = 0
  /** By the name of the tunnel: as many as the configuration has. */
  const connections = new Map<string, number>()
  agent.on('state', (state) => {
    if (state === 'connected') sessions += 1
    if (state === 'waiting') waits += 1
  })
  agent.on('connection', ({ hostname }) => {
    connections.set(hostname, (connections.get(hostname) ?? 0) + 1)
  })

  metrics.gauge(
    {
      name: 'gotunnel_agent_build_info',
      help: 'Always 1; the version is a label.',
      labels: ['version'],
    },
    () => [[{ version }, 1]],
  )
  metrics.gauge(
    { name: 'gotunnel_agent_connected', help: '1 while a gateway has admitted the agent.' },
    () => (agent.status().state === 'connected' ? 1 : 0),
  )
  metrics.counter(
    { name: 'gotunnel_agent_sessions_total', help: 'How often a gateway has admitted it.' },
    () => sessions,
  )
  metrics.counter(
    {
      name: 'gotunnel_agent_waits_total',
      help: 'How often it had to wait before it tried again.',
    },
    () => waits,
  )
  metrics.gauge(
    {
      name: 'gotunnel_agent_round_trip_seconds',
      help: 'To the gateway and back; absent while it is not known.',
    },
    () => {
      const { rttMs } = agent.status()
      return rttMs === undefined ? [] : rttMs / 1000
    },
  )
  metrics.gauge(
    { name: 'gotunnel_agent_tunnels', help: 'Tunnels that it offers.' },
    () => agent.status().tunnels.length,
  )
  metrics.gauge(
    { name: 'gotunnel_agent_streams', help: 'Streams that are open.' },
    () => agent.status().streams,
  )
  metrics.counter(
    {
      name: 'gotunnel_agent_connections_total',
      help: 'Connections to targets, by tunnel; in http mode one may carry many requests.',
      labels: ['tunnel'],
    },
    () => [...connections].map(([tunnel, count]) => [{ tunnel }, count] as const),
  )
  return metrics
}
