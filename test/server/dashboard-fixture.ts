import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { Dashboard } from '../../src/server/dashboard/dashboard.ts'
import { createDashboardServer } from '../../src/server/dashboard/server.ts'
import type { GatewayStatus, RouteStatus, SessionStatus } from '../../src/server/status.ts'
import { Telemetry } from '../../src/server/telemetry/telemetry.ts'
import { RecordingLog } from '../certs/support.ts'

export const NOW = Date.parse('2026-03-01T12:00:00Z')

type Tap = Pick<Test, 'teardown'>

interface Asking {
  readonly method?: string
  readonly host?: string
  readonly lines?: string[]
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface ServeOptions {
  readonly isReady?: () => boolean
  readonly password?: string
}

/** The dashboard of a gateway that is `status` alone, on a port of its own. */
export async function serve(
  t: Tap,
  status: () => GatewayStatus,
  { isReady = () => true, password }: ServeOptions = {},
) {
  const listening = { public: true, tunnel: true, http: false, dashboard: true }
  const gateway = {
    status,
    readiness: () => ({ isReady: isReady(), isClosing: !isReady(), listening }),
    telemetry: new Telemetry(),
    disconnect: (id: string) => id === 's1',
  }
  const log = new RecordingLog()
  const dashboard = new Dashboard({ gateway, gatewayHost: 'gateway.example.com', password, log })
  const server = createDashboardServer(dashboard)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo

  async function get(path: string, asking: Asking = {}) {
    const { method = 'GET', host = 'localhost', lines, headers: more = {}, body: sent } = asking
    const length = sent === undefined ? [] : ['Content-Length', String(Buffer.byteLength(sent))]
    const headers = lines ?? ['Host', host, ...length, ...Object.entries(more).flat()]
    const request = http.request({ port, host: '127.0.0.1', path, method, headers, agent: false })
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      request.on('response', resolve).on('error', reject).end(sent)
    })
    let body = ''
    for await (const chunk of response.setEncoding('utf8')) body += chunk
    return { code: response.statusCode, headers: response.headers, body }
  }
  return { get, gateway, dashboard, log, port }
}

export function session(changes: Partial<SessionStatus>): SessionStatus {
  return {
    id: 's1',
    agentId: 'shed-1',
    agentName: 'shed',
    agentVersion: '0.1.0',
    agentPlatform: 'linux/arm64',
    remoteAddress: '203.0.113.7',
    connectedSinceMs: NOW - 125_000,
    lastPongAgoMs: 3_000,
    rttMs: 12.34,
    streams: 4,
    bytesIn: 1536 * 1024,
    bytesOut: 900,
    routes: [
      route({ name: 'app.example.com', mode: 'http', target: '127.0.0.1:3000' }),
      route({ name: 'ssh.example.com', target: ':22' }),
    ],
    ...changes,
  }
}

export function route(changes: Partial<RouteStatus>): RouteStatus {
  return { name: undefined, port: undefined, isSsh: false, mode: 'tcp', target: ':1', ...changes }
}

export function statusWith(
  sessions: readonly SessionStatus[],
  addresses: Partial<GatewayStatus['gateway']['addresses']> = {},
): GatewayStatus {
  return {
    gateway: {
      version: '0.1.0',
      gatewayHost: 'gateway.example.com',
      tunnelHost: 'tunnel.example.com',
      startedAtMs: NOW - 3_600_000,
      isClosing: false,
      addresses: {
        public: { address: '::', port: 8443 },
        tunnel: { address: '::', port: 9443 },
        http: undefined,
        dashboard: { address: '127.0.0.1', port: 8080 },
        ...addresses,
      },
      counters: {
        openConnections: 3,
        connections: 1200,
        limitedConnections: 0,
        openRequests: 1,
        requests: 98_765,
        failedRequests: 2,
        tcpConnections: 7,
        admittedAgents: 2,
        refusedAgents: 1,
      },
    },
    sessions,
    certificates: [
      {
        name: 'app.example.com',
        source: 'development',
        state: 'valid' as const,
        notAfterMs: NOW + 30 * 86_400_000,
      },
    ],
    issuance: { issuer: 'development', ordering: 0, issued: 1, renewed: 0, failed: 0 },
  }
}

export interface Said {
  readonly path?: string
  readonly method?: string
  readonly header?: string
}

/** One request has failed, and a sample was taken. */
export function exercise(
  telemetry: Telemetry,
  { path = '/x', method = 'GET', header = 'a=b' }: Said = {},
): void {
  const facts = { atMs: NOW, requestId: 'r1', remoteAddress: '192.0.2.1', host: 'app.example.com' }
  const sizes = { bytesIn: 10, bytesOut: 20 }
  telemetry.beginRequest()
  telemetry.routeRequest('app.example.com')
  telemetry.endRequest(
    {
      ...{ status: 502, durationMs: 12.5 },
      error: { atMs: NOW, status: 502, code: 'TARGET_BROKEN', isOurs: true },
      ...{ ...facts, ...sizes, http: '1.1', method, path },
      ...{ outcome: 'refused', code: 'TARGET_BROKEN', session: 's1', firstByteMs: 3 },
      ...{ rawRequestHeaders: ['Cookie', header, 'X-Word', header], rawResponseHeaders: [] },
    },
    'app.example.com',
  )
  telemetry.sample({ connections: 1, sessions: [] })
}
