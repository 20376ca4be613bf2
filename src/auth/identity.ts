/** What a verified token says of its bearer. */
export interface Identity {
  /** Who made the token (`iss`): agents with the shared secret name themselves here. */
  readonly issuer?: string
  /** Whom it was made for (`sub`). */
  readonly subject?: string
  /** Its own name (`jti`), for revocation. */
  readonly tokenId?: string
  /** Unix time in seconds (`exp`); without it the token is good for ever, as in the Go program. */
  readonly expiresAtSec?: number
}

/** How far two machines' clocks may be apart. A guess: NTP keeps them within one second. */
export const clockToleranceSec = 30

/** Whether an identity that was good has expired since: a tunnel asks at every heartbeat. */
export function isExpired(identity: Identity, nowSec: number): boolean {
  const { expiresAtSec } = identity
  return expiresAtSec !== undefined && nowSec >= expiresAtSec + clockToleranceSec
}
