import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import type { Logger } from '../log.ts'
import { formatHostPort } from '../net/address.ts'
import type { AgentInfo } from '../protocol/messages.ts'
import type { Addresses } from '../protocol/proxy-protocol.ts'
import { attemptAfter, nextDelayMs } from './backoff.ts'
import { ClientError, type Refusal } from './errors.ts'
import { type TokenLife, warnBeforeExpiry } from './expiry-warning.ts'
import { FailureLog } from './failure-log.ts'
import type { Route } from './forward.ts'
import { type AgentGateway, Turns } from './gateways.ts'
import { Tunnel } from './tunnel.ts'

export interface AgentOptions {
  /** At least one; they are tried in turn. */
  readonly gateways: readonly AgentGateway[]
  /** A token to register with; asked anew for each connection, so it may live shortly. */
  readonly token: () => string
  /** Of a token that stays the same: the agent warns before it ends, and ends with it. */
  readonly tokenLife?: TokenLife | undefined
  /** At least one; no two with the same hostname. */
  readonly tunnels: readonly Route[]
  readonly log: Logger
  readonly agent?: AgentInfo
  /** How long running streams may go on after the signal. */
  readonly graceMs?: number
  /** Streams that the gateway may have open at once. */
  readonly maxStreams?: number
  /** From 0 to below 1. */
  readonly random?: () => number
}

export type AgentState =
  /** Not running: not yet, or no more. */
  | 'idle'
  /** Dialling, or registering. */
  | 'connecting'
  /** Registered: the gateway may open streams. */
  | 'connected'
  /** Until the next try. */
  | 'waiting'
  /** Told to stop, and waiting for the streams that run. */
  | 'closing'

export interface AgentStatus {
  readonly state: AgentState
  /** Unix time in milliseconds; `undefined` while not connected, like the two that follow. */
  readonly connectedSinceMs: number | undefined
  readonly session: string | undefined
  readonly rttMs: number | undefined
  /** The public ports that the gateway took for us, by hostname. */
  readonly ports: ReadonlyMap<string, number>
  /** Those of a tunnel that is being left included. */
  readonly streams: number
  /** What ended the last try or the last tunnel. */
  readonly lastError: ClientError | undefined
}

export interface AgentEvents {
  state: [state: AgentState]
}

/** Keeps one tunnel up: dials, registers, serves until the tunnel is lost, waits, and tries again, for ever. */
export class Agent extends EventEmitter<AgentEvents> {
  readonly #options: AgentOptions
  readonly #log: Logger
  readonly #failures: FailureLog
  readonly #turns: Turns
  readonly #graceMs: number
  readonly #random: () => number
  /** The one that serves, and those that a gateway has said go-away to while streams still run. */
  readonly #tunnels = new Set<Tunnel>()
  #current: { readonly tunnel: Tunnel; readonly sinceMs: number } | undefined
  #state: AgentState = 'idle'
  #lastError: ClientError | undefined

  constructor(options: AgentOptions) {
    super()
    this.#options = options
    this.#log = options.log
    this.#failures = new FailureLog(options.log)
    this.#turns = new Turns(options.gateways)
    this.#graceMs = options.graceMs ?? 10_000
    this.#random = options.random ?? Math.random
  }

  status(): AgentStatus {
    const { tunnel, sinceMs } = this.#current ?? {}
    let streams = 0
    for (const each of this.#tunnels) streams += each.streamCount
    return {
      state: this.#state,
      connectedSinceMs: sinceMs,
      session: tunnel?.sessionId,
      rttMs: tunnel?.rttMs,
      ports: tunnel?.ports ?? new Map(),
      streams,
      lastError: this.#lastError,
    }
  }

  /**
   * Runs until the signal aborts; resolves when the streams that ran then have finished, or were cut
   * off after `graceMs`.
   * @throws ClientError CLIENT_REFUSED or CLIENT_ENDED when trying again could change nothing; also what `token` throws,
   *   and ProtocolError PROTOCOL_LINE_TOO_LONG when no gateway would read so many tunnels.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { tokenLife } = this.#options
    const stopWarning = tokenLife && warnBeforeExpiry(tokenLife, this.#log)
    try {
      for (let attempt = 0; !signal.aborted; ) {
        const upMs = await this.#runOnce(signal)
        if (signal.aborted) break
        if (this.#turns.next({ wasUp: upMs !== undefined })) continue
        attempt = attemptAfter({ attempt, upMs: upMs ?? 0 })
        await this.#wait(attempt, signal)
        attempt += 1
      }
    } finally {
      stopWarning?.()
      await this.#close()
    }
  }

  async #close(): Promise<void> {
    this.#enter('closing')
    const { streams } = this.status()
    if (streams > 0) this.#log.info('closing', { streams, graceMs: this.#graceMs })
    await Promise.all([...this.#tunnels].map((tunnel) => tunnel.close(this.#graceMs)))
    this.#enter('idle')
  }

  /** One tunnel, from the dial until it takes no more streams. Returns how long it was up, if it was. */
  async #runOnce(signal: AbortSignal): Promise<number | undefined> {
    let tunnel: Tunnel
    try {
      this.#enter('connecting')
      this.#log.info('connecting', this.#fields())
      tunnel = await this.#connect(signal)
    } catch (error) {
      this.#failed(error, signal)
      return undefined
    }
    const upSinceMs = performance.now()
    this.#connected(tunnel)
    await untilLeaving(tunnel, signal)
    this.#current = undefined
    const upMs = performance.now() - upSinceMs
    if (!signal.aborted) this.#lost(tunnel, upMs)
    return upMs
  }

