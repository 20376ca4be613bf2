import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { defaultOptions, type MuxError, type MuxStream, Session } from '../mux/index.ts'
import { type Ack, ruleNames } from '../protocol/messages.ts'
import type { Capability } from '../protocol/version.ts'
import { Control, gatewayGone, noAnswer, refused } from './control.ts'
import { ClientError } from './errors.ts'
import { type ForwardOptions, forward, type Route } from './forward.ts'
import { formatRegister, offerOf, type Registration } from './registration.ts'

export interface TunnelOptions extends Registration {
  /** Connected, and the tunnel's own from now on. */
  readonly transport: Duplex
  /** Told of each stream that could not be served. */
  readonly onFailure?: NonNullable<ForwardOptions['onFailure']>
  /** Told of each stream that is served. */
  readonly onConnection?: NonNullable<ForwardOptions['onConnection']>
  /** Streams that the gateway may have open at once; those beyond are reset. */
  readonly maxStreams?: number
}

export interface TunnelEvents {
  /** The gateway admitted us: it may open streams from now on. */
  admit: []
  /** No more streams can come; those that run go on, and with the last of them the tunnel closes. */
  leave: []
  /** The tunnel is over, with all its streams; an error unless both sides had agreed to it. */
  close: [error: ClientError | undefined]
}

/** How long the gateway may take to end its side once all streams have finished. */
const farewellMs = 2_000

/**
 * Visitors who leave as soon as they have come, and those beyond `maxStreams`, arrive here as streams that are
 * opened and reset. However many: that is no fault of the gateway, and ending the tunnel would be doing
 * their work. What they make us hold is bounded all the same.
 */
const anyNumber = { burst: Number.POSITIVE_INFINITY, perSecond: 0 }
const floodLimits = {
  ...defaultOptions.floodLimits,
  rapidResets: anyNumber,
  idleFrames: anyNumber,
}

/** One session with a gateway: what the control stream says, and the streams that the gateway opens. */
export class Tunnel extends EventEmitter<TunnelEvents> {
  readonly #session: Session
  readonly #control: Control
  readonly #forwarding: ForwardOptions
  /** By hostname; while an update is under way, both those before and those after it. */
  readonly #routes: Map<string, Route>
  #ports: ReadonlyMap<string, number> = new Map()
  /** One of our tunnels that a gateway must know how to guard, or must not have. */
  readonly #ruled: Route | undefined
  #forwards = 0
  #ack: Ack | undefined
  #isReplaced = false
  #isGatewayLeaving = false
  #isLeaving = false
  #isClosed = false
  #error: ClientError | undefined
  #farewell: NodeJS.Timeout | undefined

