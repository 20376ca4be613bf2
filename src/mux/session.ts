import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { FrameDecoder, type FrameHandler } from './decoder.ts'
import { isProtocolError, MuxError } from './errors.ts'
import { FloodGuard } from './flood-guard.ts'
import { Flag, FrameType, GoAwayCode, INITIAL_WINDOW_BYTES, SESSION_ID } from './frame.ts'
import { defaultOptions, type MuxOptions } from './options.ts'
import { Pings } from './pings.ts'
import { MuxStream, type StreamHost } from './stream.ts'
import { OwnIds, PeerIds, type Role } from './stream-ids.ts'
import { GrowthBudget, ReceiveWindow } from './window.ts'
import { Fifo, FrameWriter } from './writer.ts'

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
  readonly #decoder: FrameDecoder
  readonly #guard: FloodGuard
  readonly #pings = new Pings()
  readonly #growth: GrowthBudget
  readonly #host: StreamHost
  readonly #streams = new Map<number, MuxStream>()
  readonly #ownIds: OwnIds
  readonly #peerIds: PeerIds
  readonly #tick: NodeJS.Timeout
  #peerStreams = 0

  /** Ours whose SYN is out and unanswered, oldest first, with the time of opening. */
  readonly #unanswered = new Map<MuxStream, number>()
  readonly #queuedOpens = new Fifo<MuxStream>()
  /** Those that we have finished and the peer has not, with the time of the last sign of life. */
  readonly #halfClosed = new Map<MuxStream, number>()

  /** The stream whose payload is arriving; undefined: it is drained. */
  #current: MuxStream | undefined
  #currentFlags = 0
  /** Payload that streams we no longer know may still bring, because it had been granted to them. */
  #drainableBytes = INITIAL_WINDOW_BYTES
  #bytesRead = 0
  #lastReadMs = performance.now()
  #lastPingMs = Number.NEGATIVE_INFINITY
  #isGoingAway = false
  #isClosing = false
  #isPeerGoingAway = false
  #isClosed = false

  constructor(transport: Duplex, options: { readonly role: Role } & Partial<MuxOptions>) {
    super()
    this.#transport = transport
    this.#options = { ...defaultOptions, ...options }
    this.#ownIds = new OwnIds(options.role)
    this.#peerIds = new PeerIds(options.role)
    this.#guard = new FloodGuard(this.#options.floodLimits)
    this.#growth = new GrowthBudget({
      maxWindowBytes: this.#options.maxWindowBytes,
      sessionBytes: this.#options.maxWindowGrowthBytes,
    })
    this.#writer = new FrameWriter(transport, {
      maxQueuedAnswers: this.#options.maxQueuedAnswers,
      onError: (error) => this.destroy(error),
    })
    this.#host = this.#hostForStreams()
    this.#decoder = new FrameDecoder(this.#frameHandler())
    this.#tick = setInterval(() => this.#onTick(), TICK_MS).unref()
    transport.on('data', this.#onData)
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
    return this.#streams.size
  }

  /** The last round trip measured, in ms. */
  get rttMs(): number | undefined {
    return this.#pings.lastRttMs
  }

  /** Bytes of the transport, frames' headers included. */
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
    if (this.#isClosed || this.#isGoingAway) {
      throw new MuxError('MUX_SESSION_CLOSED', 'the session is closed')
    }
    if (this.#isPeerGoingAway) {
      throw new MuxError('MUX_REMOTE_GO_AWAY', 'the peer takes no new streams')
    }
    const mayStart = this.#unanswered.size < this.#options.maxUnansweredOpens
    if (!mayStart && this.#queuedOpens.length >= this.#options.maxQueuedOpens) {
      const waiting = this.#queuedOpens.length
      throw new MuxError(
        'MUX_TOO_MANY_OPENS',
        `${waiting} streams wait for the peer to accept them`,
      )
    }
    const id = this.#ownIds.take()
    const stream = new MuxStream(
      this.#host,
      id,
      mayStart ? 'syn' : 'queued',
      new ReceiveWindow(this.#growth),
    )
    this.#streams.set(id, stream)
    if (mayStart) this.#unanswered.set(stream, performance.now())
    else this.#queuedOpens.push(stream)
    return stream
  }

  /** The round trip to the peer and back, in ms. Fails with MUX_PING_TIMEOUT, or with the session. */
  ping(): Promise<number> {
    if (this.#isClosed) {
      return Promise.reject(new MuxError('MUX_SESSION_CLOSED', 'the session is closed'))
    }
    return new Promise((resolve, reject) => {
      this.#sendPing((error, rttMs) => (error === undefined ? resolve(rttMs) : reject(error)))
    })
  }

  /** Takes no new streams from now on, and opens none; those that run go on. */
  goAway(): void {
    if (this.#isGoingAway || this.#isClosed) return
    this.#isGoingAway = true
    this.#writer.answer(FrameType.GoAway, 0, SESSION_ID, GoAwayCode.Normal)
  }

  /** Go-away, then the end of all running streams, then of the transport. Bounded by whoever calls `destroy`. */
  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    this.goAway()
    this.#isClosing = true
    this.#endWhenDrained()
    return new Promise((resolve) => this.once('close', () => resolve()))
  }

  /** Ends the session and all its streams now. */
  destroy(reason?: Error): void {
    const error =
      reason instanceof MuxError
        ? reason
        : new MuxError('MUX_SESSION_CLOSED', reason?.message ?? 'the session was closed', {
            cause: reason,
          })
    this.#end(error, reason === undefined ? undefined : error)
  }

  // ── what the peer sends ──

  readonly #onData = (chunk: Buffer) => {
    this.#bytesRead += chunk.length
    this.#lastReadMs = performance.now()
    try {
      this.#decoder.push(chunk)
    } catch (error) {
      // Only the peer's faults are thrown in there; anything else is a bug, and not to be swallowed.
      if (!(error instanceof MuxError)) throw error
      this.destroy(error)
    }
  }

  #frameHandler(): FrameHandler {
    return {
      dataHeader: (streamId, flags, length) => this.#dataHeader(streamId, flags, length),
      dataPayload: (piece) => {
        // A stream that was reset in the middle of a frame is drained.
        if (this.#current !== undefined && !this.#current.destroyed) {
          this.#current.receivePayload(piece)
        }
      },
      dataEnd: () => {
        const stream = this.#current
        this.#current = undefined
        if (stream !== undefined && !stream.destroyed) this.#endFlags(stream, this.#currentFlags)
      },
      windowUpdate: (streamId, flags, credit) => this.#windowUpdate(streamId, flags, credit),
      ping: (flags, value) => this.#ping(flags, value),
      goAway: (code) => this.#goAway(code),
    }
  }

  #dataHeader(streamId: number, flags: number, length: number): void {
    const stream = this.#streamOf(streamId, flags, length)
    this.#current = stream
    this.#currentFlags = flags
    if (stream === undefined) {
      this.#drain(length)
      return
    }
    if (length === 0) {
      if ((flags & (Flag.Syn | Flag.Ack | Flag.Fin | Flag.Rst)) === 0) this.#countIdleFrame()
      return
    }
    stream.expectPayload(length)
    if (this.#host.unreadBytes > this.#options.maxUnreadBytes) this.#resetHeaviest()
  }

  #windowUpdate(streamId: number, flags: number, credit: number): void {
    const stream = this.#streamOf(streamId, flags, 0)
    if (stream === undefined) return this.#countIdleFrame()
    if (flags === 0 && credit < TINY_CREDIT_BYTES) this.#countIdleFrame()
    if (credit > 0) stream.receiveCredit(credit)
    this.#endFlags(stream, flags)
  }

  /** The stream that a frame speaks of, after its SYN or ACK. `length`: its payload, refused before a stream is made. */
  #streamOf(streamId: number, flags: number, length: number): MuxStream | undefined {
    if ((flags & Flag.Syn) !== 0) return this.#accept(streamId, length)
    if (streamId === SESSION_ID) {
      throw new MuxError('MUX_BAD_STREAM_ID', 'stream 0 is the session itself')
    }
    const stream = this.#streams.get(streamId)
    if (stream !== undefined && (flags & Flag.Ack) !== 0) {
      stream.accepted()
      this.#answered(stream)
    }
    return stream
  }

  #accept(streamId: number, length: number): MuxStream | undefined {
    this.#peerIds.take(streamId)
    if (length > INITIAL_WINDOW_BYTES) {
      throw new MuxError('MUX_WINDOW_EXCEEDED', `${length} bytes on the SYN of stream ${streamId}`)
    }
    const mayOpen = this.#peerStreams < this.#options.maxPeerStreams && !this.#isGoingAway
    if (!mayOpen || this.listenerCount('stream') === 0) {
      this.#drainableBytes += INITIAL_WINDOW_BYTES
      this.#countIdleFrame()
      this.#writer.answer(FrameType.WindowUpdate, Flag.Rst, streamId, 0)
      return undefined
    }
    const stream = new MuxStream(this.#host, streamId, 'ack', new ReceiveWindow(this.#growth))
    this.#streams.set(streamId, stream)
    this.#peerStreams += 1
    this.emit('stream', stream)
    return this.#streams.get(streamId)
  }

  /** FIN and RST take effect behind the frame's credit and payload. */
  #endFlags(stream: MuxStream, flags: number): void {
    if ((flags & Flag.Rst) !== 0) {
      if (this.#isPeers(stream) && !stream.hasSent) {
        this.#guard.count('rapidResets', this.#lastReadMs)
      }
      stream.receiveReset()
    } else if ((flags & Flag.Fin) !== 0) {
      stream.receiveFin()
    }
  }

  #ping(flags: number, value: number): void {
    if ((flags & Flag.Syn) !== 0) {
      this.#guard.count('pings', this.#lastReadMs)
      this.#writer.answer(FrameType.Ping, Flag.Ack, SESSION_ID, value)
    } else this.#pings.answered(value, performance.now())
  }

  #goAway(code: GoAwayCode): void {
    if (code !== GoAwayCode.Normal) {
      const reason = code === GoAwayCode.ProtocolError ? 'a protocol error' : 'an internal error'
      this.destroy(new MuxError('MUX_REMOTE_ERROR', `the peer ended the session for ${reason}`))
      return
    }
    if (this.#isPeerGoingAway) return this.#countIdleFrame()
    this.#isPeerGoingAway = true
    for (let stream = this.#queuedOpens.shift(); stream; stream = this.#queuedOpens.shift()) {
      stream.destroy(new MuxError('MUX_REMOTE_GO_AWAY', 'the peer takes no new streams'))
    }
    this.emit('goAway')
  }

  /** A frame for a stream that is gone is no error: it may have crossed our reset. But it has a bound. */
  #drain(length: number): void {
    this.#countIdleFrame()
    this.#drainableBytes -= length
    if (this.#drainableBytes < 0) {
      throw new MuxError('MUX_WINDOW_EXCEEDED', 'more payload for closed streams than was granted')
    }
  }

  #countIdleFrame(): void {
    this.#guard.count('idleFrames', this.#lastReadMs)
  }

  #resetHeaviest(): void {
    let heaviest: MuxStream | undefined
    for (const stream of this.#streams.values()) {
      if (stream.unreadBytes > (heaviest?.unreadBytes ?? 0)) heaviest = stream
    }
    const limit = this.#options.maxUnreadBytes
    heaviest?.destroy(
      new MuxError(
        'MUX_UNREAD_LIMIT',
        `more than ${limit} unread bytes; this stream held the most`,
      ),
    )
  }

  // ── what the streams ask ──

  #hostForStreams(): StreamHost {
    return {
      writer: this.#writer,
      maxFrameBytes: this.#options.maxFrameBytes,
      unreadBytes: 0,
      grant: (window) => window.grant(performance.now(), this.#pings.minRttMs),
      sendReset: (stream) => this.#writer.answer(FrameType.WindowUpdate, Flag.Rst, stream.id, 0),
      halfClosed: (stream) => {
        this.#halfClosed.set(stream, performance.now())
      },
      forget: (stream) => this.#forget(stream),
    }
  }

  #forget(stream: MuxStream): void {
    if (!this.#streams.delete(stream.id)) return
    if (this.#isPeers(stream)) this.#peerStreams -= 1
    this.#drainableBytes += stream.grantedBytes
    this.#halfClosed.delete(stream)
    this.#answered(stream)
    if (this.#streams.size === 0) this.#endWhenDrained()
  }

  #isPeers(stream: MuxStream): boolean {
    return this.#peerIds.includes(stream.id)
  }

  /** A place among the unanswered is free: the next in the queue may send its SYN. */
  #answered(stream: MuxStream): void {
    if (!this.#unanswered.delete(stream)) return
    let next = this.#queuedOpens.shift()
    while (next?.destroyed) next = this.#queuedOpens.shift()
    if (next === undefined) return
    this.#unanswered.set(next, performance.now())
    next.start()
  }

  // ── time ──

  #onTick(): void {
    const now = performance.now()
    const { pingIntervalMs, pingTimeoutMs, writeTimeoutMs, openTimeoutMs } = this.#options
    if (this.#writer.blockedMs(now) > writeTimeoutMs) {
      this.destroy(
        new MuxError('MUX_WRITE_TIMEOUT', `the transport took nothing for ${writeTimeoutMs} ms`),
      )
      return
    }
    for (const openedAtMs of this.#unanswered.values()) {
      if (now - openedAtMs > openTimeoutMs) {
        this.destroy(
          new MuxError('MUX_OPEN_TIMEOUT', `a stream was not accepted for ${openTimeoutMs} ms`),
        )
        return
      }
      break // in order of opening
    }
    this.#pings.expire(now - pingTimeoutMs)
    if (!this.#isClosed && pingIntervalMs > 0 && now - this.#lastPingMs >= pingIntervalMs) {
      this.#keepAlive(now)
    }
    this.#expireHalfClosed(now)
  }

  #keepAlive(now: number): void {
    this.#lastPingMs = now
    this.#sendPing((error) => {
      // A link full of data may delay the answer; a dead one brings nothing at all.
      if (error?.code === 'MUX_PING_TIMEOUT' && this.#lastReadMs <= now) this.destroy(error)
    })
  }

  #sendPing(done: (error: MuxError | undefined, rttMs: number) => void): void {
    const value = this.#pings.start(performance.now(), done)
    this.#writer.answer(FrameType.Ping, Flag.Syn, SESSION_ID, value)
  }

  #expireHalfClosed(now: number): void {
    const { closeTimeoutMs } = this.#options
    for (const [stream, sinceMs] of this.#halfClosed) {
      if (stream.takeActivity()) this.#halfClosed.set(stream, now)
      else if (now - sinceMs > closeTimeoutMs) {
        stream.destroy(
          new MuxError('MUX_STREAM_TIMEOUT', `half-closed and silent for ${closeTimeoutMs} ms`),
        )
      }
    }
  }

  // ── the end ──

  #transportEnded(cause?: Error): void {
    const reason = cause === undefined ? 'the peer closed the transport' : cause.message
    const error = new MuxError('MUX_TRANSPORT_CLOSED', reason, { cause })
    const isClean =
      cause === undefined &&
      this.#streams.size === 0 &&
      (this.#isGoingAway || this.#isPeerGoingAway)
    this.#end(error, isClean ? undefined : error)
  }

  #endWhenDrained(): void {
    if (!this.#isClosing || this.#isClosed || this.#streams.size > 0) return
    this.#writer.whenIdle(() => {
      if (this.#streams.size === 0) {
        this.#end(new MuxError('MUX_SESSION_CLOSED', 'the session is closed'), undefined)
      }
    })
  }

  #end(error: MuxError, reported: MuxError | undefined): void {
    if (this.#isClosed) return
    this.#isClosed = true
    clearInterval(this.#tick)
    this.#decoder.stop()
    if (isProtocolError(error.code)) {
      this.#writer.answer(FrameType.GoAway, 0, SESSION_ID, GoAwayCode.ProtocolError)
    }
    this.#writer.end()
    this.#pings.failAll(error)
    this.#unanswered.clear()
    this.#queuedOpens.clear()
    for (const stream of this.#streams.values()) stream.sessionEnded(error)
    this.#streams.clear()
    this.#halfClosed.clear()
    endTransport(this.#transport)
    this.emit('close', reported)
  }
}

/** Lets what was written go out, then closes, within a time that no peer can stretch. */
function endTransport(transport: Duplex): void {
  if (transport.destroyed) return
  const deadline = setTimeout(() => transport.destroy(), LINGER_MS)
  transport.once('close', () => clearTimeout(deadline))
  transport.end()
}

/** Deadlines are looked at this often. */
const TICK_MS = 1_000
/** How long a closing transport may take to send its last bytes and hear the peer's end. */
const LINGER_MS = 2_000
/** Credit smaller than this saves nobody a wait (an honest peer grants half a window). */
const TINY_CREDIT_BYTES = 1_024
