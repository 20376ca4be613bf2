import type { TLSSocket } from 'node:tls'
import type { Http1Visit } from './http1-visit.ts'
import type { Origin } from './visit-server.ts'

/** A visitor's connection with HTTP/1.1: one request at a time, others that came early wait. */
export class VisitorConnection {
  readonly socket: TLSSocket
  readonly origin: Origin
  #isBusy = false
  #visit: Http1Visit | undefined
  readonly #waiting: Begin[] = []

  constructor(socket: TLSSocket, origin: Origin) {
    this.socket = socket
    this.origin = origin
  }

  get isBusy(): boolean {
    return this.#isBusy
  }

  /**
   * Makes and serves a visit when everything before it is done. Pipelined requests may not be served side by side
   * (RFC 9112 §9.3.2), and one connection may not open streams without number.
   */
  enqueue(begin: Begin): void {
    if (!this.#isBusy) this.#begin(begin)
    else if (this.#waiting.length < maxWaiting) this.#waiting.push(begin)
    else this.socket.destroy()
  }

  /** What `enqueue` began is done. */
  done(): void {
    const wasLast = this.#visit?.isLast ?? false
    this.#visit = undefined
    this.#isBusy = false
    const next = this.#waiting.shift()
    if (next === undefined || this.socket.destroyed) return
    // What came behind a request that was refused is not known to be one.
    if (wasLast) this.socket.destroySoon()
    else this.#begin(next)
  }

  onIdle(): void {
    if (this.#visit?.onIdle === undefined) this.socket.destroy()
    else this.#visit.onIdle()
  }

  #begin({ make, serve }: Begin): void {
    this.#isBusy = true
    this.#visit = make()
    serve(this.#visit)
  }
}

interface Begin {
  readonly make: () => Http1Visit
  /** Ends in a call of `done`, now or later. */
  readonly serve: (visit: Http1Visit) => void
}

/** More than any honest client pipelines; tools that measure go to 16 or so. */
const maxWaiting = 100
