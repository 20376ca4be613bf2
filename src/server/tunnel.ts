import { Duplex } from 'node:stream'
import type { Identity } from '../auth/identity.ts'
import type { MuxStream, Session } from '../mux/index.ts'
import {
  type AckCode,
  type AgentInfo,
  formatMessage,
  type Message,
  type RequestNote,
  type Requests,
  type Update,
  type Updated,
} from '../protocol/messages.ts'
import { encodePreamble } from '../protocol/preamble.ts'
import type { Owner } from '../registry/owner.ts'
import { sendLast, sendMessage, sendOut } from './control.ts'
import { reasonOf, ServerError } from './errors.ts'
import { Heartbeat } from './heartbeat.ts'
import { RequestNews } from './request-news.ts'
import type { RouteStatus, SessionStatus } from './status.ts'
import type { Route, Upstream, Visitor } from './upstream.ts'

/** What admission found out about an agent. */
export interface AdmittedAgent {
  readonly id: string
  readonly session: Session
  readonly control: MuxStream
  /** What comes on the control stream after `register`. */
  readonly messages: AsyncIterable<Message>
  readonly identity: Identity
  readonly owner: Owner
  readonly info: AgentInfo
  readonly capabilities: readonly string[]
  readonly remoteAddress: string
}

export interface TunnelHandlers {
  /** Called for one update after the other. Resolves with the answer, and does not reject. */
  readonly onUpdate: (message: Update) => Promise<Updated>
  /** Called once, in the tick the session ends. */
  readonly onEnd: (reason: Error | undefined) => void
}

/**
 * One admitted agent: session, control stream, heartbeat; and the upstream of its routes.
 *
 * It lives as long as the session, and the session no longer than the control stream, the heartbeat
 * and the token.
 */
export class Tunnel implements Upstream {
  readonly id: string
  readonly agentName: string | undefined
  readonly remoteAddress: string
  readonly identity: Identity
  readonly owner: Owner
  readonly #agent: AdmittedAgent
  readonly #connectedSinceMs = Date.now()
  #heartbeat: Heartbeat | undefined
  /** For an agent that wants to know. */
  readonly #news: RequestNews | undefined
  #routes: readonly RouteStatus[] = []
  #openStreams = 0
  #expiry: NodeJS.Timeout | undefined
  #isReplaced = false
  #endReason: Error | undefined
  #onDrained: (() => void) | undefined

  constructor(agent: AdmittedAgent) {
    this.id = agent.id
    this.agentName = agent.info.name
    this.remoteAddress = agent.remoteAddress
    this.identity = agent.identity
    this.owner = agent.owner
    this.#agent = agent
    if (agent.capabilities.includes('request-news')) {
      this.#news = new RequestNews((message) => this.#tellRequests(message))
    }
  }

  get isReplaced(): boolean {
    return this.#isReplaced
  }

  /** Data streams open now. */
  get streamCount(): number {
    return this.#openStreams
  }

  /** Whether it may have names: streams can be opened, and no other session has its place. */
  get canServe(): boolean {
    return this.#agent.session.canOpen && !this.#isReplaced
  }

  /** What it has, for the status. */
  show(routes: readonly RouteStatus[]): void {
    this.#routes = routes
  }

