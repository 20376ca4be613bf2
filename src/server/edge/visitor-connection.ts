import type { TLSSocket } from 'node:tls'
import type { Visitor } from '../upstream.ts'
import { visitorOf } from './visitor.ts'

/** What is being done for a visitor right now. */
export interface Occupation {
  /** Not a byte went either way for as long as may be. */
  onIdle(): void
}

/** A visitor's connection in http mode: one request at a time, others that came early wait. */
export class VisitorConnection {
  readonly socket: TLSSocket
  /** Canonical: the name the TLS connection is for. */
  readonly serverName: string
  readonly visitor: Visitor
  #isBusy = false
  #occupation: Occupation | undefined
  readonly #waiting: (() => void)[] = []

  constructor(socket: TLSSocket, serverName: string) {
    this.socket = socket
    this.serverName = serverName
    this.visitor = visitorOf(socket)
  }

  get isBusy(): boolean {
    return this.#isBusy
  }

  /**
   * Runs it when everything before it is done. Pipelined requests may not be served side by side
   * (RFC 9112 §9.3.2), and one connection may not open streams without number.
   */
  enqueue(serve: () => void): void {
    if (!this.#isBusy) {
      this.#isBusy = true
      serve()
    } else if (this.#waiting.length < maxWaiting) this.#waiting.push(serve)
    else this.socket.destroy()
  }

  occupy(occupation: Occupation): void {
    this.#occupation = occupation
  }

  /** What `enqueue` began is done. */
  done(): void {
    this.#occupation = undefined
    this.#isBusy = false
    const next = this.#waiting.shift()
    if (next === undefined || this.socket.destroyed) return
    this.#isBusy = true
    next()
  }

  onIdle(): void {
    if (this.#occupation === undefined) this.socket.destroy()
    else this.#occupation.onIdle()
  }
}

/** More than any honest client pipelines; tools that measure go to 16 or so. */
const maxWaiting = 100
