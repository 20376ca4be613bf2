import type { CertificateStatus } from '../certs/status.ts'
import { matchesHostname } from '../net/hostname.ts'
import { portName, sshName } from './claims.ts'
import type { GatewayStatus, RouteStatus, SessionStatus } from './status.ts'
import type { LatencyQuantiles } from './telemetry/latency.ts'
import type { Telemetry } from './telemetry/telemetry.ts'
import type { Traffic, TrafficError } from './telemetry/traffic.ts'

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
      const used = entrancesOf(route).flatMap((name) => names.find(name) ?? [])
      const { name, mode } = route
      const hostname = name?.split('/', 1)[0]
      return {
        ...route,
        id: idOf(route),
        session: session.id,
        agent: agentOf(session),
        url: mode === 'http' && name !== undefined ? urlOf(name, port) : undefined,
        certificate: mode === 'tls' || hostname === undefined ? undefined : certificateOf(hostname),
        traffic: trafficOf(used, nowMs),
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

/** The names of the registry that visitors may have come by. */
function entrancesOf({ name, port, isSsh }: RouteStatus): string[] {
  return [
    ...(name === undefined ? [] : [name]),
    ...(port === undefined ? [] : [portName(port)]),
    ...(isSsh ? [sshName] : []),
  ]
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

function trafficOf(parts: readonly Traffic[], nowMs: number): TrafficStatus {
  const sum = (read: (part: Traffic) => number) =>
    parts.reduce((total, part) => total + read(part), 0)
  const ofClass = (digit: number) => sum(({ requestsByClass }) => requestsByClass[digit] ?? 0)
  const [latency] = parts.flatMap((part) => part.latency(nowMs) ?? [])
  const errors = parts.flatMap(({ lastError }) => lastError ?? [])
  return {
    requests: sum(({ requests }) => requests),
    requestsByClass: {
      none: ofClass(0),
      '1xx': ofClass(1),
      '2xx': ofClass(2),
      '3xx': ofClass(3),
      '4xx': ofClass(4),
      '5xx': ofClass(5),
    },
    openRequests: sum(({ openRequests }) => openRequests),
    connections: sum(({ connections }) => connections),
    openConnections: sum(({ openConnections }) => openConnections),
    failedRequests: sum(({ failedRequests }) => failedRequests),
    failedConnections: sum(({ failedConnections }) => failedConnections),
    bytesIn: sum(({ bytesIn }) => bytesIn),
    bytesOut: sum(({ bytesOut }) => bytesOut),
    latency,
    lastError: errors.sort((a, b) => b.atMs - a.atMs)[0],
  }
}
