import {
  type AgentInfo,
  formatMessage,
  type Requests,
  type TunnelOffer,
} from '../protocol/messages.ts'
import { CAPABILITIES } from '../protocol/version.ts'
import type { Route } from './forward.ts'

export interface Registration {
  /** A JWT that the gateway will verify. */
  readonly token: string
  readonly routes: readonly Route[]
  readonly agent?: AgentInfo
  /** Told what visitors ask for, by gateways that tell it. */
  readonly onRequests?: (requests: Requests) => void
}

/** The full form is `tunnels`; a Go gateway reads `routes`, and of `modes` what is not http. */
export function formatRegister({ token, routes, agent, onRequests }: Registration): string {
  const withModes = routes.filter(({ mode }) => mode !== 'http')
  return formatMessage({
    type: 'register',
    token,
    routes: new Map(routes.map(({ hostname, target }) => [hostname, target.text])),
    modes: new Map(withModes.map(({ hostname, mode }) => [hostname, mode])),
    // What nobody looks at need not be told.
    capabilities: CAPABILITIES.filter((each) => each !== 'request-news' || onRequests),
    tunnels: routes.map(offerOf),
    ...(agent !== undefined && { agent }),
  })
}

/** What the gateway has no part in (`proxyProtocol`) is not written. */
export function offerOf(route: Route): TunnelOffer {
  return { ...route, target: route.target.text }
}
