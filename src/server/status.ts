import type { CertificateStatus, IssuanceStatus } from '../certs/status.ts'
import type { Mode } from '../protocol/messages.ts'

/** What a gateway can say about itself: plain data, safe to show to its owner; no secrets in it. */
export interface GatewayStatus {
  readonly gateway: GatewaySelf
  /** Admitted agents, longest connected first. */
  readonly sessions: readonly SessionStatus[]
  readonly certificates: readonly CertificateStatus[]
  readonly issuance: IssuanceStatus
}

export interface GatewaySelf {
  readonly version: string
  readonly gatewayHost: string
  readonly tunnelHost: string
  /** Unix time of `start()`; undefined before it. */
  readonly startedAtMs: number | undefined
  /** It drains: nothing new is accepted. */
  readonly isClosing: boolean
  readonly addresses: GatewayAddresses
  readonly counters: GatewayCounters
}

/** Where each listener is bound; undefined while it is not. */
export interface GatewayAddresses {
  readonly public: ListenAddress | undefined
  readonly tunnel: ListenAddress | undefined
  readonly http: ListenAddress | undefined
  readonly dashboard: ListenAddress | undefined
}

/** Whether visitors and agents should be sent here. */
export interface Readiness {
  /** All listen that must, and it does not drain. The http port may be missing. */
  readonly isReady: boolean
  readonly isClosing: boolean
  readonly listening: Readonly<Record<keyof GatewayAddresses, boolean>>
}

export interface ListenAddress {
  readonly address: string
  readonly port: number
}

/** All since start, but for the two that say `open`. */
export interface GatewayCounters {
  /** Visitors' connections that are open now, on all public ports. */
  readonly openConnections: number
  readonly connections: number
  /** Closed at once, because a limit was reached. */
  readonly limitedConnections: number
  /** Requests and upgrades in http mode that are being answered now. */
  readonly openRequests: number
  readonly requests: number
  /** Requests that the gateway itself had to answer: 4xx and 5xx of its own, and broken transfers. */
  readonly failedRequests: number
  /** Connections in tcp and tls mode. */
  readonly tcpConnections: number
  readonly admittedAgents: number
  readonly refusedAgents: number
}

/** One admitted agent. What the agent said of itself is its own word: escape it where it is shown. */
export interface SessionStatus {
  readonly id: string
  readonly agentId: string | undefined
  readonly agentName: string | undefined
  readonly agentVersion: string | undefined
  readonly agentPlatform: string | undefined
  readonly remoteAddress: string
  readonly connectedSinceMs: number
  /** How long ago the last pong came; undefined before the first. */
  readonly lastPongAgoMs: number | undefined
  /** Round trip of the last heartbeat; undefined before the first. */
  readonly rttMs: number | undefined
  /** Data streams open now; the control stream is not counted. */
  readonly streams: number
  /** From the agent, with the multiplexer's own bytes. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly routes: readonly RouteStatus[]
}

/** One tunnel of an agent's, by what visitors reach it. */
export interface RouteStatus {
  /** The hostname, canonical; undefined where there is only a port. */
  readonly name: string | undefined
  /** The public port of its own. */
  readonly port: number | undefined
  /** Whether plain SSH on the public port is for this one. */
  readonly isSsh: boolean
  readonly mode: Mode
  /** As the agent names it. */
  readonly target: string
}
