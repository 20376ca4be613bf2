import type { AddressInfo, Server } from 'node:net'
import { listen } from '../net/listen.ts'
import { ServerError } from './errors.ts'
import type { GatewayAddresses, ListenAddress } from './status.ts'

export interface Listener {
  readonly server: Server
  readonly port: number
  readonly host: string | undefined
  /** What the owner changes to have it elsewhere. */
  readonly setting: string
  /** The gateway goes on without it, and says so. */
  readonly onUnbound?: (error: ServerError) => void
}

/** The gateway's listening sockets, as one. */
export class Listeners {
  readonly #byName: Readonly<Record<keyof GatewayAddresses, Listener>>
  #addresses: GatewayAddresses = noAddresses

  constructor(byName: Readonly<Record<keyof GatewayAddresses, Listener>>) {
    this.#byName = byName
  }

  /** Kept, since asking the system costs a call each, and every request wants to know our port. */
  get addresses(): GatewayAddresses {
    return this.#addresses
  }

  /** Binds all of them that it cannot do without, or none. @throws ServerError SERVER_LISTEN_FAILED, naming the setting to change. */
  async bind(): Promise<void> {
    for (const { server, port, host, setting, onUnbound } of Object.values(this.#byName)) {
      try {
        await listen(server, { port, ...(host !== undefined && { host }) })
      } catch (cause) {
        const text = `${setting}=${port}: ${(cause as Error).message}`
        const error = new ServerError('SERVER_LISTEN_FAILED', text, { cause })
        if (onUnbound !== undefined) {
          onUnbound(error)
          continue
        }
        this.close()
        throw error
      }
      server.on('error', () => {}) // accepting failed, once: for want of descriptors, mostly
    }
    const { public: edge, tunnel, http, dashboard } = this.#byName
    this.#addresses = {
      public: addressOf(edge.server),
      tunnel: addressOf(tunnel.server),
      http: addressOf(http.server),
      dashboard: addressOf(dashboard.server),
    }
  }

  /** Which of them accept, as it is now. */
  listening(): Record<keyof GatewayAddresses, boolean> {
    const { public: edge, tunnel, http, dashboard } = this.#byName
    return {
      public: edge.server.listening,
      tunnel: tunnel.server.listening,
      http: http.server.listening,
      dashboard: dashboard.server.listening,
    }
  }

  /** Accepts no more visitors and agents; the dashboard goes on telling. Connections that were accepted go on. */
  stop(): void {
    const { dashboard, ...others } = this.#byName
    this.#addresses = { ...noAddresses, dashboard: addressOf(dashboard.server) }
    for (const { server } of Object.values(others)) if (server.listening) server.close()
  }

  /** Accepts nothing. */
  close(): void {
    this.stop()
    this.#addresses = noAddresses
    const { server } = this.#byName.dashboard
    if (server.listening) server.close()
  }
}

const noAddresses: GatewayAddresses = {
  public: undefined,
  tunnel: undefined,
  http: undefined,
  dashboard: undefined,
}

function addressOf(server: Server): ListenAddress | undefined {
  const bound = server.address() as AddressInfo | null
  return bound === null ? undefined : { address: bound.address, port: bound.port }
}
