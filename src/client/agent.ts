import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import type { Logger } from '../log.ts'
import type { Requests } from '../protocol/messages.ts'
import { AgentLog } from './agent-log.ts'
import type { AgentEvents, AgentState, AgentStatus } from './agent-status.ts'
import { attemptAfter, nextDelayMs } from './backoff.ts'
import { ClientError, type Refusal } from './errors.ts'
import { warnBeforeExpiry } from './expiry-warning.ts'
import type { Route } from './forward.ts'
import { Turns } from './gateways.ts'
import type { AgentSettings } from './settings.ts'
import { Tunnel } from './tunnel.ts'
import { Pause, untilLeaving } from './until.ts'
import { watchForWaking } from './wake-watch.ts'

export interface AgentOptions extends AgentSettings {
  readonly log: Logger
  /** How long running streams may go on after the signal. */
  readonly graceMs?: number
  /** Streams that the gateway may have open at once. */
  readonly maxStreams?: number
  /** Told what visitors ask for, by gateways that tell it. */
  readonly onRequests?: (requests: Requests) => void
  /** From 0 to below 1. */
  readonly random?: () => number
}

/** Keeps one tunnel up: dials, registers, serves until the tunnel is lost, waits, and tries again, for ever. */
export class Agent extends EventEmitter<AgentEvents> {
  readonly #options: AgentOptions
  #settings: AgentSettings
  readonly #log: AgentLog
  readonly #turns: Turns
  readonly #graceMs: number
  readonly #random: () => number
  #stopWarning: (() => void) | undefined
  /** The one that serves, and those that a gateway has said go-away to while streams still run. */
  readonly #tunnels = new Set<Tunnel>()
  #current: { readonly tunnel: Tunnel; readonly sinceMs: number } | undefined
  readonly #pause = new Pause()
  #state: AgentState = 'idle'
  #lastError: ClientError | undefined
  /** It has left its tunnel itself, to connect anew at once. */
  #hasLeft = false