  /**
   * An admitted tunnel over this transport; where there is none, the transport is ended.
   * @throws ClientError CLIENT_REFUSED, CLIENT_NO_ANSWER, CLIENT_GATEWAY_GONE, CLIENT_GATEWAY_TOO_OLD,
   *   CLIENT_GATEWAY_BROKEN, or CLIENT_CLOSED when the signal aborts first.
   * @throws ProtocolError PROTOCOL_LINE_TOO_LONG when there is more to register than a message holds.
   */
  static async open(options: TunnelOptions, signal: AbortSignal): Promise<Tunnel> {
    const tunnel = new Tunnel(options)
    const stop = () => tunnel.destroy(closedByUs('before the gateway had answered'))
    signal.addEventListener('abort', stop)
    try {
      return await new Promise((resolve, reject) => {
        tunnel.once('admit', () => resolve(tunnel))
        tunnel.once('close', (error) => reject(error ?? gatewayGone('it ended the session')))
        if (signal.aborted) stop()
      })
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }

  private constructor(options: TunnelOptions) {
    super()
    const register = formatRegister(options)
    const { transport, routes, onFailure, onConnection, maxStreams = 10_000 } = options
    this.#ruled = ruledOf(routes)
    this.#routes = new Map(routes.map((route) => [route.hostname, route]))
    this.#forwarding = {
      routes: this.#routes,
      ...(onFailure !== undefined && { onFailure }),
      ...(onConnection !== undefined && { onConnection }),
    }
    this.#session = new Session(transport, {
      role: 'client',
      maxPeerStreams: maxStreams,
      floodLimits,
    })
    this.#session.on('stream', (stream) => this.#serve(stream))
    this.#session.on('goAway', () => this.#gatewayLeaves())
    this.#session.on('close', (error) => this.#finish(error))
    this.#control = new Control(this.#session.open(), register)
    this.#control.on('admit', (ack) => this.#admitted(ack))
    if (options.onRequests) this.#control.on('requests', options.onRequests)
    this.#control.on('replaced', () => {
      this.#isReplaced = true
    })
    this.#control.on('failure', (error) => {
      // Where the whole session was lost, its own event tells why.
      if (!this.#session.isClosed) this.destroy(error)
    })
  }

  /** The gateway's own name for the session, if it gave one. */
  get sessionId(): string | undefined {
    return this.#ack?.session
  }

  /** The public ports that the gateway took for us, by hostname; of names that are ours. */
  get ports(): ReadonlyMap<string, number> {
    return new Map([...this.#ports].filter(([hostname]) => this.#routes.has(hostname)))
  }

  /** Whether the gateway can do a thing beyond the Go program. */
  hasCapability(capability: Capability): boolean {
    return this.#ack?.capabilities.includes(capability) ?? false
  }

  get streamCount(): number {
    return this.#forwards
  }

  /** The last round trip measured. */
  get rttMs(): number | undefined {
    return this.#session.rttMs
  }

  /** Whether no more streams can come. */
  get isLeaving(): boolean {
    return this.#isLeaving || this.#isClosed
  }

  /** Whether another session with our token and id has taken our names over. */
  get isReplaced(): boolean {
    return this.#isReplaced
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Why it was closed; `undefined` while it is not, and when both sides had agreed to it. */
  get error(): ClientError | undefined {
    return this.#error
  }

  /**
   * Serves these in place of the routes before; streams that run go on. For gateways with the capability
   * `update`; one update at a time.
   * @throws ClientError CLIENT_REFUSED: nothing has changed. Or the tunnel's error, where that ends meanwhile,
   *   with CLIENT_GATEWAY_TOO_OLD for rules that the gateway does not know.
   * @throws ProtocolError PROTOCOL_LINE_TOO_LONG when they are more than a message holds.
   */
  async update(routes: readonly Route[]): Promise<void> {
    const ruled = ruledOf(routes)
    if (ruled !== undefined && !this.hasCapability('tunnel-rules')) {
      this.destroy(tooOldFor(ruled))
      throw tooOldFor(ruled)
    }
    const before = [...this.#routes.values()]
    this.#serveOnly([...routes, ...before]) // a stream may come before the answer
    try {
      const answer = await this.#control.update(routes.map(offerOf))
      if (!answer.ok) throw refused(answer, 'new tunnels')
      this.#ports = answer.ports ?? new Map()
      this.#serveOnly(routes)
    } catch (error) {
      this.#serveOnly(before)
      throw error
    }
  }

  /** Of two for one hostname the last one counts. */
  #serveOnly(routes: readonly Route[]): void {
    this.#routes.clear()
    for (const route of routes) this.#routes.set(route.hostname, route)
  }

  /** Takes no new streams, lets those that run finish within the time, then ends the session. */
  close(graceMs: number): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    this.#control.release()
    // Visitors who were on their way to us as we decided to go are served yet.
    void this.#session.leave().then(() => this.#leave())
    return new Promise((resolve) => {
      const timer = setTimeout(
        () => this.destroy(closedByUs(`streams still ran after ${graceMs} ms`)),
        graceMs,
      )
      this.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  /** Asks the gateway whether it is there; without an answer in time the tunnel is over. */
  async probe(timeoutMs: number): Promise<void> {
    const text = `the gateway did not answer within ${timeoutMs / 1000} s`
    const deadline = setTimeout(() => this.destroy(silent(text)), timeoutMs)
    await this.#session.ping().catch(() => {}) // the session's own end says why
    clearTimeout(deadline)
  }

  /** Ends the session and all its streams now. */
  destroy(error: ClientError): void {
    if (this.#isClosed) return
    this.#error ??= error
    this.#session.destroy(error)
  }

  #serve(stream: MuxStream): void {
    // It came before the ack, which may say that it must not.
    if (this.#ruled !== undefined && this.#ack === undefined) {
      stream.destroy()
      return
    }
    this.#forwards += 1
    void forward(stream, this.#forwarding).then(() => {
      this.#forwards -= 1
      this.#closeWhenIdle()
    })
  }

  #admitted(ack: Ack): void {
    if (this.#ruled !== undefined && !ack.capabilities.includes('tunnel-rules')) {
      this.destroy(tooOldFor(this.#ruled))
      return
    }
    this.#ack = ack
    this.#ports = ack.ports ?? this.#ports
    this.emit('admit')
    if (this.#isGatewayLeaving) this.#leave()
  }

  #gatewayLeaves(): void {
    this.#isGatewayLeaving = true
    // A go-away overtakes data: the ack may be behind it, with a reason.
    if (this.#ack !== undefined) this.#leave()
  }

  #leave(): void {
    if (this.#isLeaving) return
    this.#isLeaving = true
    this.#control.release()
    this.emit('leave')
    this.#closeWhenIdle()
  }

  /** Once no stream is left, there is only the gateway's own goodbye to wait for. */
  #closeWhenIdle(): void {
    if (!this.#isLeaving || this.#forwards > 0 || this.#isClosed || this.#farewell) return
    this.#farewell = setTimeout(
      () => this.destroy(closedByUs('the gateway did not end its side')),
      farewellMs,
    )
    this.#control.end()
    void this.#session.close()
  }

  #finish(error: MuxError | undefined): void {
    this.#isClosed = true
    clearTimeout(this.#farewell)
    this.#control.end()
    if (error !== undefined) this.#error ??= this.#lossOf(error)
    this.emit('close', this.#error)
  }

  #lossOf(error: MuxError): ClientError {
    const isSilent = error.code === 'MUX_PING_TIMEOUT' || error.code === 'MUX_WRITE_TIMEOUT'
    if (!isSilent) return gatewayGone(error.message, error)
    if (this.#ack === undefined) return noAnswer(error)
    return silent(`the gateway is silent: ${error.message}`, error)
  }
}

function ruledOf(routes: readonly Route[]): Route | undefined {
  return routes.find((route) => ruleNames(route).length > 0)
}

/** All of them are withdrawn: what a tunnel guards, another of the same host might give away. */
function tooOldFor(route: Route): ClientError {
  const names = ruleNames(route).join(', ')
  const message = `the gateway is too old for ${names} of ${route.hostname}, so it gets no tunnels: update it`
  return new ClientError('CLIENT_GATEWAY_TOO_OLD', message)
}

function silent(text: string, cause?: Error): ClientError {
  return new ClientError('CLIENT_GATEWAY_SILENT', text, { cause })
}

function closedByUs(reason: string): ClientError {
  return new ClientError('CLIENT_CLOSED', `the tunnel was closed: ${reason}`)
}
