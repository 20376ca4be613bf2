/** How much of everything the gateway takes on. */
export interface GatewayLimits {
  /** Bytes of one request's or response's header block. */
  readonly headerBytes: number
  /** Header lines of one request. Node's own limit hides lines instead of refusing them, so this one is ours. */
  readonly headerLines: number
  /** Visitors' connections at once. */
  readonly connections: number
  /** Visitors' connections at once from one address. */
  readonly connectionsPerAddress: number
  /** Admitted agents. */
  readonly agents: number
  /** Agents' connections that are not admitted yet, TLS handshake included. */
  readonly pendingAgents: number
}

export const defaultLimits: GatewayLimits = {
  headerBytes: 65_536,
  headerLines: 100,
  connections: 15_000, // below the 20,000 descriptors a process commonly gets; each may need no second one
  connectionsPerAddress: 1_000, // a guess: an office behind one address
  agents: 2_000,
  pendingAgents: 1_000, // all agents at once after a restart, twice 500
}
