import type { CertificateStatus } from '../../../certs/status.ts'

const soonMs = 7 * 24 * 60 * 60 * 1000

/** Whether somebody should look after it: little time is left, and nobody is about to renew it. */
export function isRunningOut({ notAfterMs, renewAtMs }: CertificateStatus, nowMs: number): boolean {
  if (notAfterMs === undefined || notAfterMs - nowMs >= soonMs) return false
  return renewAtMs === undefined || renewAtMs <= nowMs
}