  /** Begins to serve names that the registry gave it. */
  start({ onUpdate, onEnd }: TunnelHandlers): void {
    this.#heartbeat = new Heartbeat({
      ping: () => this.#beat(),
      onLost: () => {
        this.destroy(new ServerError('SERVER_HEARTBEAT_LOST', 'the agent answered no heartbeat'))
      },
    })
    this.#agent.session.once('close', (error) => {
      this.#heartbeat?.close()
      this.#news?.close()
      clearTimeout(this.#expiry)
      this.#onDrained?.()
      onEnd(this.#endReason ?? reasonOf(error))
    })
    this.#watchExpiry()
    void this.#readControl(onUpdate)
  }

  open(route: Route, visitor: Visitor): Duplex {
    try {
      const stream = this.#agent.session.open()
      this.#openStreams += 1
      stream.once('close', () => this.#streamClosed())
      stream.write(this.#preamble(route, visitor))
      return stream
    } catch (error) {
      return failedStream(error)
    }
  }

  /** Whether the agent wants to know what visitors ask for. */
  get isCurious(): boolean {
    return this.#news !== undefined
  }

  /** A request of one of its names is over. */
  noteRequest(note: RequestNote): void {
    this.#news?.add(note)
  }

  /** Go-away; the end of the session once its data streams have ended, or after `graceMs`. */
  async close(graceMs: number, reason: Error): Promise<void> {
    const { session } = this.#agent
    session.goAway()
    if (this.#openStreams > 0 && !session.isClosed) {
      await new Promise<void>((resolve) => {
        const deadline = setTimeout(resolve, graceMs)
        this.#onDrained = () => {
          clearTimeout(deadline)
          resolve()
        }
      })
    }
    session.destroy(reason)
  }

  /** Another session of the same agent serves its names from now on; what runs here may end. */
  async replace(by: Tunnel, graceMs: number): Promise<void> {
    this.#isReplaced = true
    this.#routes = []
    const { control, capabilities } = this.#agent
    if (capabilities.includes('take-over')) {
      // First the reason: a go-away overtakes what is in a stream.
      await sendOut(control, { type: 'replaced', session: by.id }, lastWordMs)
    }
    const text = 'another session of the same agent has taken over'
    await this.close(graceMs, new ServerError('SERVER_REPLACED', text))
  }

  /** Ends the session now, and tells an agent why that can hear it. */
  async end(code: AckCode, reason: ServerError): Promise<void> {
    if (this.#endReason !== undefined) return
    this.#endReason = reason
    const { control, capabilities } = this.#agent
    if (capabilities.includes('end-reason')) {
      const { message: error } = reason
      await sendLast(control, { type: 'end', code, error }, lastWordMs)
    }
    this.destroy(reason)
  }

  /** Ends the session, and all visitors' streams with it, now. */
  destroy(reason: Error): void {
    this.#agent.session.destroy(reason)
  }

  status(): SessionStatus {
    const { session, info } = this.#agent
    return {
      id: this.id,
      agentId: info.id,
      agentName: info.name,
      agentVersion: info.version,
      agentPlatform: info.platform,
      remoteAddress: this.remoteAddress,
      connectedSinceMs: this.#connectedSinceMs,
      lastPongAgoMs: this.#heartbeat?.lastPongAgoMs,
      rttMs: this.#heartbeat?.rttMs ?? session.rttMs,
      streams: this.#openStreams,
      bytesIn: session.bytesRead,
      bytesOut: session.bytesWritten,
      routes: this.#routes,
    }
  }

  /** Version 2 tells the visitor's address; in http mode X-Forwarded-For does, request by request. */
  #preamble(route: Route, visitor: Visitor): Buffer {
    const isTold = route.mode !== 'http' && this.#agent.capabilities.includes('proxy-preamble')
    return encodePreamble({ hostname: route.key, addresses: isTold ? visitor : undefined })
  }

  #streamClosed(): void {
    this.#openStreams -= 1
    if (this.#openStreams === 0) this.#onDrained?.()
  }

  #tellRequests(message: Requests): boolean {
    const { control } = this.#agent
    if (!control.writable || control.writableNeedDrain) return false
    return control.write(formatMessage(message)) || true
  }

  #beat(): void {
    sendMessage(this.#agent.control, { type: 'ping', ts: Date.now() })
  }

  #watchExpiry(): void {
    const { expiresAtSec } = this.identity
    if (expiresAtSec === undefined) return
    const leftMs = Math.ceil(expiresAtSec * 1000 - Date.now())
    if (leftMs <= 0) {
      const reason = new ServerError('SERVER_TOKEN_EXPIRED', "the agent's token has expired")
      void this.end('TOKEN_EXPIRED', reason)
    } else {
      // In steps, as the clock may be set meanwhile.
      this.#expiry = setTimeout(() => this.#watchExpiry(), Math.min(leftMs, expiryCheckMs))
    }
  }

  async #readControl(onUpdate: TunnelHandlers['onUpdate']): Promise<void> {
    const { control, messages } = this.#agent
    try {
      for await (const message of messages) {
        if (message.type === 'pong') this.#heartbeat?.receivePong()
        else if (message.type === 'update') sendMessage(control, await onUpdate(message))
      }
      this.destroy(new ServerError('SERVER_CONTROL_ENDED', 'the agent ended its control stream'))
    } catch (error) {
      this.destroy(error as Error)
    }
  }
}

const expiryCheckMs = 15_000
/** A revoked token has a second to be out of the house. */
const lastWordMs = 500

/** What a caller of `open` gets where there is no stream to be had. */
function failedStream(error: unknown): Duplex {
  const stream = new Duplex({ read() {}, write: (_chunk, _encoding, callback) => callback() })
  return stream.destroy(error instanceof Error ? error : new Error(String(error)))
}
