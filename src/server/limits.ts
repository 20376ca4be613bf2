/** How much of everything the gateway takes on. */
export interface GatewayLimits {
  /** Bytes of one request's or response's header block. */
  readonly headerBytes: number
  /** Header lines of one request. Node's own limit hides lines instead of refusing them, so this one is ours. */
  readonly headerLines: number
  /** For a request's header, from its first byte; on a new connection from the handshake on. */
  readonly headerTimeoutSec: number
  /** For a visitor's connection on which nothing moves, between requests and within them. */
  readonly idleTimeoutSec: number
  /** For a target's answer to begin; 0: as long as it takes. A tunnel may have a time of its own. */
  readonly responseTimeoutSec: number
  /** Bytes a second that an upload of known length must have; 0: any number will do. */
  readonly minUploadRate: number
  /** Visitors' connections at once. */
  readonly connections: number
  /** Visitors' connections at once from one address. */
  readonly connectionsPerAddress: number
  /** Requests at once on one visitor's connection, with HTTP/2. */
  readonly streamsPerConnection: number
  /** Admitted agents. */
  readonly agents: number
  /** Agents' connections that are not admitted yet, TLS handshake included. */
  readonly pendingAgents: number
}

export const defaultLimits: GatewayLimits = {
  headerBytes: 65_536,
  headerLines: 100,
  headerTimeoutSec: 10,
  idleTimeoutSec: 120,
  responseTimeoutSec: 60,
  minUploadRate: 100, // a guess: modems were faster, and who attacks by slowness is slower
  connections: 15_000, // below the 20,000 descriptors a process commonly gets; each may need no second one
  connectionsPerAddress: 1_000, // a guess: an office behind one address
  streamsPerConnection: 100, // as RFC 9113 §6.5.2 recommends at least
  agents: 2_000,
  pendingAgents: 1_000, // all agents at once after a restart, twice 500
}
