import type { CertificateStatus } from '../certs/status.ts'
import { matchesHostname } from '../net/hostname.ts'
import { portName, sshName } from './claims.ts'
import type { GatewayStatus, RouteStatus, SessionStatus } from './status.ts'
import type { LatencyQuantiles } from './telemetry/latency.ts'
import type { Telemetry } from './telemetry/telemetry.ts'
import { Traffic, type TrafficError } from './telemetry/traffic.ts'
import type { TrafficByName } from './telemetry/traffic-by-name.ts'

/** One tunnel: how it is reached, whose it is, and what went through since its names were first used. */
export interface TunnelStatus extends RouteStatus {
  /** Its hostname, and the path where it has one; without a hostname `tcp:` and its port. */
  readonly id: string
  readonly session: string
  /** What the agent calls itself, or its address. */
  readonly agent: string
  /** Where a browser finds it; in mode http. */
  readonly url: string | undefined
  /** In modes http and tcp. */
  readonly certificate: CertificateStatus | undefined
  readonly traffic: TrafficStatus
}

export interface TrafficStatus {
  readonly requests: number
  /** `none`: the visitor left before there was an answer. */
  readonly requestsByClass: Readonly<Record<'none' | '1xx' | '2xx' | '3xx' | '4xx' | '5xx', number>>
  readonly openRequests: number
  /** In tcp and tls mode. */
  readonly connections: number
  readonly openConnections: number
  readonly failedRequests: number
  readonly failedConnections: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Of requests in the last 5 to 10 minutes, if there were any. */
  readonly latency: LatencyQuantiles | undefined
  readonly lastError: TrafficError | undefined
}

/** All tunnels of all sessions, in their order. */
export function tunnelsOf(status: GatewayStatus, { names }: Telemetry): TunnelStatus[] {
  const nowMs = performance.now()
  const certificateOf = certificateFinder(status.certificates)
  const port = status.gateway.addresses.public?.port ?? 443
  return status.sessions.flatMap((session) =>
    session.routes.map((route) => {
      const { name, port: ownPort, isSsh, mode, target } = route
      const hostname = name?.split('/', 1)[0]
      // Field by field: of five thousand, spreading takes ten times as long.
      return {
        name,
        port: ownPort,
        isSsh,
        mode,
        target,
        id: idOf(route),
        session: session.id,
        agent: agentOf(session),
        url: mode === 'http' && name !== undefined ? urlOf(name, port) : undefined,
        certificate: mode === 'tls' || hostname === undefined ? undefined : certificateOf(hostname),
        traffic: trafficOf(trafficsOf(route, names), nowMs),
      }
    }),
  )
}

/** What to call a session's agent. */
export function agentOf({ agentName, agentId, remoteAddress }: SessionStatus): string {
  return agentName ?? agentId ?? remoteAddress
}

function idOf({ name, port }: RouteStatus): string {
  return name ?? (port === undefined ? sshName : portName(port))
}

/** What went through the names of the registry that visitors may have come by. */
function trafficsOf({ name, port, isSsh }: RouteStatus, names: TrafficByName): Traffic[] {
  const found: Traffic[] = []
  const add = (entrance: string) => {
    const traffic = names.find(entrance)
    if (traffic !== undefined) found.push(traffic)
  }
  if (name !== undefined) add(name)
  if (port !== undefined) add(portName(port))
  if (isSsh) add(sshName)
  return found
}

function urlOf(name: string, port: number): string {
  const [hostname, ...path] = name.split('/')
  return `https://${hostname}${port === 443 ? '' : `:${port}`}/${path.join('/')}`
}

function certificateFinder(certificates: readonly CertificateStatus[]) {
  const byName = new Map(certificates.map((certificate) => [certificate.name, certificate]))
  const wildcards = certificates.filter(({ name }) => name.startsWith('*.'))
  return (name: string) =>
    byName.get(name) ?? wildcards.find((wildcard) => matchesHostname(wildcard.name, name))
}

/** There is one part nearly always, and thousands of tunnels. */
function trafficOf(parts: readonly Traffic[], nowMs: number): TrafficStatus {
  const sums = new Traffic()
  let latency: LatencyQuantiles | undefined
  for (const part of parts) {
    sums.add(part)
    latency ??= part.latency(nowMs)
  }
  const { requests, openRequests, failedRequests, requestsByClass: classes } = sums
  const { connections, openConnections, failedConnections } = sums
  const { bytesIn, bytesOut, lastError } = sums
  return {
    requests,
    requestsByClass: {
      none: classes[0],
      '1xx': classes[1],
      '2xx': classes[2],
      '3xx': classes[3],
      '4xx': classes[4],
      '5xx': classes[5],
    },
    openRequests,
    connections,
    openConnections,
    failedRequests,
    failedConnections,
    bytesIn,
    bytesOut,
    latency,
    lastError,
  }
}
