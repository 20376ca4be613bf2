import type { Duplex } from 'node:stream'
import { ignoreErrors } from '../../../net/ignore-errors.ts'
import { Outbox } from '../../../net/outbox.ts'
import type { Route } from '../../upstream.ts'

/** How long a target may go on reading a request that it has answered. */
const patienceMs = 2_000

/** Who has a connection for one request, and is told what comes on it. */
export interface TargetUser {
  onData(chunk: Buffer): void
  onEnd(): void
  onDrain(): void
  /** After `onEnd`, too. */
  onClose(error: Error | undefined): void
}

/** Who has the connections that are between requests. */
export interface ConnectionKeeper {
  /** It is good for another request. */
  keep(connection: TargetConnection): void
  /** It is closing. */
  forget(connection: TargetConnection): void
}

/**
 * An upstream stream that HTTP/1.1 is spoken on, for one request after the other. What comes while there
 * is none would be the beginning of the next visitor's response (CVE-2026-48931), and ends it.
 */
export class TargetConnection {
  readonly route: Route
  readonly outbox: Outbox
  readonly #stream: Duplex
  readonly #keeper: ConnectionKeeper
  #user: TargetUser | undefined
  #isPaused = false
  #idleSinceMs = 0
  /** Whether there were requests before this one. */
  isReused = false

  constructor(stream: Duplex, route: Route, keeper: ConnectionKeeper) {
    this.route = route
    this.outbox = new Outbox(stream)
    this.#stream = stream
    this.#keeper = keeper
    stream.on('data', this.#onData)
    stream.on('end', this.#onEnd)
    stream.on('drain', this.#onDrain)
    ignoreErrors(stream) // its close says the same
    stream.once('close', this.#onClose)
  }

  get idleMs(): number {
    return performance.now() - this.#idleSinceMs
  }

  get isHeldUp(): boolean {
    return this.#stream.writableNeedDrain
  }

  use(user: TargetUser): void {
    this.#user = user
  }

  /** The request is over; the connection is good for the next. */
  keep(): void {
    this.#user = undefined
    this.isReused = true
    this.#idleSinceMs = performance.now()
    this.resume() // the last answer may have left it paused
    this.#keeper.keep(this)
  }

  pause(): void {
    this.#isPaused = true
    this.#stream.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#stream.resume()
  }

  /** The stream as it is, with what came of it already: what is spoken on it is no longer HTTP. */
  handOver(rest: Buffer): Duplex {
    const stream = this.#stream
    stream.off('data', this.#onData).off('end', this.#onEnd).off('drain', this.#onDrain)
    stream.off('close', this.#onClose).pause()
    if (rest.length > 0) stream.unshift(rest)
    return stream
  }

  /** Once the last request has gone; not all of it where the target has answered and reads no more. */
  close(): void {
    const stream = this.#stream
    this.#user = undefined
    if (stream.writableLength > 0) {
      const deadline = setTimeout(() => stream.destroy(), patienceMs)
      stream.once('close', () => clearTimeout(deadline))
    }
    stream.end(() => stream.destroy())
  }

  /** Reset, unless it has ended both ways. */
  destroy(): void {
    this.#user = undefined
    this.#keeper.forget(this)
    this.#stream.destroy()
  }

  readonly #onData = (chunk: Buffer) => {
    if (this.#user === undefined) this.destroy()
    else this.#user.onData(chunk)
  }

  readonly #onEnd = () => {
    if (this.#user === undefined) this.destroy()
    else this.#user.onEnd()
  }

  readonly #onDrain = () => this.#user?.onDrain()

  readonly #onClose = () => {
    this.#keeper.forget(this)
    this.#user?.onClose(this.#stream.errored ?? undefined)
  }
}
