import { type Identity, isExpired } from '../auth/identity.ts'
import { visible } from '../config/errors.ts'

/** What a token says, for people; further facts about it follow. */
export function describeToken(
  identity: Identity,
  facts: readonly [string, string][],
  nowSec: number = Date.now() / 1000,
): string {
  const { tokenId, subject, issuer, scope, issuedAtSec } = identity
  const rows: (readonly [string, string | undefined])[] = [
    ['name', subject],
    ['id', tokenId],
    ['issuer', issuer],
    ['hosts', scope ? scope.hosts.join(', ') || 'none' : 'any: the token is not limited'],
    ['ports', scope ? String(scope.ports) || 'none' : 'any'],
    ['plain SSH', scope?.ssh === false ? 'no' : 'yes'],
    ['issued', issuedAtSec === undefined ? undefined : moment(issuedAtSec, nowSec)],
    expiryOf(identity, nowSec),
    ...facts,
  ]
  return rows
    .filter(([, text]) => text !== undefined)
    .map(([name, text = '']) => `${name.padEnd(11)}${visible(text)}\n`)
    .join('')
}

function expiryOf(identity: Identity, nowSec: number): [string, string] {
  const { expiresAtSec } = identity
  if (expiresAtSec === undefined) return ['expires', 'never']
  return [isExpired(identity, nowSec) ? 'expired' : 'expires', moment(expiresAtSec, nowSec)]
}

/** `2026-12-21 15:00:00 UTC, in 30 days` */
function moment(sec: number, nowSec: number): string {
  const date = new Date(sec * 1000)
  if (Number.isNaN(date.getTime())) return `${sec} s after 1970`
  const at = `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
  const distance = inWords(Math.abs(sec - nowSec))
  return sec > nowSec ? `${at}, in ${distance}` : `${at}, ${distance} ago`
}

function inWords(sec: number): string {
  const [unit, word] = units.find(([unit]) => sec >= 2 * unit) ?? [1, 'seconds']
  return sec < 2 ? 'a second' : `${Math.round(sec / unit)} ${word}`
}

/** From two of a unit on: `36 hours` says more than `2 days`. */
const units = [
  [86_400, 'days'],
  [3_600, 'hours'],
  [60, 'minutes'],
] as const
