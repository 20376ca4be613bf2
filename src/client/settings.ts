import type { AgentInfo } from '../protocol/messages.ts'
import type { TokenLife } from './expiry-warning.ts'
import type { Route } from './forward.ts'
import type { AgentGateway } from './gateways.ts'

/** What may change while an agent runs. */
export interface AgentSettings {
  readonly connection: AgentConnection
  /** At least one; no two with the same hostname. */
  readonly tunnels: readonly Route[]
}

/** How it comes to a gateway, and as whom. */
export interface AgentConnection {
  /** At least one; they are tried in turn. */
  readonly gateways: readonly AgentGateway[]
  /** A token to register with; asked anew for each connection, so it may live shortly. */
  readonly token: () => string
  /** Of a token that stays the same: the agent warns before it ends, and ends with it. */
  readonly tokenLife?: TokenLife | undefined
  readonly agent?: AgentInfo
}
