/** What can be said of certificates: plain data, no secrets in it. */
import { matchesHostname } from '../net/hostname.ts'
import type { Certificate } from './certificate.ts'
import type { FailureKind } from './errors.ts'
import type { Failures } from './failures.ts'
import type { IssuingCounters } from './issuing.ts'
import type { Renewals } from './renewals.ts'

export interface CertificateStatus {
  /** A hostname, or the operator's wildcard. */
  readonly name: string
  /** `operator`, or the issuer's id. */
  readonly source: string
  /**
   * - `none`: it is made when a visitor asks for it
   * - `ordering`: it is being made, for the first time
   * - `valid`
   * - `renewing`: valid, and the next one is being made
   * - `expired`: the last one is over; the next is made when a visitor asks for it
   * - `failing`: the last try to get one failed; `failure` says why. An older one may still be valid
   */
  readonly state: CertificateState
  /** Of the last certificate; undefined where there was none. */
  readonly notAfterMs?: number | undefined
  /** When the next one is made; undefined where nobody issues it, or it has none. */
  readonly renewAtMs?: number
  readonly failure?: CertificateFailure
}

export const certificateStates = [
  'none',
  'ordering',
  'valid',
  'renewing',
  'expired',
  'failing',
] as const
export type CertificateState = (typeof certificateStates)[number]

export interface CertificateFailure {
  readonly kind: FailureKind
  readonly reason: string
  readonly nextTryAtMs: number
}

export interface IssuanceStatus extends IssuingCounters {
  /** Undefined where nobody issues. */
  readonly issuer: string | undefined
  /** A limit of the whole account was met: nothing is ordered before. */
  readonly pausedUntilMs?: number
}

interface Known {
  readonly own: { list(): readonly Certificate[] } | undefined
  readonly issuerId: string | undefined
  readonly kept: ReadonlyMap<string, Certificate>
  readonly failures: Failures
  readonly renewals?: Renewals | undefined
  readonly ordering: ReadonlySet<string>
  readonly nowMs: number
}

/** The operator's certificates; then all names that are known of, in the order they came up. */
export function statusOf(names: Iterable<string>, known: Known): CertificateStatus[] {
  const own = (known.own?.list() ?? []).flatMap(({ names, notAfterMs }) =>
    names.map((name) => ({ name, source: 'operator', state: 'valid' as const, notAfterMs })),
  )
  const isCovered = (name: string) => own.some((one) => matchesHostname(one.name, name))
  const { kept, failures, ordering } = known
  const all = new Set([...kept.keys(), ...ordering, ...failures.names(), ...names])
  const issued = [...all].filter((name) => !isCovered(name)).map((name) => one(name, known))
  return [...own, ...issued]
}

function one(name: string, known: Known): CertificateStatus {
  const { issuerId: source = 'store', kept, failures, ordering, nowMs } = known
  const certificate = kept.get(name)
  const notAfterMs = certificate?.notAfterMs
  const isValid = notAfterMs !== undefined && notAfterMs > nowMs
  const failure = failures.of(name)
  const facts = { name, source, ...(notAfterMs !== undefined && { notAfterMs }) }
  if (ordering.has(name)) return { ...facts, state: isValid ? 'renewing' : 'ordering' }
  if (failure !== undefined) {
    const { kind, reason, retryAtMs: nextTryAtMs } = failure
    return { ...facts, state: 'failing', failure: { kind, reason, nextTryAtMs } }
  }
  const renewAtMs = certificate && known.renewals?.renewAtMs(name, certificate)
  if (isValid) return { ...facts, state: 'valid', ...(renewAtMs !== undefined && { renewAtMs }) }
  return { ...facts, state: notAfterMs === undefined ? 'none' : 'expired' }
}
