import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { FrameDecoder } from './decoder.ts'
import { endTransport, LINGER_MS, whenSent } from './end-transport.ts'
import { isProtocolError, MuxError } from './errors.ts'
import { Flag, FrameType, GoAwayCode, SESSION_ID } from './frame.ts'
import { InboundFrames } from './inbound.ts'
import { defaultOptions, type MuxOptions } from './options.ts'
import { Pings } from './pings.ts'
import type { MuxStream } from './stream.ts'
import type { Role } from './stream-ids.ts'
import { StreamTable } from './stream-table.ts'
import { FrameWriter } from './writer.ts'

export interface SessionEvents {
  /** The peer opened a stream; it is accepted already. Without a listener it is reset. */
  stream: [stream: MuxStream]
  /** The peer takes no new streams; those that run go on. */
  goAway: []
  /** The session is over, with all its streams; an error unless both sides had finished. */
  close: [error: MuxError | undefined]
}

/**
 * A Yamux session, either side: one Duplex in, many streams out.
 *
 * Reading never waits for writing: what arrives is bounded by the windows granted, and what it makes
 * us answer is bounded in number. A broken peer costs the session (`close` with the error), a broken
 * stream only itself. The session owns the transport and ends it.
 */
export class Session extends EventEmitter<SessionEvents> {
  readonly #transport: Duplex
  readonly #options: MuxOptions
  readonly #writer: FrameWriter
  readonly #table: StreamTable
  readonly #decoder: FrameDecoder
  readonly #pings = new Pings()
  readonly #tick: NodeJS.Timeout
  #lastTickMs = performance.now()
  #bytesRead = 0
  #lastReadMs = performance.now()
  #lastPingMs = performance.now()
  #isGoingAway = false
  /** Of streams that the peer opens there can be no more, or they are not wanted. */
  #isRefusing = false
  #isPeerGoingAway = false
  /** `close()` was called: the session ends with its last stream. */
  #isClosing = false
  #isClosed = false

