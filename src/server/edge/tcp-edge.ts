import type { Socket } from 'node:net'
import type { Logger } from '../../log.ts'
import { IdleWatch } from '../../net/idle-watch.ts'
import { ignoreErrors } from '../../net/ignore-errors.ts'
import { reset } from '../../net/reset.ts'
import { splice } from '../../net/splice.ts'
import { isHostname } from '../claims.ts'
import { admits } from '../rules.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { TrafficError } from '../telemetry/traffic.ts'
import type { Route, Visitor } from '../upstream.ts'
import { edgeErrors } from './error-page.ts'
import { upstreamErrorOf } from './upstream-error.ts'

export interface TcpEdgeOptions {
  readonly telemetry: Telemetry
  readonly log: Logger
}

/** What went wrong, if anything, as the access line tells it. */
interface Failure {
  readonly outcome: 'refused' | 'broken' | 'aborted' | 'idle'
  readonly code?: string
  readonly reason?: string
}

/**
 * Connections whose bytes are none of our business: what was inside of the visitor's TLS (tcp), that TLS
 * itself (tls), plain SSH, whatever comes to a port of its own.
 */
export class TcpEdge {
  readonly #telemetry: Telemetry
  readonly #log: Logger
  readonly #idleWatch = new IdleWatch()

  constructor({ telemetry, log }: TcpEdgeOptions) {
    this.#telemetry = telemetry
    this.#log = log
  }

  /**
   * Joins a visitor's connection with the target of the route. Resolves when both are closed; never
   * rejects. Where the target cannot be had, or not by this visitor, the connection is reset: any word of
   * ours would be taken for the target's.
   */
  async forward(socket: Socket, route: Route, visitor: Visitor): Promise<void> {
    const startMs = performance.now()
    this.#telemetry.beginConnection(route.name)
    ignoreErrors(socket) // its close says the same
    const failure = isWelcome(route, visitor)
      ? await this.#join(socket, route, visitor)
      : turnAway(socket)
    const { name, key } = route
    const { bytesRead: bytesIn, bytesWritten: bytesOut } = socket
    const durationMs = Math.round(performance.now() - startMs)
    const error = errorOf(failure)
    this.#telemetry.endConnection({ status: 0, durationMs, bytesIn, bytesOut, error }, name)
    const isNamed = isHostname(name)
    // Field by field: a spread takes as long as ten of them.
    this.#log.info('connection', {
      host: isNamed ? name : key,
      entrance: isNamed ? undefined : name,
      outcome: failure?.outcome,
      code: failure?.code,
      reason: failure?.reason,
      durationMs,
      bytesIn,
      bytesOut,
      remoteAddress: visitor.remoteAddress,
      session: route.holder.id,
    })
  }

  async #join(socket: Socket, route: Route, visitor: Visitor): Promise<Failure | undefined> {
    const stream = route.holder.open(route, visitor)
    let failure: Failure | undefined
    stream.once('error', (error: Error & { code?: unknown }) => {
      // The splice resets it with this when the visitor is gone.
      if (error.code === 'NET_SPLICE_BROKEN') failure ??= { outcome: 'aborted' }
      else failure ??= failureOf(error, stream.readableDidRead)
    })
    if (route.idleTimeoutMs !== undefined) {
      this.#idleWatch.watch(socket, route.idleTimeoutMs, () => {
        failure = { outcome: 'idle' }
        reset(socket, new Error('the connection was idle for too long'))
      })
    }
    await splice(socket, stream)
    if (socket.errored !== null) failure ??= { outcome: 'aborted' }
    return failure
  }
}

function isWelcome({ rules }: Route, { remoteAddress }: Visitor): boolean {
  return rules === undefined || admits(rules, remoteAddress)
}

function turnAway(socket: Socket): Failure {
  const { code, text } = edgeErrors.forbidden
  reset(socket, new Error(text))
  return { outcome: 'refused', code }
}

/** The stream failed by itself: the target could not be had, or broke off. */
function failureOf(error: Error & { code?: unknown }, hasAnswered: boolean): Failure {
  const { code } = upstreamErrorOf(error)
  return { outcome: hasAnswered ? 'broken' : 'refused', code, reason: error.message }
}

/** That a visitor leaves, or says nothing for too long, is none. */
function errorOf(failure: Failure | undefined): TrafficError | undefined {
  if (failure?.outcome !== 'refused' && failure?.outcome !== 'broken') return undefined
  return { atMs: Date.now(), status: 0, code: failure.code, isOurs: true }
}
