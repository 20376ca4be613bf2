import type { CertificateStatus } from '../../../certs/status.ts'
import { sshName } from '../../claims.ts'
import type { TrafficStatus, TunnelStatus } from '../../tunnel-status.ts'
import { type Html, html } from '../html.ts'
import { clipped, countWords, millisecondWords } from '../words.ts'
import { isRunningOut } from './expiry.ts'
import { emptyNote, table } from './layout.ts'
import { linkTo, paged } from './paging.ts'
import type { Page, View } from './view.ts'

const pageSize = 100

interface Column {
  readonly key: string
  readonly title: string
  /** What to sort by; numbers begin with the largest. */
  readonly value: (tunnel: TunnelStatus) => string | number
}

const columns: readonly Column[] = [
  { key: 'name', title: 'Name', value: ({ id }) => id },
  { key: 'agent', title: 'Agent', value: ({ agent }) => agent },
  { key: 'mode', title: 'Mode', value: ({ mode }) => mode },
  {
    key: 'certificate',
    title: 'Certificate',
    value: ({ certificate }) => -(certificate?.notAfterMs ?? 0),
  },
  { key: '2xx', title: '2xx', value: ofClass('2xx') },
  { key: '3xx', title: '3xx', value: ofClass('3xx') },
  { key: '4xx', title: '4xx', value: ofClass('4xx') },
  { key: '5xx', title: '5xx', value: ofClass('5xx') },
  { key: 'p50', title: 'p50', value: ({ traffic }) => traffic.latency?.p50Ms ?? -1 },
  { key: 'p95', title: 'p95', value: ({ traffic }) => traffic.latency?.p95Ms ?? -1 },
  { key: 'p99', title: 'p99', value: ({ traffic }) => traffic.latency?.p99Ms ?? -1 },
  {
    key: 'open',
    title: 'Open',
    value: ({ traffic }) => traffic.openRequests + traffic.openConnections,
  },
  {
    key: 'error',
    title: 'Last error',
    value: ({ traffic }) => traffic.lastError?.atMs ?? 0,
  },
]
const textColumns = new Set(['name', 'agent', 'mode'])

export const tunnelsPage: Page = {
  title: 'Tunnels',
  path: '/tunnels',
  content(view) {
    const { query } = view
    const text = query.get('q')?.trim().toLowerCase() ?? ''
    const all = view.snapshot.tunnels
    const found = text === '' ? all : all.filter((tunnel) => matches(tunnel, text))
    const { items, pager } = paged(sorted(found, query), query, {
      ...{ path: '/tunnels', size: pageSize, noun: 'tunnels' },
    })
    const rows = items.map((tunnel) => [rowId(tunnel), tunnelRow(tunnel, view)] as const)
    return html`<h1>Tunnels</h1>
<form class="filter" action="/tunnels" role="search">
<label>Find <input type="search" name="q" value="${query.get('q') ?? ''}" placeholder="name, agent, target, mode"></label>
<button>Find</button>
</form>
${view.part('pager', pager)}
${table(
  'Tunnels',
  columns.map((column) => columnHead(column, query)),
  view.list('rows', rows),
  'rows',
)}
${view.part('none', items.length > 0 ? html`` : emptyNote('No tunnel is open, or none that fits.'))}
<p class="note">Latencies are of requests in the last 5 to 10 minutes; counts began with the first visitor of a name.</p>`
  },
}

export function tunnelName({ id, name, url, port, isSsh }: TunnelStatus): Html {
  const also = [port === undefined || name === undefined ? '' : `port ${port}`, isSsh ? 'ssh' : '']
  const words = also.filter(Boolean).map((word) => html` <span class="tag">${word}</span>`)
  if (url !== undefined) return html`<a href="${url}" rel="noreferrer">${id}</a>${words}`
  return html`${id === sshName ? 'plain SSH' : id}${words}`
}

export function latencyCells({ latency }: TrafficStatus): Html[] {
  const cells = [
    ['p50', latency?.p50Ms],
    ['p95', latency?.p95Ms],
    ['p99', latency?.p99Ms],
  ] as const
  return cells.map(
    ([label, ms]) =>
      html`<td class="n" data-label="${label}">${ms === undefined ? '–' : millisecondWords(ms)}</td>`,
  )
}

