import type { CertificateStatus, IssuanceStatus } from '../../../certs/status.ts'
import { type Html, html } from '../html.ts'
import { clipped, countWords } from '../words.ts'
import { isRunningOut } from './expiry.ts'
import { emptyNote, table } from './layout.ts'
import { paged } from './paging.ts'
import { dateTag, type Page, type View } from './view.ts'

const pageSize = 100

export const certificatesPage: Page = {
  title: 'Certificates',
  path: '/certificates',
  content(view) {
    const { certificates, issuance } = view.snapshot.status
    const text = view.query.get('q')?.trim().toLowerCase() ?? ''
    const found = certificates.filter(
      ({ name, state, source }) => text === '' || `${name} ${state} ${source}`.includes(text),
    )
    const options = { path: '/certificates', size: pageSize, noun: 'certificates' }
    // What fails is what one comes here for.
    const { items, pager } = paged([...found].sort(byUrgency), view.query, options)
    const rows = items.map((one) => [`c-${one.name}`, certificateRow(one, view)] as const)
    return html`<h1>Certificates</h1>
<form class="filter" action="/certificates" role="search">
<label>Find <input type="search" name="q" value="${view.query.get('q') ?? ''}" placeholder="name, state, issuer"></label>
<button>Find</button>
</form>
${view.part('issuance', issuanceLine(issuance, view))}
${view.part('pager', pager)}
${table(
  'Certificates',
  html`<th>Name</th><th>State</th><th>From</th><th>Valid until</th><th>Next renewal</th><th>Failure</th>`,
  view.list('rows', rows),
  'rows',
)}
${view.part('none', items.length > 0 ? html`` : emptyNote('None yet, or none that fits. They are made when a visitor asks for a name that somebody holds.'))}`
  },
}

const urgency = ['failing', 'expired', 'ordering', 'renewing', 'valid', 'none']

function byUrgency(a: CertificateStatus, b: CertificateStatus): number {
  return urgency.indexOf(a.state) - urgency.indexOf(b.state) || (a.name < b.name ? -1 : 1)
}

function issuanceLine(issuance: IssuanceStatus, view: View): Html {
  const { issuer, ordering, issued, renewed, failed, pausedUntilMs } = issuance
  if (issuer === undefined)
    return html`<p>Nobody issues certificates here; there are those of the operator.</p>`
  const counts = `${countWords(ordering)} being made, ${countWords(issued)} made, ${countWords(renewed)} renewed, ${countWords(failed)} failed since start`
  const isPaused = pausedUntilMs !== undefined && pausedUntilMs > view.nowMs
  return html`<p><b>${issuer}</b>: ${counts}.${isPaused ? html` <span class="bad">Paused by the CA's limits; on again in ${view.until(pausedUntilMs)}.</span>` : undefined}</p>`
}

function certificateRow(certificate: CertificateStatus, view: View): Html {
  const { name, source, state, renewAtMs, failure } = certificate
  const kind =
    state === 'valid' ? 'good' : state === 'failing' || state === 'expired' ? 'bad' : 'soft'
  return html`<tr id="c-${name}"><th scope="row">${name}</th><td data-label="state"><span class="${kind}">${state === 'none' ? 'not yet' : state}</span></td><td data-label="from">${source}</td><td data-label="valid until">${validity(certificate, view)}</td><td data-label="next renewal">${renewAtMs === undefined ? html`<span class="soft">–</span>` : dateTag(renewAtMs)}</td><td data-label="failure">${failure === undefined ? html`<span class="soft">–</span>` : failureWords(failure, view)}</td></tr>`
}

function validity(certificate: CertificateStatus, view: View): Html {
  const { notAfterMs } = certificate
  if (notAfterMs === undefined) return html`<span class="soft">–</span>`
  if (notAfterMs <= view.nowMs) return html`${dateTag(notAfterMs)} <span class="bad">(over)</span>`
  const kind = isRunningOut(certificate, view.nowMs) ? 'bad' : 'soft'
  return html`${dateTag(notAfterMs)} <span class="${kind}">(${view.until(notAfterMs)} left)</span>`
}

/** A reason quotes what the CA says. */
function failureWords(failure: NonNullable<CertificateStatus['failure']>, view: View): Html {
  const { reason, nextTryAtMs } = failure
  const next =
    nextTryAtMs > view.nowMs
      ? html`next try in ${view.until(nextTryAtMs)}`
      : 'next try when a visitor comes'
  return html`<span class="bad"><bdi>${clipped(reason)}</bdi></span>; ${next}`
}
