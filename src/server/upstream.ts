import type { Duplex } from 'node:stream'
import type { Mode, TargetProtocol } from '../protocol/messages.ts'
import type { Claim } from '../registry/registry.ts'
import type { RouteRules } from './rules.ts'

/** A visitor's connection as the gateway sees it. */
export interface Visitor {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
}

/** Where the edge sends a visitor's connection: a tunnel today, a peer gateway later. */
export interface Upstream {
  /** For logs and the dashboard. */
  readonly id: string
  /** What the agent calls itself, if anything: its own word. */
  readonly agentName?: string | undefined
  /**
   * A new stream to the target behind `route`; its preamble is already on the way, so what is
   * written next reaches the target. Never throws: an upstream that is gone or full gives a stream
   * that fails with an error. The caller closes the stream.
   */
  open(route: Route, visitor: Visitor): Duplex
}

/**
 * A public name, and what stands behind it. Beside hostnames there are those of claims.ts; a tunnel that
 * has several has a route for each.
 */
export interface Route extends Claim<Upstream> {
  /** The name to the letter as the agent registered it: what its preamble must carry (Go agents compare bytes). */
  readonly key: string
  readonly mode: Mode
  /** In http mode, what the target speaks if not HTTP/1.1: HTTP/2, in clear text or in the agent's TLS. */
  readonly protocol?: TargetProtocol | undefined
  /** How long a request may wait for its answer, in http mode; 0: as long as it takes; absent: as long as the gateway says. */
  readonly responseTimeoutMs?: number | undefined
  /** In http mode, that the route is for what is beneath it alone: `/api`. */
  readonly path?: string | undefined
  /** In http mode, where several share the name: all of them, this one included, by their paths in lower case. */
  readonly routes?: ReadonlyMap<string, Route>
  readonly rules?: RouteRules | undefined
  /** The agent's own name for the target. For logs and the dashboard only. */
  readonly target: string
  /** What visitors in tcp mode are offered by ALPN, the best first; absent: ALPN is not answered. */
  readonly alpn?: readonly string[] | undefined
  /** After how long without a byte either way a connection is ended, in tcp and tls mode; absent: never. */
  readonly idleTimeoutMs?: number | undefined
}