export function certificateMark(certificate: CertificateStatus | undefined, view: View): Html {
  if (certificate === undefined) return html`<span class="soft">–</span>`
  const { state, notAfterMs } = certificate
  const isOut = isRunningOut(certificate, view.nowMs)
  const isBad = isOut || state === 'failing' || state === 'expired'
  const words = state === 'none' ? 'not yet' : isOut && state === 'valid' ? 'ends soon' : state
  const left =
    notAfterMs !== undefined && notAfterMs > view.nowMs
      ? html` <span class="soft">${view.until(notAfterMs)}</span>`
      : undefined
  return html`<span class="${isBad ? 'bad' : state === 'valid' ? 'good' : 'soft'}">${words}</span>${left}`
}

function tunnelRow(tunnel: TunnelStatus, view: View): Html {
  const { session, agent, mode, target, traffic, certificate } = tunnel
  const { requestsByClass, lastError } = traffic
  const count = (label: '2xx' | '3xx' | '4xx' | '5xx') =>
    html`<td class="n${label === '5xx' && requestsByClass[label] > 0 ? ' bad' : ''}" data-label="${label}">${countWords(requestsByClass[label])}</td>`
  return html`<tr id="${rowId(tunnel)}"><th scope="row">${tunnelName(tunnel)}<small class="target"><bdi>${clipped(target)}</bdi></small></th><td data-label="agent"><a href="/sessions?q=${session}"><bdi>${clipped(agent)}</bdi></a></td><td data-label="mode">${mode}</td><td data-label="certificate">${certificateMark(certificate, view)}</td>${count('2xx')}${count('3xx')}${count('4xx')}${count('5xx')}${latencyCells(traffic)}<td class="n" data-label="open">${countWords(traffic.openRequests + traffic.openConnections)}</td><td data-label="last error">${lastError === undefined ? html`<span class="soft">–</span>` : html`${lastError.code ?? lastError.status} <small class="target">${view.since(lastError.atMs)} ago</small>`}</td></tr>`
}

/** A name may have anything in it that a hostname may, and a colon. */
function rowId({ id, session }: TunnelStatus): string {
  return `t-${session}-${id}`
}

function ofClass(label: '2xx' | '3xx' | '4xx' | '5xx') {
  return ({ traffic }: TunnelStatus) => traffic.requestsByClass[label]
}

function matches(tunnel: TunnelStatus, text: string): boolean {
  const { id, session, agent, mode, target } = tunnel
  return [id, session, agent, mode, target].some((word) => word.toLowerCase().includes(text))
}

function sorted(tunnels: readonly TunnelStatus[], query: URLSearchParams): readonly TunnelStatus[] {
  const column = columns.find(({ key }) => key === query.get('sort'))
  if (column === undefined) return tunnels
  const sign = query.get('order') === 'up' ? 1 : -1
  const keyed = tunnels.map((tunnel) => ({ tunnel, value: column.value(tunnel) }))
  keyed.sort((a, b) => (a.value === b.value ? 0 : a.value < b.value ? -sign : sign))
  return keyed.map(({ tunnel }) => tunnel)
}

function columnHead({ key, title }: Column, query: URLSearchParams): Html {
  const isSorted = query.get('sort') === key
  const isUp = query.get('order') === 'up'
  const beginsUp = textColumns.has(key)
  const order = isSorted ? (isUp ? 'down' : 'up') : beginsUp ? 'up' : 'down'
  const sort = isSorted ? html` aria-sort="${isUp ? 'ascending' : 'descending'}"` : undefined
  const number = !textColumns.has(key) && key !== 'certificate' && key !== 'error'
  return html`<th scope="col"${number ? html` class="n"` : undefined}${sort}><a href="${linkTo('/tunnels', query, { sort: key, order, page: '1' })}">${title}${isSorted ? (isUp ? ' ↑' : ' ↓') : ''}</a></th>`
}
