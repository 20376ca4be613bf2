import { certificateStates } from '../../certs/status.ts'
import { ScrapedMetrics } from '../../metrics/scraped.ts'
import type { StatusClasses } from '../telemetry/traffic.ts'
import type { DashboardGateway, Snapshot, SnapshotSource } from './source.ts'

/** How many certificates a scraper is told of by name. */
const certificateLimit = 1_000

/** The gateway for Prometheus. Labels are of bounded number: classes, directions, and the first thousand names. */
export function gatewayMetrics(
  { readiness, telemetry }: DashboardGateway,
  snapshots: SnapshotSource,
): ScrapedMetrics {
  const metrics = new ScrapedMetrics()
  const of = (read: (snapshot: Snapshot) => number) => () => read(snapshots.shared())
  const { total, names, moved } = telemetry

  metrics.gauge(
    { name: 'gotunnel_build_info', help: 'Always 1; the version is a label.', labels: ['version'] },
    () => [[{ version: snapshots.shared().status.gateway.version }, 1]],
  )
  metrics.gauge(
    { name: 'gotunnel_ready', help: '1 while /readyz says so: listening, and not draining.' },
    () => (readiness().isReady ? 1 : 0),
  )

  metrics.gauge(
    { name: 'gotunnel_agents', help: 'Agents that are connected.' },
    of(({ status }) => status.sessions.length),
  )
  metrics.counter(
    { name: 'gotunnel_agents_admitted_total', help: 'Sessions of agents since start.' },
    of(({ status }) => status.gateway.counters.admittedAgents),
  )
  metrics.counter(
    { name: 'gotunnel_agents_refused_total', help: 'Agents that were not let in.' },
    of(({ status }) => status.gateway.counters.refusedAgents),
  )
  metrics.gauge(
    { name: 'gotunnel_tunnels', help: 'Tunnels of the agents that are connected.' },
    of(({ status }) => status.sessions.reduce((sum, { routes }) => sum + routes.length, 0)),
  )
  metrics.gauge(
    { name: 'gotunnel_streams', help: 'Data streams open to agents.' },
    of(({ status }) => status.sessions.reduce((sum, { streams }) => sum + streams, 0)),
  )
  metrics.counter(
    {
      name: 'gotunnel_tunnel_bytes_total',
      help: "Bytes between gateway and agents, the multiplexer's own with them, as of a few seconds ago.",
      labels: ['direction'],
    },
    () => [
      [{ direction: 'from_agents' }, moved.in],
      [{ direction: 'to_agents' }, moved.out],
    ],
  )

  metrics.gauge(
    { name: 'gotunnel_visitor_connections', help: 'Connections of visitors, on all public ports.' },
    of(({ status }) => status.gateway.counters.openConnections),
  )
  metrics.counter(
    { name: 'gotunnel_visitor_connections_total', help: 'Connections of visitors since start.' },
    of(({ status }) => status.gateway.counters.connections),
  )
  metrics.counter(
    {
      name: 'gotunnel_visitor_connections_limited_total',
      help: 'Connections that were closed at once, because a limit was reached.',
    },
    of(({ status }) => status.gateway.counters.limitedConnections),
  )
  metrics.gauge(
    { name: 'gotunnel_http_requests_in_flight', help: 'Requests that are being answered.' },
    () => total.openRequests,
  )
  metrics.counter(
    {
      name: 'gotunnel_http_requests_total',
      help: 'Requests that are over, by class of status; none: the visitor left before there was one.',
      labels: ['class'],
    },
    () => byClass(total.requestsByClass),
  )
  metrics.counter(
    {
      name: 'gotunnel_http_requests_failed_total',
      help: 'Requests that the gateway itself refused, or could not finish.',
    },
    () => total.failedRequests,
  )
  metrics.histogram(
    {
      name: 'gotunnel_http_request_duration_seconds',
      help: 'From the first line of a request to the last byte of its response; without WebSockets.',
    },
    () => ({
      buckets: inSeconds(total.durations.cumulative()),
      count: total.durations.count,
      sum: total.durations.sumMs / 1000,
    }),
  )
  metrics.gauge(
    { name: 'gotunnel_tcp_connections', help: 'Open connections in tcp and tls mode.' },
    () => total.openConnections,
  )
  metrics.counter(
    { name: 'gotunnel_tcp_connections_total', help: 'Connections in tcp and tls mode.' },
    () => total.connections,
  )
  metrics.counter(
    {
      name: 'gotunnel_tcp_connections_failed_total',
      help: 'Of these, those whose target could not be had, or broke off.',
    },
    () => total.failedConnections,
  )

  metrics.counter(
    {
      name: 'gotunnel_name_requests_total',
      help: 'Requests by public name, and class of status; for the first thousand names.',
      labels: ['name', 'class'],
    },
    function* () {
      for (const [name, { requestsByClass }] of names.labelled()) {
        for (const [label, count] of byClass(requestsByClass)) {
          if (count > 0) yield [{ name, ...label }, count]
        }
      }
    },
  )
  metrics.counter(
    {
      name: 'gotunnel_name_connections_total',
      help: 'Connections in tcp and tls mode by public name; for the first thousand names.',
      labels: ['name'],
    },
    function* () {
      for (const [name, { connections }] of names.labelled()) {
        if (connections > 0) yield [{ name }, connections]
      }
    },
  )
  metrics.counter(
    {
      name: 'gotunnel_name_bytes_total',
      help: 'Bytes by public name, from visitors and to them, counted when a request or a connection is over.',
      labels: ['name', 'direction'],
    },
    function* () {
      for (const [name, { bytesIn, bytesOut }] of names.labelled()) {
        yield [{ name, direction: 'from_visitors' }, bytesIn]
        yield [{ name, direction: 'to_visitors' }, bytesOut]
      }
    },
  )

  metrics.gauge(
    { name: 'gotunnel_certificates', help: 'Certificates by state.', labels: ['state'] },
    () => {
      const { certificates } = snapshots.shared().status
      return certificateStates.map((state) => {
        return [{ state }, certificates.filter((one) => one.state === state).length] as const
      })
    },
  )
  metrics.gauge(
    {
      name: 'gotunnel_certificate_expiry_timestamp_seconds',
      help: 'When a certificate ends (Unix time); for the first thousand.',
      labels: ['name'],
    },
    function* () {
      const { certificates } = snapshots.shared().status
      for (const { name, notAfterMs } of certificates.slice(0, certificateLimit)) {
        if (notAfterMs !== undefined) yield [{ name }, notAfterMs / 1000]
      }
    },
  )
  metrics.counter(
    {
      name: 'gotunnel_certificate_orders_total',
      help: 'Orders of certificates that are over.',
      labels: ['outcome'],
    },
    () => {
      const { issued, renewed, failed } = snapshots.shared().status.issuance
      return [
        [{ outcome: 'issued' }, issued],
        [{ outcome: 'renewed' }, renewed],
        [{ outcome: 'failed' }, failed],
      ]
    },
  )
  return metrics
}

function byClass(classes: StatusClasses): [{ class: string }, number][] {
  return classes.map((count, digit) => [{ class: digit === 0 ? 'none' : `${digit}xx` }, count])
}

function* inSeconds(buckets: Iterable<{ upToMs: number; count: number }>) {
  for (const { upToMs, count } of buckets) yield { upTo: upToMs / 1000, count }
}
