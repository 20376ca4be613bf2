import type { Route } from '../../upstream.ts'
import { type ConnectionKeeper, TargetConnection } from './target-connection.ts'
import type { TargetOptions } from './target-request.ts'

/** How long a kept stream waits for the next request; targets commonly close sooner themselves. */
const idleLimitMs = 30_000
const sweepMs = 5_000
/** How long a kept stream is good for what cannot be repeated: few targets close sooner. */
const youngMs = 1_000
/** Streams kept for one route. */
const maxIdle = 1_024

/** Connections with HTTP/1.1 targets that are kept for further requests of the same route, the youngest used first. */
export class UpstreamPool implements ConnectionKeeper {
  /** Of a route as this tunnel has it: the name held by another agent is another route. */
  readonly #idle = new Map<Route, TargetConnection[]>()
  readonly #released = new WeakSet<Route>()
  readonly #sweep: NodeJS.Timeout
  #isClosed = false

  constructor() {
    this.#sweep = setInterval(() => this.#dropStale(), sweepMs).unref()
  }

  /** A kept connection, or a new one. @throws why there is no stream for that. */
  take({ route, visitor, isFresh, isRepeatable }: TargetOptions): TargetConnection {
    const idle = isFresh ? undefined : this.#idle.get(route)
    const youngest = idle?.at(-1)
    if (youngest !== undefined && (isRepeatable || youngest.idleMs <= youngMs)) {
      idle?.pop()
      return youngest
    }
    const stream = route.holder.open(route, visitor)
    const connection = new TargetConnection(stream, route, this)
    if (stream.destroyed) throw stream.errored ?? new Error('the upstream gave no stream')
    return connection
  }

  /** Its request has been answered, and it is good for another. */
  keep(connection: TargetConnection): void {
    const { route } = connection
    const idle = this.#idle.get(route) ?? []
    if (this.#isClosed || this.#released.has(route) || idle.length >= maxIdle) {
      connection.destroy()
      return
    }
    if (idle.length === 0) this.#idle.set(route, idle)
    idle.push(connection)
  }

  /** It has closed. */
  forget(connection: TargetConnection): void {
    const idle = this.#idle.get(connection.route)
    const index = idle?.indexOf(connection) ?? -1
    if (index === -1) return
    idle?.splice(index, 1)
    if (idle?.length === 0) this.#idle.delete(connection.route)
  }

  /** Lets go of the route's kept streams, and keeps no more: its agent leaves, and waits for them. */
  release(route: Route): void {
    this.#released.add(route)
    this.#drop(route, () => true)
  }

  /** Lets go of the kept streams; those in use go on, and are not kept afterwards. */
  close(): void {
    clearInterval(this.#sweep)
    this.#isClosed = true
    for (const route of this.#idle.keys()) this.#drop(route, () => true)
  }

  #dropStale(): void {
    for (const route of this.#idle.keys()) this.#drop(route, ({ idleMs }) => idleMs >= idleLimitMs)
  }

  #drop(route: Route, isUnwanted: (connection: TargetConnection) => boolean): void {
    for (const connection of [...(this.#idle.get(route) ?? [])]) {
      if (isUnwanted(connection)) connection.destroy()
    }
  }
}