  constructor(transport: Duplex, options: { readonly role: Role } & Partial<MuxOptions>) {
    super()
    this.#transport = transport
    this.#options = { ...defaultOptions, ...options }
    this.#writer = new FrameWriter(transport, {
      // All of the peer's streams may be reset at once, when what is behind them fails.
      maxQueuedAnswers: this.#options.maxQueuedAnswers + this.#options.maxPeerStreams,
      onQueueFull: (error) => this.destroy(error),
    })
    this.#table = new StreamTable(options.role, this.#options, {
      writer: this.#writer,
      grant: (window) => window.grant(performance.now(), this.#pings.minRttMs),
      sendReset: (stream) => this.#sendReset(stream.id),
      emptied: () => this.#endIfDrained(),
    })
    this.#decoder = new FrameDecoder(this.#inboundFrames())
    this.#tick = setInterval(() => this.#onTick(), TICK_MS)
    this.#tick.unref()
    transport.on('data', (chunk: Buffer) => this.#onData(chunk))
    transport.on('end', () => this.#transportEnded())
    transport.on('error', (cause) => this.#transportEnded(cause))
    transport.on('close', () => this.#transportEnded())
    if (this.#options.pingIntervalMs > 0) this.#keepAlive(performance.now())
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Whether a new stream can be opened. */
  get canOpen(): boolean {
    return !this.#isClosed && !this.#isGoingAway && !this.#isPeerGoingAway
  }

  get streamCount(): number {
    return this.#table.size
  }

  /** Bytes that arrived on all streams and were not read yet. */
  get unreadBytes(): number {
    return this.#table.unreadBytes
  }

  /** The last round trip measured, in ms. */
  get rttMs(): number | undefined {
    return this.#pings.lastRttMs
  }

  /** Bytes of the transport, frame headers included. */
  get bytesRead(): number {
    return this.#bytesRead
  }

  get bytesWritten(): number {
    return this.#writer.bytesWritten
  }

  /**
   * A new stream. What is written to it may travel before the peer has accepted it.
   * @throws MuxError MUX_SESSION_CLOSED, MUX_REMOTE_GO_AWAY, MUX_TOO_MANY_OPENS
   */
  open(): MuxStream {
    if (this.#isClosed || this.#isGoingAway) throw sessionClosed()
    if (this.#isPeerGoingAway) throw remoteGoAway()
    const stream = this.#table.open()
    // That was the last id: the peer hears of it, and may come again with a new session.
    if (this.#table.isUsedUp) this.goAway()
    return stream
  }

  /** The round trip to the peer and back, in ms. Fails with MUX_PING_TIMEOUT, or with the session. */
  ping(): Promise<number> {
    if (this.#isClosed) return Promise.reject(sessionClosed())
    return new Promise((resolve, reject) => {
      this.#sendPing((error, rttMs) => (error === undefined ? resolve(rttMs) : reject(error)))
    })
  }

  /** Takes no new streams from now on, and opens none; those that run go on. */
  goAway(): void {
    this.#isRefusing = true
    this.#announceGoAway()
  }

  /**
   * The same without a loss: streams that the peer has opened before it heard of it are taken yet. Resolves
   * when there can be no more of them.
   */
  async leave(): Promise<void> {
    this.#announceGoAway()
    try {
      await this.ping()
      // An answer overtakes the SYNs that were queued with it; the second one comes behind them.
      await this.ping()
    } catch {} // the session is over, or as good as that
    this.#isRefusing = true
  }

  #announceGoAway(): void {
    if (this.#isGoingAway || this.#isClosed) return
    this.#isGoingAway = true
    this.#writer.control(FrameType.GoAway, 0, SESSION_ID, GoAwayCode.Normal)
  }

  /**
   * Go-away, then the end of all running streams, then of the transport: resolves when that has taken
   * the last byte. How long the streams may take, the caller says by `destroy`.
   */
  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    this.goAway()
    this.#isClosing = true
    this.#endIfDrained()
    return new Promise((resolve) => this.once('close', () => whenSent(this.#transport, resolve)))
  }

  /** Ends the session and all its streams now; the reason is what 'close' and the streams report. */
  destroy(reason?: Error): void {
    const error = reason instanceof MuxError ? reason : sessionClosed(reason)
    this.#end(error, reason === undefined ? undefined : error)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #onData(chunk: Buffer): void {
    this.#bytesRead += chunk.length
    this.#lastReadMs = performance.now()
    try {
      this.#decoder.push(chunk)
    } catch (error) {
      // The peer's faults are protocol errors. Anything else is a bug of ours or of a listener: not to be
      // swallowed, but the rest of the chunk is lost, so the session is over all the same.
      this.destroy(error instanceof Error ? error : undefined)
      if (!(error instanceof MuxError && isProtocolError(error.code))) throw error
    }
  }

  #inboundFrames(): InboundFrames {
    const isAccepting = () => !this.#isRefusing && this.listenerCount('stream') > 0
    const host = {
      get acceptsStreams() {
        return isAccepting()
      },
      stream: (stream: MuxStream) => this.emit('stream', stream),
      refuse: (streamId: number) => this.#sendReset(streamId),
      pinged: (value: number) => this.#writer.answer(FrameType.Ping, Flag.Ack, SESSION_ID, value),
      pingAnswered: (value: number) => this.#pings.answered(value, performance.now()),
      goAway: (code: GoAwayCode) => this.#peerGoesAway(code),
    }
    return new InboundFrames(this.#table, host, this.#options.floodLimits)
  }

  #peerGoesAway(code: GoAwayCode): void {
    if (code !== GoAwayCode.Normal) {
      const reason = code === GoAwayCode.ProtocolError ? 'a protocol error' : 'an internal error'
      this.destroy(new MuxError('MUX_REMOTE_ERROR', `the peer ended the session for ${reason}`))
    } else if (!this.#isPeerGoingAway) {
      this.#isPeerGoingAway = true
      this.#table.failQueued(remoteGoAway())
      this.emit('goAway')
    }
  }

  /** Of our own streams there are as many to reset as we opened, of the peer's as many as it likes. */
  #sendReset(streamId: number): void {
    const { WindowUpdate } = FrameType
    if (this.#table.isPeers(streamId)) this.#writer.answer(WindowUpdate, Flag.Rst, streamId, 0)
    else this.#writer.control(WindowUpdate, Flag.Rst, streamId, 0)
  }

  #sendPing(done: (error: MuxError | undefined, rttMs: number) => void): void {
    const value = this.#pings.start(performance.now(), done)
    this.#writer.control(FrameType.Ping, Flag.Syn, SESSION_ID, value)
  }

  // ── time ──

  /** One timer a session: all deadlines are looked at once a second. */
  #onTick(): void {
    const now = performance.now()
    const wasStopped = now - this.#lastTickMs > STOPPED_MS
    this.#lastTickMs = now
    // What came while the process did not run is read first, and looked at a second later.
    if (wasStopped) return
    const { pingIntervalMs, pingTimeoutMs, writeTimeoutMs, openTimeoutMs } = this.#options
    if (this.#writer.blockedMs(now) > writeTimeoutMs) {
      const reason = `the transport took nothing for ${writeTimeoutMs} ms`
      return this.destroy(new MuxError('MUX_WRITE_TIMEOUT', reason))
    }
    if (this.#table.unansweredMs(now) > openTimeoutMs) {
      const reason = `the peer did not accept a stream for ${openTimeoutMs} ms`
      return this.destroy(new MuxError('MUX_OPEN_TIMEOUT', reason))
    }
    this.#table.expireHalfClosed(now)
    this.#pings.expire(now - pingTimeoutMs)
    if (this.#isClosed || pingIntervalMs === 0) return
    // The first seconds ask more often: windows grow by the distance, and one sample may be a busy moment's.
    const isNew = this.#pings.samples < FIRST_SAMPLES
    if (isNew || now - this.#lastPingMs >= pingIntervalMs) this.#keepAlive(now)
  }

  #keepAlive(now: number): void {
    this.#lastPingMs = now
    this.#sendPing((error) => {
      // A link full of data may delay the answer; a dead one brings nothing at all.
      if (error?.code === 'MUX_PING_TIMEOUT' && this.#lastReadMs <= now) this.destroy(error)
    })
  }

  // ── the end ──

  #transportEnded(cause?: Error): void {
    const isClean =
      cause === undefined && this.#table.size === 0 && (this.#isGoingAway || this.#isPeerGoingAway)
    const reason = cause === undefined ? 'the peer closed the transport' : cause.message
    const error = new MuxError('MUX_TRANSPORT_CLOSED', reason, { cause })
    this.#end(error, isClean ? undefined : error)
  }

  #endIfDrained(): void {
    if (!this.#isClosing || this.#table.size > 0) return
    this.#writer.whenIdle(() => {
      if (this.#table.size > 0) return
      this.#end(sessionClosed(), undefined, this.#options.writeTimeoutMs)
    })
  }

  #end(error: MuxError, reported: MuxError | undefined, sendMs = LINGER_MS): void {
    if (this.#isClosed) return
    this.#isClosed = true
    clearInterval(this.#tick)
    this.#decoder.stop()
    if (isProtocolError(error.code)) {
      this.#writer.control(FrameType.GoAway, 0, SESSION_ID, GoAwayCode.ProtocolError)
    }
    this.#writer.end()
    this.#pings.failAll(error)
    this.#table.endAll(error)
    endTransport(this.#transport, sendMs)
    this.emit('close', reported)
  }
}

function sessionClosed(cause?: Error): MuxError {
  return new MuxError('MUX_SESSION_CLOSED', cause?.message ?? 'the session is closed', { cause })
}

function remoteGoAway(): MuxError {
  return new MuxError('MUX_REMOTE_GO_AWAY', 'the peer takes no new streams')
}

/** Deadlines are looked at this often. */
const TICK_MS = 1_000
const STOPPED_MS = 4_000
const FIRST_SAMPLES = 4
