import type { Server } from 'node:http'
import type { Logger } from '../log.ts'
import type { PortRange } from '../net/port-ranges.ts'
import { MemoryRegistry } from '../registry/memory-registry.ts'
import type { Registry } from '../registry/registry.ts'
import { createAgentPort } from './agent-port.ts'
import type { CertificateSource, ChallengeSource } from './certificate-source.ts'
import { isHostname } from './claims.ts'
import { Dashboard } from './dashboard/dashboard.ts'
import { createDashboardServer, dashboardPages } from './dashboard/server.ts'
import { Connections } from './edge/connections.ts'
import { DepartedNames } from './edge/departed-names.ts'
import { HttpRedirector } from './edge/http.ts'
import { HttpsEdge } from './edge/https.ts'
import type { TrustedProxies } from './edge/provenance.ts'
import { createPublicPort } from './edge/public.ts'
import { Reception } from './edge/reception.ts'
import { TcpEdge } from './edge/tcp-edge.ts'
import { TcpPorts } from './edge/tcp-ports.ts'
import { ServerError } from './errors.ts'
import { defaultLimits, type GatewayLimits } from './limits.ts'
import { Listeners } from './listeners.ts'
import type { GatewayAddresses, GatewayCounters, GatewayStatus, Readiness } from './status.ts'
import { Telemetry } from './telemetry/telemetry.ts'
import { Tunnels, type TunnelsOptions } from './tunnels.ts'
import type { Route } from './upstream.ts'

export interface GatewayOptions
  extends Pick<TunnelsOptions, 'jwtSecrets' | 'requireScopedTokens' | 'revocations'> {
  /** The program's version, for the dashboard. */
  readonly version: string
  /** Canonical; the gateway's own page, and the certificate of visitors who name no host. */
  readonly gatewayHost: string
  /** Canonical; where agents connect. May equal `gatewayHost`: agents then need the tunnel port. */
  readonly tunnelHost: string
  /** Ports: 0 means any free one, see `addresses`. */
  readonly gatewayPort: number
  readonly tunnelPort: number
  readonly httpPort: number
  readonly dashboardPort: number
  /** For all listeners but the dashboard's; undefined: all addresses, IPv6 and IPv4. */
  readonly bindAddress?: string | undefined
  /** Undefined: all addresses. */
  readonly dashboardBind: string | undefined
  /** Undefined: whoever reaches the dashboard may see it. */
  readonly dashboardPassword?: string | undefined
  /** Whether it is at `https://gatewayHost/` too. */
  readonly dashboardOnGateway?: boolean
  /** Public ports that agents may ask for; default: none. */
  readonly tcpPorts?: { readonly ranges: readonly PortRange[] }
  /** Whether visitors may have HTTP/2. */
  readonly http2: boolean
  /** How long `close()` lets running streams go on. */
  readonly shutdownGraceMs: number
  readonly limits?: Partial<GatewayLimits>
  /**
   * Whose word on who the visitor is counts, default: nobody's. Their connections begin with a PROXY
   * header; and where that names one of them, its X-Forwarded-For is believed.
   */
  readonly trustedProxies?: TrustedProxies
  /** Whether the access log has queries; default: no. */
  readonly logQuery?: boolean
  /**
   * Makes the source of certificates. `decide` is the gate: only for names it allows, the gateway's own
   * and those that an agent holds, may a certificate be made. The gateway closes what it gets.
   */
  readonly certificates: (decide: (hostname: string) => boolean) => CertificateSource
  /** What a CA is shown on the public ports; with none, no CA is expected. */
  readonly challenges?: ChallengeSource | undefined
  /** Default: a registry in memory, for one gateway. */
  readonly registry?: Registry<Route>
  readonly log: Logger
}

/** The gateway: its listeners, the agents behind it, and the registry that joins the two. */
export class Gateway {
  readonly #options: GatewayOptions
  readonly #certificates: CertificateSource
  readonly #registry: Registry<Route>
  readonly #connections: Connections
  readonly telemetry = new Telemetry()
  readonly #tunnels: Tunnels
  readonly #https: HttpsEdge
  readonly #dashboard: Dashboard
  readonly #dashboardServer: Server
  readonly #listeners: Listeners
  readonly #tcpPorts: TcpPorts
  /** What visitors see, also while we drain and listen no more. */
  #publicPort: number
  #startedAtMs: number | undefined
  #closed: Promise<void> | undefined

