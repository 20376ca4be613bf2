import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { socketUnder } from '../../net/reset.ts'
import type { Visitor } from '../upstream.ts'
import { visitorOf } from './visitor.ts'

export interface ConnectionsOptions {
  /** At once, in all and from one address. */
  readonly connections: number
  readonly connectionsPerAddress: number
}

/**
 * The visitors' connections that are open, on all ports together: how many more may come, and whose each
 * is. Behind a proxy that is not what the socket says, and known only a little later.
 */
export class Connections {
  readonly #options: ConnectionsOptions
  readonly #sockets = new Set<Socket>()
  /** Kept beyond the close: a closed socket no longer knows its own addresses. */
  readonly #visitors = new WeakMap<Socket, Visitor>()
  readonly #perAddress = new Map<string, number>()
  #total = 0
  #limited = 0
  #onEmpty: (() => void) | undefined

  constructor(options: ConnectionsOptions) {
    this.#options = options
  }

  get openCount(): number {
    return this.#sockets.size
  }

  get totalCount(): number {
    return this.#total
  }

  get limitedCount(): number {
    return this.#limited
  }

  /** Counts a new connection until it closes. False: one too many, and it was cut off without a word. */
  add(socket: Socket): boolean {
    if (this.#sockets.size >= this.#options.connections) return this.#cutOff(socket)
    this.#total += 1
    this.#sockets.add(socket)
    socket.once('close', () => this.#remove(socket))
    return true
  }

  /** Says whose it is. False: one too many of that address, and it was cut off; or it has closed meanwhile. */
  identify(socket: Socket, visitor: Visitor): boolean {
    if (!this.#sockets.has(socket)) return false
    const { remoteAddress } = visitor
    const fromThere = this.#perAddress.get(remoteAddress) ?? 0
    if (fromThere >= this.#options.connectionsPerAddress) return this.#cutOff(socket)
    this.#perAddress.set(remoteAddress, fromThere + 1)
    this.#visitors.set(socket, visitor)
    return true
  }

  /** Whose connection it is, also of the TLS on it. */
  visitorOf(socket: Socket): Visitor {
    const under = (socket instanceof TLSSocket && socketUnder(socket)) || socket
    return this.#visitors.get(under) ?? visitorOf(under)
  }

  /** No visitor's, it turned out: it is counted no more, and not closed with the others. */
  release(socket: Socket): void {
    this.#remove(socket)
  }

  /** Waits until all have closed of themselves; those that are left after `graceMs` are destroyed. */
  async close(graceMs: number): Promise<void> {
    if (this.#sockets.size === 0) return
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(() => {
        for (const socket of this.#sockets) socket.destroy()
      }, graceMs)
      this.#onEmpty = () => {
        clearTimeout(deadline)
        resolve()
      }
    })
  }

  #cutOff(socket: Socket): false {
    this.#limited += 1
    socket.on('error', () => {})
    socket.resetAndDestroy() // a FIN would leave us a socket in TIME_WAIT for each
    return false
  }

  #remove(socket: Socket): void {
    if (!this.#sockets.delete(socket)) return
    const address = this.#visitors.get(socket)?.remoteAddress
    if (address !== undefined) {
      const left = (this.#perAddress.get(address) ?? 1) - 1
      if (left > 0) this.#perAddress.set(address, left)
      else this.#perAddress.delete(address)
    }
    if (this.#sockets.size === 0) this.#onEmpty?.()
  }
}
