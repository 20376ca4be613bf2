import type { RouteStatus, SessionStatus } from '../../status.ts'
import { agentOf } from '../../tunnel-status.ts'
import { type Html, html } from '../html.ts'
import { bytesWords, clipped, countWords, millisecondWords } from '../words.ts'
import { emptyNote } from './layout.ts'
import { paged } from './paging.ts'
import { sparkline } from './plot.ts'
import type { Page, View } from './view.ts'

const pageSize = 50
const shownRoutes = 12
/** A heartbeat every 15 s, its answer within 20: whoever has been silent for longer is about to go. */
const latePongMs = 20_000

export const sessionsPage: Page = {
  title: 'Sessions',
  path: '/sessions',
  content(view) {
    const { sessions } = view.snapshot.status
    const text = view.query.get('q')?.trim().toLowerCase() ?? ''
    const found = text === '' ? sessions : sessions.filter((session) => matches(session, text))
    const options = { path: '/sessions', size: pageSize, noun: 'agents' }
    const { items, pager } = paged(found, view.query, options)
    const cards = items.map((session) => [`s-${session.id}`, sessionCard(session, view)] as const)
    return html`<h1>Sessions</h1>
<form class="filter" action="/sessions" role="search">
<label>Find <input type="search" name="q" value="${view.query.get('q') ?? ''}" placeholder="name, id, version, address, hostname"></label>
<button>Find</button>
</form>
${view.part('pager', pager)}
<div id="sessions" class="cards">${view.list('sessions', cards)}</div>
${view.part('none', items.length > 0 ? html`` : emptyNote('No agent is connected, or none that fits.'))}`
  },
}

function matches(session: SessionStatus, text: string): boolean {
  const { id, agentId, agentName, agentVersion, agentPlatform, remoteAddress, routes } = session
  const words = [id, agentId, agentName, agentVersion, agentPlatform, remoteAddress]
  return (
    words.some((word) => word?.toLowerCase().includes(text)) ||
    routes.some(({ name, target }) => `${name} ${target}`.toLowerCase().includes(text))
  )
}

function sessionCard(session: SessionStatus, view: View): Html {
  const { id, agentId, agentVersion, agentPlatform, lastPongAgoMs, rttMs } = session
  const name = agentOf(session)
  const said = [agentId === name ? undefined : agentId, agentVersion, agentPlatform]
  const isLate = lastPongAgoMs !== undefined && lastPongAgoMs > latePongMs
  const pong = lastPongAgoMs === undefined ? 'none yet' : view.since(view.nowMs - lastPongAgoMs)
  return html`<article class="card session" id="s-${id}">
<div class="title"><h2><bdi>${clipped(name)}</bdi></h2>${said.map((word) => word && html`<small><bdi>${clipped(word)}</bdi></small>`)}${disconnectForm(session, view)}</div>
<dl class="facts">
${fact('From', session.remoteAddress)}
${fact('Connected', view.since(session.connectedSinceMs))}
<div${isLate ? html` class="bad"` : undefined}><dt>Heartbeat</dt><dd>${pong}</dd></div>
<div><dt>Round trip</dt><dd>${rttMs === undefined ? 'not yet' : millisecondWords(rttMs)} ${sparkline(view.snapshot.telemetry.sessions.rtts(id), 'Round trips in the last ten minutes')}</dd></div>
${fact('Streams', countWords(session.streams))}
${fact('Received', bytesWords(session.bytesIn))}
${fact('Sent', bytesWords(session.bytesOut))}
${fact('Session', html`<code>${id}</code>`)}
</dl>
${routeList(session)}
</article>`
}

function fact(label: string, value: Html | string): Html {
  return html`<div><dt>${label}</dt><dd>${value}</dd></div>`
}

function routeList({ id, routes }: SessionStatus): Html {
  const rest = routes.length - shownRoutes
  const more =
    rest > 0
      ? html`<li><a href="/tunnels?q=${id}">and ${countWords(rest)} more</a></li>`
      : undefined
  return html`<ul class="routes">${routes.slice(0, shownRoutes).map(routeItem)}${more}</ul>`
}

function routeItem({ name, port, isSsh, mode, target }: RouteStatus): Html {
  const entrances = [
    name,
    port === undefined ? undefined : `port ${port}`,
    isSsh ? 'plain SSH' : undefined,
  ]
  return html`<li><span class="mode">${mode}</span> <code>${entrances.filter(Boolean).join(', ')}</code> <span aria-hidden="true">→</span> <bdi class="mono">${clipped(target)}</bdi></li>`
}

function disconnectForm(session: SessionStatus, { caller }: View): Html {
  const { id, streams } = session
  const open = streams === 0 ? 'No stream is open' : `${countWords(streams)} streams are open`
  return html`<details class="action"><summary>Disconnect…</summary><form method="post" action="/sessions/${id}/disconnect"><input type="hidden" name="token" value="${caller.formToken}"><p>${open}. The agent comes back by itself, unless its token is revoked.</p><button class="danger">Disconnect <bdi>${agentOf(session).slice(0, 40)}</bdi></button></form></details>`
}