  async #connect(signal: AbortSignal): Promise<Tunnel> {
    const transport = await this.#dial(signal)
    const { token, tunnels: routes, agent, maxStreams } = this.#options
    try {
      signal.throwIfAborted()
      const tunnel = await Tunnel.open(
        {
          transport,
          token: token(),
          routes,
          onFailure: (error, route) => this.#failures.add(error, route),
          onConnection: (route, visitor) => this.#served(route, visitor),
          ...(agent !== undefined && { agent }),
          ...(maxStreams !== undefined && { maxStreams }),
        },
        signal,
      )
      tunnel.once('close', () => this.#tunnels.delete(tunnel))
      if (!tunnel.isClosed) this.#tunnels.add(tunnel)
      return tunnel
    } catch (error) {
      transport.destroy()
      throw error
    }
  }

  async #dial(signal: AbortSignal): Promise<Duplex> {
    try {
      return await this.#turns.current.dial(signal)
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new ClientError('CLIENT_DIAL_FAILED', `no connection to the gateway: ${reason}`, {
        cause,
      })
    }
  }

  /** Decides which failures are worth another try, and throws the others. */
  #failed(error: unknown, signal: AbortSignal): void {
    if (signal.aborted) return
    if (!(error instanceof ClientError)) throw error
    this.#lastError = error
    if (error.refusal?.isFinal && !this.#isUntimely(error.refusal)) throw error
    const message = error.refusal === undefined ? 'cannot connect' : 'refused'
    this.#log.warn(message, this.#fields(error))
  }

  /**
   * A token of our own making has expired only where a clock is wrong, as on a machine without a battery
   * for it that has just booted: it will be set.
   */
  #isUntimely({ code }: Refusal): boolean {
    return code === 'TOKEN_EXPIRED' && this.#options.tokenLife === undefined
  }

  #connected(tunnel: Tunnel): void {
    this.#current = { tunnel, sinceMs: Date.now() }
    this.#enter('connected')
    const { ports } = tunnel
    this.#log.info('connected', {
      ...this.#fields(),
      session: tunnel.sessionId,
      tunnels: Object.fromEntries(
        this.#options.tunnels.map(({ hostname, target }) => [hostname, target.text]),
      ),
      ...(ports.size > 0 && { ports: Object.fromEntries(ports) }),
    })
    this.#warnOfLack(tunnel)
  }

  /** A gateway that is older takes no notice of what it does not know. */
  #warnOfLack(tunnel: Tunnel): void {
    const { tunnels } = this.#options
    for (const { hostname, listenPort } of tunnels) {
      if (listenPort === undefined || tunnel.ports.has(hostname)) continue
      this.#log.warn('the gateway gave no public port: it may be too old for listen_port', {
        hostname,
        listenPort,
      })
    }
    for (const { hostname, target, protocol } of tunnels) {
      if (protocol === undefined || tunnel.hasCapability('target-protocol')) continue
      this.#log.warn('the gateway is too old for targets that speak HTTP/2: it will use HTTP/1.1', {
        hostname,
        target: target.text,
      })
    }
    const isAsked = tunnels.some(({ proxyProtocol }) => proxyProtocol !== undefined)
    if (isAsked && !tunnel.hasCapability('proxy-preamble')) {
      this.#log.warn('the gateway does not tell who its visitors are: PROXY headers cannot either')
    }
  }

  #served({ hostname, target }: Route, visitor: Addresses | undefined): void {
    this.#log.debug('a connection', {
      hostname,
      target: target.text,
      ...(visitor && {
        visitor: formatHostPort({ host: visitor.remoteAddress, port: visitor.remotePort }),
      }),
    })
  }

  #lost(tunnel: Tunnel, upMs: number): void {
    const upSec = Math.round(upMs / 1000)
    if (tunnel.error === undefined) {
      this.#log.info('the gateway is leaving', { upSec, streams: tunnel.streamCount })
      return
    }
    this.#lastError = tunnel.error
    if (tunnel.error.refusal?.isFinal) throw tunnel.error
    this.#log.warn('connection lost', { ...this.#fields(tunnel.error), upSec })
  }

  async #wait(attempt: number, signal: AbortSignal): Promise<void> {
    const delayMs = nextDelayMs({ attempt, random: this.#random() })
    this.#enter('waiting')
    this.#log.info('next try', { delayMs })
    await delay(delayMs, signal)
  }

  #fields(error?: ClientError): Record<string, unknown> {
    const { address: gateway, proxy } = this.#turns.current
    return {
      ...(gateway !== undefined && { gateway }),
      ...(proxy !== undefined && { proxy }),
      ...(error !== undefined && {
        code: error.refusal?.code ?? error.code,
        reason: error.message,
      }),
    }
  }

  #enter(state: AgentState): void {
    if (this.#state === state) return
    this.#state = state
    this.emit('state', state)
  }
}

/** Until the tunnel takes no more streams, or the signal aborts. */
function untilLeaving(tunnel: Tunnel, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (tunnel.isLeaving || signal.aborted) return resolve()
    tunnel.once('leave', done).once('close', done)
    signal.addEventListener('abort', done)

    function done(): void {
      tunnel.off('leave', done).off('close', done)
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}

/** Ends early, and without an error, when the signal aborts. */
function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)

    function done(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}
