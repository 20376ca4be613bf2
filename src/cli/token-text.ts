import { type Identity, isExpired } from '../auth/identity.ts'
import { visible } from '../config/errors.ts'
import { moment } from './moment.ts'

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
