import type { SecureContext } from 'node:tls'
import type { CertificateStatus } from '../certs/certificates.ts'
import type { Logger } from '../log.ts'
import type { Registry } from '../registry/registry.ts'
import type { GatewayLimits } from './limits.ts'
import type { GatewayAddresses, GatewayStatus } from './status.ts'
import type { Route } from './upstream.ts'

export interface GatewayOptions {
  /** The program's version, for the status page. */
  readonly version: string
  /** Canonical; the gateway's own page, and the certificate of visitors who name no host. */
  readonly gatewayHost: string
  /** Canonical; where agents connect. May equal `gatewayHost` on a tunnel port of its own. */
  readonly tunnelHost: string
  /** Ports: 0 means any free one, see `addresses`. */
  readonly gatewayPort: number
  readonly tunnelPort: number
  readonly httpPort: number
  readonly dashboardPort: number
  /** For all listeners but the dashboard's; undefined: all addresses, IPv6 and IPv4. */
  readonly bindAddress?: string | undefined
  readonly dashboardBind: string
  /** Whoever signs with one of these may register. */
  readonly jwtSecrets: readonly string[]
  /** How long `close()` lets running streams go on. */
  readonly shutdownGraceMs: number
  readonly limits?: Partial<GatewayLimits>
  /**
   * Makes the source of certificates. `decide` is the gate: only for names it allows, the gateway's own and
   * those that an agent holds, may a certificate be made. The gateway closes what it gets.
   */
  readonly certificates: (decide: (hostname: string) => boolean) => CertificateSource
  /** Default: a registry in memory, for one gateway. */
  readonly registry?: Registry<Route>
  readonly log: Logger
}

/** What the gateway asks of `Certificates` in certs/certificates.ts. */
export interface CertificateSource {
  contextFor(hostname: string): Promise<SecureContext | undefined>
  hasAtHand(hostname: string): Promise<boolean>
  status(): readonly CertificateStatus[]
  close(): Promise<void> | void
}

/** The gateway: its listeners, the agents behind it, and the registry that joins the two. */
export declare class Gateway {
  constructor(options: GatewayOptions)
  /**
   * Binds all listeners, or none of them.
   * @throws ServerError SERVER_LISTEN_FAILED, naming the setting to change.
   */
  start(): Promise<void>
  /** Drains: nothing new is accepted, running streams get `shutdownGraceMs`, then all ends. Idempotent. */
  close(): Promise<void>
  status(): GatewayStatus
  readonly addresses: GatewayAddresses
}
