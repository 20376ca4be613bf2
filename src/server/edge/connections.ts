import type { Socket } from 'node:net'
import { remoteAddressOf } from './visitor.ts'

export interface ConnectionsOptions {
  /** At once, in all and from one address. */
  readonly connections: number
  readonly connectionsPerAddress: number
}

/** The visitors' connections that are open, on all ports together, and how many more may come. */
export class Connections {
  readonly #options: ConnectionsOptions
  readonly #sockets = new Set<Socket>()
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
    const address = remoteAddressOf(socket)
    const fromThere = this.#perAddress.get(address) ?? 0
    const { connections, connectionsPerAddress } = this.#options
    if (this.#sockets.size >= connections || fromThere >= connectionsPerAddress) {
      this.#limited += 1
      socket.on('error', () => {})
      socket.resetAndDestroy() // a FIN would leave us a socket in TIME_WAIT for each
      return false
    }
    this.#total += 1
    this.#sockets.add(socket)
    this.#perAddress.set(address, fromThere + 1)
    // The address is kept: a closed socket no longer knows its own.
    socket.once('close', () => this.#remove(socket, address))
    return true
  }

  /** No visitor's, it turned out: it is counted no more, and not closed with the others. */
  release(socket: Socket): void {
    this.#remove(socket, remoteAddressOf(socket))
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

  #remove(socket: Socket, address: string): void {
    if (!this.#sockets.delete(socket)) return
    const left = (this.#perAddress.get(address) ?? 1) - 1
    if (left > 0) this.#perAddress.set(address, left)
    else this.#perAddress.delete(address)
    if (this.#sockets.size === 0) this.#onEmpty?.()
  }
}
