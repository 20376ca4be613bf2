import type { CertificateStatus } from '../../../certs/status.ts'
import { formatHostPort } from '../../../net/address.ts'
import type { HistoryColumn, Telemetry } from '../../telemetry/telemetry.ts'
import { type Html, html } from '../html.ts'
import { bytesWords, countWords, rateWords } from '../words.ts'
import { emptyNote, table } from './layout.ts'
import { plot } from './plot.ts'
import { certificateMark, latencyCells, tunnelName } from './tunnels.ts'
import type { Page, View } from './view.ts'

const hourLength = 720
const busiestCount = 8

export const overviewPage: Page = {
  title: 'Overview',
  path: '/',
  content: (view) => html`<h1>Overview</h1>
${view.part('figures', figures(view))}
<h2>The last hour</h2>
<div class="plots">${plots(view)}</div>
<h2>Busiest tunnels</h2>
${view.part('busiest', busiest(view))}
<h2>Listening</h2>
${view.part('listening', listening(view))}`,
}

function figures(view: View): Html {
  const { status, telemetry } = view.snapshot
  const { gateway, sessions, certificates } = status
  const { counters, startedAtMs } = gateway
  const names = sessions.reduce((sum, { routes }) => sum + routes.length, 0)
  const now = (column: HistoryColumn) => telemetry.history.values(column).at(-1) ?? 0
  const up = startedAtMs === undefined ? 'not started' : view.since(startedAtMs)
  return html`<dl class="figures card">
${figure('Up', up, `version ${gateway.version}`)}
${figure('Agents', countWords(sessions.length), `${countWords(counters.refusedAgents)} refused so far`)}
${figure('Tunnels', countWords(names), 'names and ports')}
${figure('Visitors', countWords(counters.openConnections), `${countWords(counters.connections)} since start`)}
${figure('Requests', `${rateWords(now('requestsPerSec'))}/s`, `${countWords(counters.requests)} since start`)}
${figure('Through tunnels', `${bytesWords(now('bytesInPerSec') + now('bytesOutPerSec'))}/s`, `${bytesWords(telemetry.moved.in + telemetry.moved.out)} since start`)}
${figure('Errors', `${rateWords(now('errorsPerSec'))}/s`, `${countWords(errorCount(telemetry))} since start`)}
${figure('Certificates', countWords(certificates.length), failingWords(certificates))}
</dl>`
}

function figure(label: string, value: Html | string, note: Html | string): Html {
  return html`<div><dt>${label}</dt><dd><b>${value}</b> <small>${note}</small></dd></div>`
}

function failingWords(certificates: readonly CertificateStatus[]): Html | string {
  const count = certificates.filter(({ state }) => state === 'failing').length
  if (count === 0) return 'none is failing'
  return html`<a class="bad" href="/certificates">${countWords(count)} failing</a>`
}

function errorCount({ total }: Telemetry): number {
  return (total.requestsByClass[5] ?? 0) + total.failedConnections
}

function plots(view: View): Html[] {
  const { history } = view.snapshot.telemetry
  const one = (id: string, title: string, column: HistoryColumn, words: (n: number) => string) =>
    view.part(
      id,
      plot({ title, length: hourLength, words, series: [{ values: history.values(column) }] }),
    )
  const perSecond = (value: number) => `${bytesWords(value)}/s`
  return [
    one('plot-requests', 'Requests a second', 'requestsPerSec', rateWords),
    view.part(
      'plot-bytes',
      plot({
        title: 'Bytes a second',
        ...{ length: hourLength, words: perSecond, base: 1024 },
        series: [
          { name: 'from agents', values: history.values('bytesInPerSec') },
          { name: 'to agents', values: history.values('bytesOutPerSec') },
        ],
      }),
    ),
    one('plot-errors', 'Errors a second', 'errorsPerSec', rateWords),
    one('plot-visitors', 'Visitors connected', 'connections', rateWords),
  ]
}

function busiest(view: View): Html {
  const used = view.snapshot.tunnels.filter(
    ({ traffic }) => traffic.requests + traffic.connections > 0,
  )
  if (used.length === 0) {
    return emptyNote(
      view.snapshot.tunnels.length > 0
        ? 'No visitor has come yet.'
        : html`No agent is connected. Agents reach this gateway at <code>${tunnelAddress(view)}</code>.`,
    )
  }
  const sorted = [...used].sort((a, b) => weight(b) - weight(a)).slice(0, busiestCount)
  return table(
    'Busiest tunnels',
    html`<th>Name</th><th>Agent</th><th class="n">Requests</th><th class="n">5xx</th><th class="n">p50</th><th class="n">p95</th><th class="n">p99</th><th class="n">Open</th><th>Certificate</th>`,
    sorted.map((tunnel) => {
      const { traffic, agent } = tunnel
      return html`<tr><th scope="row">${tunnelName(tunnel)}</th><td data-label="agent"><bdi>${agent.slice(0, 60)}</bdi></td><td class="n" data-label="requests">${countWords(traffic.requests + traffic.connections)}</td><td class="n" data-label="5xx">${countWords(traffic.requestsByClass['5xx'])}</td>${latencyCells(traffic)}<td class="n" data-label="open">${countWords(traffic.openRequests + traffic.openConnections)}</td><td data-label="certificate">${certificateMark(tunnel.certificate, view)}</td></tr>
`
    }),
  )
}

function weight({ traffic }: View['snapshot']['tunnels'][number]): number {
  return traffic.requests + traffic.connections
}

function tunnelAddress({ snapshot }: View): string {
  const { tunnelHost, addresses } = snapshot.status.gateway
  return addresses.tunnel === undefined ? tunnelHost : `${tunnelHost}:${addresses.tunnel.port}`
}

function listening({ snapshot }: View): Html {
  const { addresses } = snapshot.status.gateway
  const rows = [
    ['public', 'https and TLS for visitors', addresses.public],
    ['http', 'redirects to https', addresses.http],
    ['tunnel', 'agents', addresses.tunnel],
    ['dashboard', 'this page', addresses.dashboard],
  ] as const
  return table(
    'Listening',
    html`<th>Listener</th><th>For</th><th>Address</th>`,
    rows.map(([name, what, bound]) => {
      const where =
        bound === undefined
          ? html`<span class="bad">not listening</span>`
          : html`<code>${formatHostPort({ host: bound.address, port: bound.port })}</code>`
      return html`<tr><th scope="row">${name}</th><td data-label="for">${what}</td><td data-label="address">${where}</td></tr>
`
    }),
  )
}
