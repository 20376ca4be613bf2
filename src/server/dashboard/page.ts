import type { CertificateStatus } from '../../certs/status.ts'
import { formatHostPort } from '../../net/address.ts'
import type {
  GatewayAddresses,
  GatewayCounters,
  GatewayStatus,
  RouteStatus,
  SessionStatus,
} from '../status.ts'
import { Html, html } from './html.ts'
import { style } from './style.ts'
import { bytesWords, clipped, countWords, durationWords } from './words.ts'

/**
 * The status as a whole HTML document, as it was at `nowMs`. It needs no script and loads itself
 * again. Agents' words are in it, escaped, and isolated so that they cannot turn the text around them.
 */
export function statusPage(status: GatewayStatus, nowMs: number): string {
  const { gateway, sessions, certificates } = status
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="${RELOAD_SEC}">
<title>${gateway.gatewayHost} · gotunnel</title>
<link rel="icon" href="${ICON}">
<style>${STYLE}</style>
</head>
<body>
<main>
${heading(status, nowMs)}
${figures(sessions, gateway.counters)}
<h2>Agents</h2>
${sessions.length > 0 ? sessions.map((session) => agentCard(session, gateway.addresses, nowMs)) : noAgents(status)}
<h2>Certificates</h2>
${certificateTable(certificates, nowMs)}
<h2>Listening</h2>
${listenerTable(gateway.addresses)}
<footer>As of ${timeTag(nowMs)}; loads itself again every ${RELOAD_SEC} s. The same as JSON: <a href="/api/v1/status">/api/v1/status</a>.</footer>
</main>
</body>
</html>
`.markup
}

const RELOAD_SEC = 5
// Ours, and hashed as it is: it must not be escaped.
const STYLE = new Html(style)
const ICON = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#10262b"/><path d="M5 27V16a11 11 0 0 1 22 0v11Z" fill="#23464c"/><path d="M9 27V17a7 7 0 0 1 14 0v10Z" fill="#b4702c"/><path d="M13 27v-9a3 3 0 0 1 6 0v9Z" fill="#ffe9b8"/></svg>',
)}`
// A heartbeat every 15 s, its answer within 20: whoever has been silent for longer is about to go.
const LATE_PONG_MS = 20_000
const SOON_MS = 7 * 24 * 60 * 60 * 1000

function heading({ gateway }: GatewayStatus, nowMs: number): Html {
  const up =
    gateway.startedAtMs === undefined
      ? 'not started'
      : html`up ${durationWords(nowMs - gateway.startedAtMs)}`
  const state = gateway.isClosing
    ? html`<span class="pill bad">closing: nothing new is accepted</span>`
    : html`<span class="pill">serving</span>`
  return html`<header>
<h1>${gateway.gatewayHost}</h1>
<p>gotunnel ${gateway.version}, ${up}</p>
${state}
</header>`
}

function figures(sessions: readonly SessionStatus[], counters: GatewayCounters): Html {
  const routes = sessions.flatMap((session) => session.routes)
  const names = routes.filter(({ name }) => name !== undefined).length
  const ports = routes.filter(({ port }) => port !== undefined).length
  return html`<dl class="figures card">
${figure('Agents', sessions.length, `${countWords(counters.refusedAgents)} refused`)}
${figure('Names', names, ports === 0 ? 'held by them' : `and ${countWords(ports)} ${ports === 1 ? 'port' : 'ports'} held by them`)}
${figure('Visitors', counters.openConnections, `${countWords(counters.connections)} since start`)}
${figure('Requests open', counters.openRequests, `${countWords(counters.requests)} since start`)}
${figure('TCP connections', counters.tcpConnections, 'since start')}
${figure('Failed', counters.failedRequests, `${countWords(counters.limitedConnections)} over a limit`)}
</dl>`
}

function figure(label: string, count: number, note: string): Html {
  return html`<div><dt>${label}</dt><dd><b>${countWords(count)}</b> ${note}</dd></div>`
}

function agentCard(session: SessionStatus, addresses: GatewayAddresses, nowMs: number): Html {
  const { agentName, agentId, agentVersion, agentPlatform, lastPongAgoMs, rttMs } = session
  const name = agentName ?? agentId ?? session.remoteAddress
  const said = [agentId === name ? undefined : agentId, agentVersion, agentPlatform]
  const isLate = lastPongAgoMs !== undefined && lastPongAgoMs > LATE_PONG_MS
  const pong = lastPongAgoMs === undefined ? 'none yet' : `${durationWords(lastPongAgoMs)} ago`
  return html`<article class="card">
<div class="title"><h3><bdi>${clipped(name)}</bdi></h3>${said.map((word) => word && html`<span><bdi>${clipped(word)}</bdi></span>`)}</div>
<dl class="facts">
${fact('From', session.remoteAddress)}
${fact('Connected', `${durationWords(nowMs - session.connectedSinceMs)}`)}
${fact('Round trip', rttMs === undefined ? 'not measured yet' : `${rttMs.toFixed(rttMs < 10 ? 1 : 0)} ms`)}
<div><dt>Last pong</dt><dd${isLate ? html` class="late"` : undefined}>${pong}</dd></div>
${fact('Streams', countWords(session.streams))}
${fact('Received', bytesWords(session.bytesIn))}
${fact('Sent', bytesWords(session.bytesOut))}
</dl>
<div class="scroll"><table>
<thead><tr><th>Reached by</th><th>Mode</th><th>Target, as the agent names it</th></tr></thead>
<tbody>
${session.routes.map((route) => routeRow(route, addresses))}
</tbody>
</table></div>
</article>`
}

function fact(label: string, text: string): Html {
  return html`<div><dt>${label}</dt><dd>${text}</dd></div>`
}

function routeRow(route: RouteStatus, addresses: GatewayAddresses): Html {
  const { mode, target } = route
  return html`<tr><td>${entrances(route, addresses)}</td><td data-label="mode">${mode}</td><td data-label="target"><bdi class="mono">${clipped(target)}</bdi></td></tr>
`
}

function entrances({ name, port, isSsh, mode }: RouteStatus, { public: at }: GatewayAddresses) {
  const publicPort = at?.port ?? 443
  const url = `https://${name}${publicPort === 443 ? '' : `:${publicPort}`}/`
  const words: readonly (Html | string | undefined)[] = [
    mode === 'http' ? html`<a href="${url}" rel="noreferrer">${name}</a>` : name,
    port === undefined ? undefined : `port ${port}`,
    isSsh ? `plain SSH on port ${publicPort}` : undefined,
  ]
  return words
    .filter((word) => word !== undefined)
    .map((word, index) => html`${index > 0 ? ', ' : ''}${word}`)
}

function noAgents({ gateway }: GatewayStatus): Html {
  const port = gateway.addresses.tunnel?.port
  const address = port === undefined ? gateway.tunnelHost : `${gateway.tunnelHost}:${port}`
  return html`<p class="card empty">No agent is connected. Agents reach this gateway at <code>${address}</code>.</p>`
}

function certificateTable(certificates: readonly CertificateStatus[], nowMs: number): Html {
  if (certificates.length === 0) {
    return html`<p class="card empty">None yet. They are made when a visitor asks for a name that somebody holds.</p>`
  }
  return html`<div class="card plain"><div class="scroll"><table>
<thead><tr><th>Name</th><th>From</th><th>Valid until</th></tr></thead>
<tbody>
${certificates.map((certificate) => certificateRow(certificate, nowMs))}
</tbody>
</table></div></div>`
}

function certificateRow(certificate: CertificateStatus, nowMs: number): Html {
  const { name, source } = certificate
  return html`<tr><td>${name}</td><td data-label="from">${source}</td><td data-label="valid until">${validityWords(certificate, nowMs)}${stateWords(certificate, nowMs)}</td></tr>
`
}

function validityWords({ notAfterMs }: CertificateStatus, nowMs: number): Html | undefined {
  if (notAfterMs === undefined) return undefined
  const restMs = notAfterMs - nowMs
  const rest = restMs > 0 ? `${durationWords(restMs)} left` : 'expired'
  const mark = restMs < SOON_MS ? html` class="late"` : undefined
  return html`${timeTag(notAfterMs)} <span${mark}>(${rest})</span> `
}

/** Nothing where all is as it should be. A reason quotes what the CA says. */
function stateWords({ state, failure }: CertificateStatus, nowMs: number): Html | undefined {
  if (state === 'none') return html`none yet`
  if (state === 'ordering') return html`being made`
  if (state === 'renewing') return html`being renewed`
  if (failure === undefined) return undefined
  const waitMs = failure.nextTryAtMs - nowMs
  const next = waitMs > 0 ? `in ${durationWords(waitMs)}` : 'when a visitor comes'
  return html`<span class="late">failing: <bdi>${clipped(failure.reason)}</bdi>; next try ${next}</span>`
}

function listenerTable(addresses: GatewayAddresses): Html {
  const rows = [
    ['public', 'https and TLS for visitors', addresses.public],
    ['http', 'redirects to https', addresses.http],
    ['tunnel', 'agents', addresses.tunnel],
    ['dashboard', 'this page', addresses.dashboard],
  ] as const
  return html`<div class="card plain"><div class="scroll"><table>
<tbody>
${rows.map(([name, what, bound]) => {
  const where = bound ? formatHostPort({ host: bound.address, port: bound.port }) : 'not listening'
  return html`<tr><td>${name}</td><td>${what}</td><td class="mono">${where}</td></tr>
`
})}</tbody>
</table></div></div>`
}

function timeTag(atMs: number): Html {
  const iso = new Date(atMs).toISOString()
  return html`<time datetime="${iso}">${iso.slice(0, 19).replace('T', ' ')} UTC</time>`
}