  constructor(options: AgentOptions) {
    super()
    this.#options = options
    this.#settings = options
    this.#turns = new Turns(options.connection.gateways)
    this.#log = new AgentLog(options.log, this.#turns)
    this.#graceMs = options.graceMs ?? 15_000
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
      tunnels: this.#settings.tunnels,
      streams,
      lastError: this.#lastError,
    }
  }

  /**
   * Runs until the signal aborts; resolves when the streams that ran then have finished, or were cut
   * off after `graceMs`.
   * @throws ClientError CLIENT_REFUSED, CLIENT_ENDED or CLIENT_REPLACED when trying again could change nothing;
   *   also what `token` throws, and ProtocolError PROTOCOL_LINE_TOO_LONG when no gateway would read so many tunnels.
   */
  async run(signal: AbortSignal): Promise<void> {
    this.#warnBeforeExpiry()
    const stopWatching = watchForWaking((awayMs) => this.#wake(awayMs))
    try {
      for (let attempt = 0; !signal.aborted; ) {
        const upMs = await this.#runOnce(signal)
        if (signal.aborted) break
        if (this.#hasLeft) continue
        if (this.#turns.next({ wasUp: upMs !== undefined })) continue
        attempt = attemptAfter({ attempt, upMs: upMs ?? 0 })
        // Our own line is dead rather than the gateway, which then has no crowd to fear.
        if (upMs !== undefined && this.#lastError?.code === 'CLIENT_GATEWAY_SILENT') continue
        await this.#wait(attempt, signal)
        attempt += 1
      }
    } finally {
      this.#stopWarning?.()
      stopWatching()
      await this.#close()
    }
  }

  /**
   * Goes on with these. Other tunnels are taken up by the tunnel that is up, whose streams run on; where the gateway
   * does not know that, and for another connection, it leaves and connects anew.
   * @throws ClientError CLIENT_REFUSED or ProtocolError PROTOCOL_LINE_TOO_LONG: nothing has changed.
   */
  async change(settings: AgentSettings): Promise<void> {
    const { tunnel } = this.#current ?? {}
    const isSameConnection = settings.connection === this.#settings.connection
    if (isSameConnection && tunnel?.hasCapability('update')) {
      await this.#update(tunnel, settings.tunnels)
      this.#settings = settings
      if (tunnel === this.#current?.tunnel) this.#log.changed(tunnel, settings.tunnels)
      return
    }
    this.#settings = settings
    if (!isSameConnection) {
      this.#turns.startWith(settings.connection.gateways)
      this.#warnBeforeExpiry()
    }
    this.#pause.skip()
    if (tunnel !== undefined) this.#leave(tunnel)
  }

  async #update(tunnel: Tunnel, routes: readonly Route[]): Promise<void> {
    try {
      await tunnel.update(routes)
    } catch (error) {
      // A tunnel that ended meanwhile is followed by one that has them.
      if (!(error instanceof ClientError) || error.code === 'CLIENT_REFUSED') throw error
    }
  }

  /** What runs there may end; its names are for the next one. */
  #leave(tunnel: Tunnel): void {
    this.#hasLeft = true
    this.#log.leaving(tunnel)
    void tunnel.close(this.#graceMs)
  }

  #warnBeforeExpiry(): void {
    this.#stopWarning?.()
    const { tokenLife } = this.#settings.connection
    this.#stopWarning = tokenLife && warnBeforeExpiry(tokenLife, this.#options.log)
  }

  async #close(): Promise<void> {
    this.#enter('closing')
    this.#log.closing(this.status().streams, this.#graceMs)
    await Promise.all([...this.#tunnels].map((tunnel) => tunnel.close(this.#graceMs)))
    this.#enter('idle')
  }

  /** One tunnel, from the dial until it takes no more streams. Returns how long it was up, if it was. */
  async #runOnce(signal: AbortSignal): Promise<number | undefined> {
    const settings = this.#settings
    this.#hasLeft = false
    let tunnel: Tunnel
    try {
      this.#enter('connecting')
      this.#log.connecting()
      tunnel = await this.#connect(settings, signal)
    } catch (error) {
      this.#failed(error, signal)
      return undefined
    }
    const upSinceMs = performance.now()
    this.#connected(tunnel, settings)
    if (settings !== this.#settings) this.#leave(tunnel) // they have changed while it connected
    await untilLeaving(tunnel, signal)
    this.#current = undefined
    const upMs = performance.now() - upSinceMs
    if (!signal.aborted && !this.#hasLeft) this.#lost(tunnel, upMs)
    return upMs
  }

  async #connect(settings: AgentSettings, signal: AbortSignal): Promise<Tunnel> {
    const transport = await this.#dial(signal)
    const { connection, tunnels: routes } = settings
    const { token, agent } = connection
    const { maxStreams, onRequests } = this.#options
    try {
      signal.throwIfAborted()
      const tunnel = await Tunnel.open(
        {
          transport,
          token: token(),
          routes,
          onFailure: (error, route) => this.#log.notServed(error, route),
          onConnection: (route, visitor) => {
            this.#log.served(route, visitor)
            this.emit('connection', route)
          },
          ...(agent !== undefined && { agent }),
          ...(maxStreams !== undefined && { maxStreams }),
          ...(onRequests !== undefined && { onRequests }),
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
    this.#log.notConnected(error)
  }

  /**
   * A token of our own making has expired only where a clock is wrong, as on a machine without a battery
   * for it that has just booted: it will be set.
   */
  #isUntimely({ code }: Refusal): boolean {
    return code === 'TOKEN_EXPIRED' && this.#settings.connection.tokenLife === undefined
  }

  #connected(tunnel: Tunnel, { tunnels }: AgentSettings): void {
    this.#current = { tunnel, sinceMs: Date.now() }
    this.#enter('connected')
    this.#log.connected(tunnel, tunnels)
  }

  /** @throws ClientError where another try could change nothing. */
  #lost(tunnel: Tunnel, upMs: number): void {
    if (tunnel.isReplaced) throw replaced()
    this.#lastError = tunnel.error
    if (tunnel.error === undefined) return this.#log.left(tunnel, upMs)
    if (tunnel.error.refusal?.isFinal) throw tunnel.error
    this.#log.lost(tunnel.error, upMs)
  }

  /** The machine was asleep: its network may be another one, and nothing says so. */
  #wake(awayMs: number): void {
    this.#log.awake(awayMs)
    this.#pause.skip()
    void this.#current?.tunnel.probe(probeMs)
  }

  async #wait(attempt: number, signal: AbortSignal): Promise<void> {
    const delayMs = nextDelayMs({ attempt, random: this.#random() })
    this.#enter('waiting')
    this.#log.waiting(delayMs)
    await this.#pause.wait(delayMs, signal)
  }

  #enter(state: AgentState): void {
    if (this.#state === state) return
    this.#state = state
    this.emit('state', state)
  }
}

/** For the answer of a gateway that is there. */
const probeMs = 5_000

function replaced(): ClientError {
  const text =
    'another agent with the same token and agent_id has taken over; if it was not meant to, give each one an agent_id of its own'
  return new ClientError('CLIENT_REPLACED', text)
}
