import type { ClientError } from './errors.ts'
import type { Route } from './forward.ts'

export type AgentState =
  /** Not running: not yet, or no more. */
  | 'idle'
  /** Dialling, or registering. */
  | 'connecting'
  /** Registered: the gateway may open streams. */
  | 'connected'
  /** Until the next try. */
  | 'waiting'
  /** Told to stop, and waiting for the streams that run. */
  | 'closing'

export interface AgentStatus {
  readonly state: AgentState
  /** Unix time in milliseconds; `undefined` while not connected, like the two that follow. */
  readonly connectedSinceMs: number | undefined
  readonly session: string | undefined
  readonly rttMs: number | undefined
  /** The public ports that the gateway took for us, by hostname. */
  readonly ports: ReadonlyMap<string, number>
  readonly tunnels: readonly Route[]
  /** Those of a tunnel that is being left included. */
  readonly streams: number
  /** What ended the last try or the last tunnel. */
  readonly lastError: ClientError | undefined
}

export interface AgentEvents {
  state: [state: AgentState]
  /** A stream to this target is served; in http mode it may carry many requests. */
  connection: [route: Route]
}
