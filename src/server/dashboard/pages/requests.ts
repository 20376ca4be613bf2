import { maskedHeaders, type ShownHeader } from '../../telemetry/masked-headers.ts'
import type { RequestRecord, RequestSummary } from '../../telemetry/recent-requests.ts'
import { filterOf } from '../api.ts'
import { type Html, html } from '../html.ts'
import { bytesWords, clipped, millisecondWords } from '../words.ts'
import { emptyNote, table } from './layout.ts'
import { clockTag, type Page, timeTag, type View } from './view.ts'

const shownCount = 100
const statuses = ['2xx', '3xx', '4xx', '5xx', '404', '502', '504', '0xx'] as const

export const requestsPage: Page = {
  title: 'Requests',
  path: '/requests',
  content(view) {
    const { query, snapshot } = view
    const filter = filterOf(query)
    const found = filter && snapshot.telemetry.requests.matching(filter, shownCount)
    const rows = (found ?? []).map((record) => [`r-${record.id}`, requestRow(record)] as const)
    return html`<h1>Requests</h1>
${filterForm(view)}
${table(
  'Requests',
  html`<th>Time</th><th>Method</th><th>Name and path</th><th class="n">Status</th><th class="n">Took</th><th class="n">Sent</th><th>Visitor</th>`,
  view.list('rows', rows),
  'rows',
)}
${view.part('none', rows.length > 0 ? html`` : emptyNote(filter ? 'No request yet, or none that fits.' : 'A status is such as 404 or 5xx.'))}
<p class="note">The last 1,000 requests in http mode are remembered, in memory; the newest ${shownCount} that fit are shown.</p>`
  },
}

/** One request; undefined where it is not, or no longer, remembered. */
export function requestPage(record: RequestRecord): Page {
  return {
    title: `Request ${record.id}`,
    path: '/requests',
    content: () => html`<p class="back"><a href="/requests">← Requests</a></p>
<h1><span class="method">${record.method ?? '–'}</span> <bdi>${record.host}${record.path ?? ''}</bdi></h1>
<div class="card"><dl class="facts wide">
<div><dt>Status</dt><dd>${statusMark(record)}</dd></div>
<div><dt>Outcome</dt><dd>${record.outcome}${record.code && html` (<code>${record.code}</code>)`}</dd></div>
<div><dt>At</dt><dd>${timeTag(record.atMs)}</dd></div>
<div><dt>Visitor</dt><dd>${record.remoteAddress}</dd></div>
<div><dt>HTTP</dt><dd>${record.http ?? '–'}</dd></div>
<div><dt>Received, sent</dt><dd>${bytesWords(record.bytesIn)}, ${bytesWords(record.bytesOut)}</dd></div>
<div><dt>Session</dt><dd>${record.session === undefined ? '–' : html`<a href="/sessions?q=${record.session}"><code>${record.session}</code></a>`}</dd></div>
<div><dt>Request id</dt><dd><code>${record.requestId}</code></dd></div>
</dl></div>
<h2>Timing</h2>
${timing(record)}
<h2>Request headers</h2>
${headerTable('Request headers', maskedHeaders(record.rawRequestHeaders))}
<h2>Response headers, as the service sent them</h2>
${headerTable('Response headers', maskedHeaders(record.rawResponseHeaders))}`,
  }
}

function filterForm({ query }: View): Html {
  const status = query.get('status') ?? ''
  const known = (statuses as readonly string[]).includes(status) || status === ''
  const options = [...statuses, ...(known ? [] : [status])]
  return html`<form class="filter" action="/requests" role="search">
<label>Name <input type="search" name="host" value="${query.get('host') ?? ''}" placeholder="app.example.com"></label>
<label>Status <select name="status"><option value="">any</option>${options.map((each) => html`<option value="${each}"${each === status ? html` selected` : undefined}>${each === '0xx' ? 'none' : each}</option>`)}</select></label>
<label>Text <input type="search" name="text" value="${query.get('text') ?? ''}" placeholder="path, visitor, id, code"></label>
<button>Filter</button> <a href="/requests">Clear</a>
</form>`
}

function requestRow(record: RequestSummary): Html {
  const { id, atMs, method, host, path, durationMs, bytesOut, remoteAddress } = record
  return html`<tr id="r-${id}"><td>${clockTag(atMs)}</td><td data-label="method">${method ?? '–'}</td><th scope="row"><a href="/requests/${id}"><span class="soft">${host}</span><bdi>${clipped(path ?? '')}</bdi></a></th><td class="n" data-label="status">${statusMark(record)}</td><td class="n" data-label="took">${millisecondWords(durationMs)}</td><td class="n" data-label="sent">${bytesWords(bytesOut)}</td><td data-label="visitor">${remoteAddress}</td></tr>`
}

function statusMark({ status, outcome, code }: RequestSummary): Html {
  const kind = status >= 500 || outcome === 'broken' ? 'bad' : status >= 400 ? 'warn' : 'good'
  const words = status === 0 ? 'left' : String(status)
  const more = outcome === 'whole' ? undefined : (code ?? outcome)
  return html`<span class="status ${status === 0 ? 'soft' : kind}"${more && html` title="${more}"`}>${words}</span>`
}

/** How much of the time was the service's, until it began to answer. */
function timing({ durationMs, firstByteMs }: RequestSummary): Html {
  const waitMs = Math.min(firstByteMs ?? durationMs, durationMs)
  const share = durationMs === 0 ? 0 : (waitMs / durationMs) * 600
  const rest = durationMs - waitMs
  return html`<div class="card timing"><svg viewBox="0 0 600 16" preserveAspectRatio="none" aria-hidden="true"><rect class="wait" width="${share.toFixed(1)}" height="16"/><rect class="rest" x="${share.toFixed(1)}" width="${(600 - share).toFixed(1)}" height="16"/></svg>
<dl class="facts"><div><dt><i class="key wait"></i>Until the answer began</dt><dd>${firstByteMs === undefined ? 'it never did' : millisecondWords(waitMs)}</dd></div><div><dt><i class="key rest"></i>Until all of it was sent</dt><dd>${firstByteMs === undefined ? '–' : millisecondWords(rest)}</dd></div><div><dt>In all</dt><dd>${millisecondWords(durationMs)}</dd></div></dl></div>`
}

function headerTable(name: string, headers: readonly ShownHeader[]): Html {
  if (headers.length === 0) return emptyNote('None are known.')
  return table(
    name,
    html`<th>Name</th><th>Value</th>`,
    headers.map(
      ({ name, value }) =>
        html`<tr><th scope="row">${name}</th><td class="mono"><bdi>${value}</bdi></td></tr>
`,
    ),
  )
}
