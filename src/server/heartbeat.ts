/** A ping every 15 s, its pong within 20 s: the Go program's figures, which both sides rely on. */
export const pingIntervalMs = 15_000
export const pongTimeoutMs = 20_000

export interface HeartbeatOptions {
  /** Sends one ping. */
  readonly ping: () => void
  /** Called once, when a pong is overdue. */
  readonly onLost: () => void
}

/**
 * Is the agent alive? One ping is out at a time, so that any pong answers that one: whether `ts` is
 * ours, sent back, or the agent's own clock differs between peers.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions
  readonly #interval: NodeJS.Timeout
  #deadline: NodeJS.Timeout | undefined
  #pingedMs = 0
  #rttMs: number | undefined
  #lastPongMs: number | undefined

  /** The first ping is one interval away: a Go agent may still be busy with the ack. */
  constructor(options: HeartbeatOptions) {
    this.#options = options
    this.#interval = setInterval(() => this.#beat(), pingIntervalMs)
  }

  get rttMs(): number | undefined {
    return this.#rttMs
  }

  get lastPongAgoMs(): number | undefined {
    return this.#lastPongMs === undefined ? undefined : performance.now() - this.#lastPongMs
  }

  receivePong(): void {
    if (this.#deadline === undefined) return // nobody asked
    clearTimeout(this.#deadline)
    this.#deadline = undefined
    this.#lastPongMs = performance.now()
    this.#rttMs = this.#lastPongMs - this.#pingedMs
  }

  close(): void {
    clearInterval(this.#interval)
    clearTimeout(this.#deadline)
  }

  #beat(): void {
    if (this.#deadline !== undefined) return
    this.#pingedMs = performance.now()
    this.#deadline = setTimeout(() => {
      this.close()
      this.#options.onLost()
    }, pongTimeoutMs)
    this.#options.ping()
  }
}
