import type { GatewayStatus, Readiness } from '../status.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import { type TunnelStatus, tunnelsOf } from '../tunnel-status.ts'

/** The gateway, as far as the dashboard has to do with it. */
export interface DashboardGateway {
  readonly status: () => GatewayStatus
  readonly readiness: () => Readiness
  readonly telemetry: Telemetry
  /** Ends an agent's session. False: there is none of that id. */
  readonly disconnect: (session: string) => boolean
}

/** The gateway at one time. */
export interface Snapshot {
  readonly atMs: number
  readonly status: GatewayStatus
  readonly telemetry: Telemetry
  readonly tunnels: readonly TunnelStatus[]
}

/** Tunnels are put together when somebody wants them. */
class LazySnapshot implements Snapshot {
  readonly atMs = Date.now()
  readonly status: GatewayStatus
  readonly telemetry: Telemetry
  #tunnels: readonly TunnelStatus[] | undefined

  constructor({ status, telemetry }: DashboardGateway) {
    this.status = status()
    this.telemetry = telemetry
  }

  get tunnels(): readonly TunnelStatus[] {
    this.#tunnels ??= tunnelsOf(this.status, this.telemetry)
    return this.#tunnels
  }
}

/** Many who look within half a second look at the same. */
export class SnapshotSource {
  readonly #gateway: DashboardGateway
  #last: Snapshot | undefined
  #takenMs = 0

  constructor(gateway: DashboardGateway) {
    this.#gateway = gateway
  }

  /** As it is now: what somebody has just done is in it. */
  fresh(): Snapshot {
    this.#takenMs = performance.now()
    this.#last = new LazySnapshot(this.#gateway)
    return this.#last
  }

  shared(): Snapshot {
    if (this.#last === undefined || performance.now() - this.#takenMs > sharedForMs) {
      return this.fresh()
    }
    return this.#last
  }
}

const sharedForMs = 500
