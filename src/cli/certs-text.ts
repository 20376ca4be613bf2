/** What `gotunnel-server certs` prints. */
import type { OrderedCertificate } from '../certs/command-socket.ts'
import type { CertificateFailure, CertificateStatus, IssuanceStatus } from '../certs/status.ts'
import { visible } from '../config/errors.ts'
import { moment } from './moment.ts'

/** A line a name; the reason of a failure under it. */
export function describeCertificates(
  certificates: readonly CertificateStatus[],
  issuance: IssuanceStatus | undefined,
  nowMs: number = Date.now(),
): string {
  const rows = [...certificates]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, source, state, notAfterMs, failure }) => ({
      cells: [name, state, source, notAfterMs === undefined ? '-' : at(notAfterMs, nowMs)],
      below: failure && `  ${failure.reason}; ${nextTry(failure, nowMs)}`,
    }))
  if (rows.length === 0) return 'no certificates yet: they are made when visitors ask for names\n'
  const all = [HEAD, ...rows.map(({ cells }) => cells)]
  const widths = HEAD.map((_, column) =>
    Math.max(...all.map((cells) => cells[column]?.length ?? 0)),
  )
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  const lines = [
    line(HEAD),
    ...rows.flatMap(({ cells, below }) => [line(cells), ...(below ? [below] : [])]),
    ...(issuance?.pausedUntilMs ? [paused(issuance.pausedUntilMs, nowMs)] : []),
  ]
  return lines.map((text) => `${visible(text)}\n`).join('')
}

const HEAD = ['NAME', 'STATE', 'FROM', 'VALID UNTIL']

export function describeOrdered(
  name: string,
  { notAfterMs, isNew }: OrderedCertificate,
  nowMs: number = Date.now(),
): string {
  const facts = `${visible(name)}: valid until ${at(notAfterMs, nowMs)}`
  return isNew ? `${facts}\n` : `${facts}; it was there already (certs renew gets another)\n`
}

function nextTry({ kind, nextTryAtMs }: CertificateFailure, nowMs: number): string {
  if (nextTryAtMs <= nowMs) return 'next try when a visitor or an agent comes'
  const text = `next try ${at(nextTryAtMs, nowMs)}`
  return kind === 'limited' ? text : `${text}, or now with certs issue`
}

function paused(untilMs: number, nowMs: number): string {
  return `the CA has limited the whole account: no orders before ${at(untilMs, nowMs)}`
}

function at(ms: number, nowMs: number): string {
  return moment(ms / 1000, nowMs / 1000)
}
