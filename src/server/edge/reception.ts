import type { Socket } from 'node:net'
import type { Logger } from '../../log.ts'
import { ignoreErrors } from '../../net/ignore-errors.ts'
import type { Visitor } from '../upstream.ts'
import type { Connections } from './connections.ts'
import { LimitedLog } from './limited-log.ts'
import type { TrustedProxies } from './provenance.ts'
import { takeProxyHeader } from './proxy-header.ts'
import { visitorFrom, visitorOf } from './visitor.ts'

export interface ReceptionOptions {
  readonly connections: Connections
  /** What connects from there begins with a PROXY header, which says who the visitor is. */
  readonly trustedProxies: TrustedProxies
  readonly log: Logger
}

/** For all servers that visitors connect to. */
export const visitorSocketOptions = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: 60_000,
} as const

/** Where every visitor's connection begins, on whatever port: it is counted, limited, and finds out who comes. */
export class Reception {
  readonly #connections: Connections
  readonly #trustedProxies: TrustedProxies
  readonly #refusals: LimitedLog

  constructor({ connections, trustedProxies, log }: ReceptionOptions) {
    this.#connections = connections
    this.#trustedProxies = trustedProxies
    this.#refusals = new LimitedLog(log, 'warn', 'PROXY header missing or malformed')
  }

  /**
   * Hands a new connection on to `serve`, unless it is one too many or has no business here. In the same
   * tick, but behind a trusted proxy: then the socket is left as `peek` leaves it.
   */
  receive(socket: Socket, serve: (visitor: Visitor) => void): void {
    const peer = visitorOf(socket)
    ignoreErrors(socket) // its close says the same
    if (!this.#connections.add(socket)) return
    const identify = (visitor: Visitor) => {
      if (this.#connections.identify(socket, visitor)) serve(visitor)
    }
    if (!this.#trustedProxies.matches(peer.remoteAddress)) {
      identify(peer)
      return
    }
    takeProxyHeader(socket).then(
      (addresses) => identify(addresses ? visitorFrom(addresses) : peer),
      (error: Error) => {
        socket.destroy()
        this.#refusals.write({ remoteAddress: peer.remoteAddress, reason: error.message })
      },
    )
  }
}