  constructor(options: GatewayOptions) {
    this.#options = options
    this.#publicPort = options.gatewayPort
    const { gatewayHost, tunnelHost, bindAddress, logQuery = false, log } = options
    const { trustedProxies = { matches: () => false } } = options
    const limits = { ...defaultLimits, ...options.limits }
    const { headerLines, headerTimeoutSec, idleTimeoutSec, responseTimeoutSec } = limits
    const ownNames = [gatewayHost, tunnelHost]
    const registry = options.registry ?? new MemoryRegistry<Route>()
    const isKnown = (name: string) =>
      ownNames.includes(name) || (isHostname(name) && registry.lookup(name) !== undefined)
    // What is inside of a tls tunnel's TLS is none of our business, and so is its certificate.
    const hasOwnCertificate = (name: string) => registry.lookup(name)?.mode === 'tls'
    const publicPort = () => this.#publicPort

    const { challenges } = options
    const certificates = options.certificates((name) => isKnown(name) && !hasOwnCertificate(name))
    const connections = new Connections(limits)
    const reception = new Reception({ connections, trustedProxies, log })
    const { telemetry } = this
    const tcp = new TcpEdge({ telemetry, log })
    const { ranges: allowed } = options.tcpPorts ?? { ranges: [] }
    const ports = new TcpPorts({ allowed, bindAddress, registry, reception, tcp })
    const { jwtSecrets, requireScopedTokens, revocations } = options
    const policy = { jwtSecrets, requireScopedTokens, revocations }
    const replacedGraceMs = options.shutdownGraceMs
    const tunnels = new Tunnels({
      ...{ registry, ports, ...policy, ownNames, limits, replacedGraceMs, log },
    })
    telemetry.onRequest = ({
      session,
      host: hostname,
      method = '',
      path = '',
      status,
      durationMs: ms,
    }) => {
      const durationMs = Math.round(ms)
      if (session) tunnels.noteRequest(session, { hostname, method, path, status, durationMs })
    }
    const departed = new DepartedNames(registry)
    const names = { registry, departed, gatewayHost, tunnelHost }
    const context = { ...names, certificates, connections, telemetry, log }
    const dashboard = new Dashboard({
      gateway: {
        status: () => this.status(),
        readiness: () => this.readiness(),
        telemetry,
        disconnect: (session) => tunnels.disconnect(session),
      },
      ...{ gatewayHost, password: options.dashboardPassword, log },
    })
    const agents = createAgentPort({ ...context, tunnels })
    const https = new HttpsEdge({
      ...{ ...context, ...limits, publicPort, trustedProxies, logQuery },
      timeouts: {
        headerMs: headerTimeoutSec * 1000,
        idleMs: idleTimeoutSec * 1000,
        responseMs: responseTimeoutSec * 1000,
      },
      http2: options.http2,
      ownPages: options.dashboardOnGateway ? dashboardPages(dashboard) : undefined,
    })
    const edge = createPublicPort({ ...context, challenges, reception, https, tcp, agents })
    const http = new HttpRedirector({
      ...{ isKnown, hasOwnCertificate, challenges, publicPort, headerLines, reception },
    })

    this.#certificates = certificates
    this.#registry = registry
    this.#connections = connections
    this.#tunnels = tunnels
    this.#https = https
    this.#dashboard = dashboard
    this.#dashboardServer = createDashboardServer(dashboard)
    this.#tcpPorts = ports
    this.#listeners = new Listeners({
      public: {
        server: edge,
        port: options.gatewayPort,
        host: bindAddress,
        setting: 'GATEWAY_PORT',
      },
      tunnel: {
        server: agents,
        port: options.tunnelPort,
        host: bindAddress,
        setting: 'TUNNEL_PORT',
      },
      http: {
        server: http,
        port: options.httpPort,
        host: bindAddress,
        setting: 'HTTP_PORT',
        onUnbound: ({ message }) => {
          challenges?.withoutHttp()
          const text =
            'no http port: http:// leads nowhere, and a CA has only the public port to look at'
          log.warn(text, { error: message })
        },
      },
      dashboard: {
        server: this.#dashboardServer,
        port: options.dashboardPort,
        host: options.dashboardBind,
        setting: 'DASHBOARD_PORT',
      },
    })
  }

  get addresses(): GatewayAddresses {
    return this.#listeners.addresses
  }

  /**
   * Binds all listeners, or none of them; only the http port may be missing.
   * @throws ServerError SERVER_LISTEN_FAILED, naming the setting to change; the gateway is closed then.
   */
  async start(): Promise<void> {
    if (this.#startedAtMs !== undefined || this.#closed !== undefined) {
      throw new ServerError('SERVER_NOT_STARTABLE', 'a gateway starts once: make a new one')
    }
    this.#startedAtMs = Date.now()
    try {
      await this.#listeners.bind()
      this.#publicPort = this.addresses.public?.port ?? this.#publicPort
      this.telemetry.start(() => {
        const { openCount: connections } = this.#connections
        return { connections, sessions: this.#tunnels.status() }
      })
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /** Drains: nothing new is accepted, running streams get `shutdownGraceMs`, then all ends. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    const { log, shutdownGraceMs } = this.#options
    // Nothing new: no connections, no agents, no requests after those that are being served.
    this.#listeners.stop()
    this.#dashboard.close()
    this.#tunnels.refuseAll()
    this.#tcpPorts.closeAll()
    this.#https.drain()
    const running = { visitors: this.#connections.openCount, agents: this.#tunnels.status().length }
    if (running.visitors > 0)
      log.info('closing when what runs has ended', { ...running, shutdownGraceMs })

    // What runs may end. Agents are told to expect no more, and leave when their streams have ended.
    // Streams are cut first: their visitors get a reset, and do not take a part for the whole.
    const cutMs = Math.min(longestCutMs, shutdownGraceMs / 2)
    await Promise.all([
      this.#tunnels.close(shutdownGraceMs - cutMs),
      this.#connections.close(shutdownGraceMs),
    ])

    // The rest has no one to serve any more.
    this.#https.close()
    this.telemetry.close()
    this.#listeners.close()
    this.#dashboardServer.closeAllConnections()
    await this.#certificates.close()
  }

  status(): GatewayStatus {
    const { version, gatewayHost, tunnelHost } = this.#options
    return {
      gateway: {
        ...{ version, gatewayHost, tunnelHost },
        startedAtMs: this.#startedAtMs,
        isClosing: this.#closed !== undefined,
        addresses: this.addresses,
        counters: this.#counted(),
      },
      sessions: this.#tunnels.status(),
      certificates: this.#certificates.status(this.#certifiedNames()),
      issuance: this.#certificates.issuance(),
    }
  }

  /** Whether it is a good idea to send anybody here. */
  readiness(): Readiness {
    const isClosing = this.#closed !== undefined
    const listening = this.#listeners.listening()
    const { http: _, ...needed } = listening
    const isReady = !isClosing && Object.values(needed).every(Boolean)
    return { isReady, isClosing, listening }
  }

  /** Names that show a certificate of ours, or would. */
  *#certifiedNames(): Generator<string> {
    yield* [this.#options.gatewayHost, this.#options.tunnelHost]
    for (const { name, mode } of this.#registry) {
      if (isHostname(name) && mode !== 'tls') yield name
    }
  }

  #counted(): GatewayCounters {
    const { openRequests, requests, failedRequests, connections } = this.telemetry.total
    return {
      openConnections: this.#connections.openCount,
      connections: this.#connections.totalCount,
      limitedConnections: this.#connections.limitedCount,
      ...{ openRequests, requests, failedRequests, tcpConnections: connections },
      admittedAgents: this.#tunnels.admittedCount,
      refusedAgents: this.#tunnels.refusedCount,
    }
  }
}

/** Of the time for closing: for visitors to be reset whose streams are cut off. */
const longestCutMs = 500
