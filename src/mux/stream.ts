import { Duplex } from 'node:stream'
import { MuxError } from './errors.ts'
import { Flag, FrameType } from './frame.ts'
import type { FrameBatch } from './frame-batch.ts'
import { ReceiveQueue } from './receive-queue.ts'
import { SendQueue } from './send-queue.ts'
import {
  afterFinReceived,
  afterFinSent,
  afterFlagsSent,
  canReceive,
  canSend,
  flagsFor,
  type Halves,
  type Owed,
} from './stream-state.ts'
import { type ReceiveWindow, SendWindow } from './window.ts'
import type { FrameSource, FrameWriter } from './writer.ts'

/** What a stream asks of its session. */
export interface StreamHost {
  readonly writer: FrameWriter
  readonly maxFrameBytes: number
  /** Bytes that arrived on all streams and were not read yet. */
  unreadBytes: number
  /** The credit to send now for this window. */
  grant(window: ReceiveWindow): number
  sendReset(stream: MuxStream): void
  /** Our half is closed, the peer's is not yet. */
  halfClosed(stream: MuxStream): void
  /** Both halves are closed: no frame may go out for the stream any more. */
  forget(stream: MuxStream): void
}

type Callback = (error?: Error | null) => void

/**
 * One stream of a session: a Duplex with half-close. `end()` sends FIN; `destroy()` before both halves
 * are closed sends RST, and the peer's RST is an error (MUX_STREAM_RESET). What was written is held
 * back until the peer has granted credit for it; what arrives is held, within the window, until it
 * is read, and only reading grants new credit: a slow reader stops its sender, and only it.
 */
export class MuxStream extends Duplex implements FrameSource {
  readonly id: number
  isUrgent = false
  isReady = false
  readonly #host: StreamHost
  readonly #sendWindow = new SendWindow()
  readonly #receiveWindow: ReceiveWindow
  #halves: Halves = 'open'
  #owed: Owed
  #owesCredit = false
  #hasSent = false

  readonly #unsent = new SendQueue()
  #onWritten: Callback | undefined
  #onFinal: Callback | undefined

  readonly #unread = new ReceiveQueue()
  #isWanted = false
  #isDelivering = false
  /** Bytes given to Readable, and how many of them its reader had taken when we last looked. */
  #pushedBytes = 0
  #readBytes = 0
  #lost: MuxError | undefined
  /** Bytes arrived since the session looked last; see `takeActivity`. */
  #isActive = false

  /** Streams are made by their session: `session.open()`, or its 'stream' event. */
  constructor(host: StreamHost, id: number, owed: Owed, receiveWindow: ReceiveWindow) {
    // Readable's own buffer holds one piece at most: the rest is in #unread, which packs it better.
    super({ readableHighWaterMark: 1, writableHighWaterMark: WRITE_AHEAD_BYTES })
    this.#host = host
    this.id = id
    this.#owed = owed
    this.#receiveWindow = receiveWindow
    if (owed !== 'queued') host.writer.urgent(this)
  }

  /** Whether the peer has accepted it (for one that the peer opened: yes). */
  get isAccepted(): boolean {
    return this.#owed === 'ack' || this.#owed === 'none'
  }

  /** Whether a SYN for it is on the wire, or was received. */
  get isKnownToPeer(): boolean {
    return this.#owed !== 'queued' && this.#owed !== 'syn'
  }

  get hasSent(): boolean {
    return this.#hasSent
  }

  /** Whether the peer or the session ended it. */
  get isLost(): boolean {
    return this.#lost !== undefined
  }

  /** Written, not yet framed. */
  get pendingBytes(): number {
    return this.#unsent.bytes
  }

  get halves(): Halves {
    return this.#halves
  }

  /** Payload that the peer may still send; the session drains it after a reset. */
  get grantedBytes(): number {
    return canReceive(this.#halves) ? this.#receiveWindow.granted : 0
  }

  get unreadBytes(): number {
    return this.#receiveWindow.held
  }

  // ── what the session tells ──

  /** There is a place for the SYN now. */
  start(): void {
    this.#owed = 'syn'
    this.#host.writer.urgent(this)
    this.#sendMore()
  }

  accepted(): void {
    if (this.#owed === 'unanswered') this.#owed = 'none'
  }

  /** A data frame's header. @throws MuxError MUX_WINDOW_EXCEEDED, MUX_BAD_STATE */
  expectPayload(bytes: number): void {
    if (!canReceive(this.#halves)) {
      throw new MuxError('MUX_BAD_STATE', `data after FIN on stream ${this.id}`)
    }
    this.#receiveWindow.receive(bytes)
    this.#host.unreadBytes += bytes
    this.#isActive = true
  }

  receivePayload(piece: Buffer): void {
    // The fast path: a reader that flows gets the slice itself, past every buffer.
    if (this.readableFlowing === true && this.readableLength === 0 && this.#unread.isEmpty) {
      this.#push(piece)
    } else {
      this.#unread.add(piece)
      if (this.#isWanted) this.#deliver()
    }
  }

  /** @throws MuxError MUX_BAD_STATE */
  receiveFin(): void {
    this.#halves = afterFinReceived(this.#halves, this.id)
    if (this.#halves === 'closed') this.#forget()
    this.#deliver()
  }

  /** @throws MuxError MUX_WINDOW_OVERFLOW */
  receiveCredit(bytes: number): void {
    this.#sendWindow.grant(bytes)
    this.#sendMore()
  }

  receiveReset(): void {
    this.#lost = new MuxError('MUX_STREAM_RESET', `the peer reset stream ${this.id}`)
    this.destroy(this.#lost)
  }

  /**
   * The session is over. What the peer had sent and finished stays readable, to its end; a stream that
   * was not finished fails, so that nobody takes half of something for the whole.
   */
  sessionEnded(error: MuxError): void {
    this.#lost = error
    const isWhole = !canReceive(this.#halves) && this.#unsent.bytes === 0
    if (isWhole) this.#settleFinal()
    else this.destroy(error)
  }

  /** Whether anything arrived since this was asked last, or waits for a reader: then the silence is ours. */
  takeActivity(): boolean {
    const isActive = this.#isActive || this.unreadBytes > 0
    this.#isActive = false
    return isActive
  }

  // ── what the writer asks (FrameSource) ──

  writeUrgent(batch: FrameBatch): void {
    if (this.#halves === 'closed') return
    const flags = flagsFor(this.#owed)
    const credit =
      this.#owesCredit && canReceive(this.#halves) ? this.#host.grant(this.#receiveWindow) : 0
    this.#owesCredit = false
    if (flags === 0 && credit === 0) return
    batch.header(FrameType.WindowUpdate, flags, this.id, credit)
    this.#owed = afterFlagsSent(this.#owed)
  }

  writeNext(batch: FrameBatch): boolean {
    if (!canSend(this.#halves) || this.#owed === 'queued') return false
    const bytes = Math.min(this.#unsent.bytes, this.#sendWindow.available, this.#host.maxFrameBytes)
    if (bytes > 0) this.#writeData(batch, bytes)
    else if (this.#onFinal !== undefined && this.#unsent.bytes === 0) this.#writeFin(batch)
    return this.#hasMoreToSend
  }

  get #hasMoreToSend(): boolean {
    if (this.#unsent.bytes > 0) return this.#sendWindow.available > 0
    return this.#onFinal !== undefined
  }

  #writeData(batch: FrameBatch, bytes: number): void {
    batch.header(FrameType.Data, flagsFor(this.#owed), this.id, bytes)
    this.#owed = afterFlagsSent(this.#owed)
    this.#sendWindow.take(bytes)
    this.#unsent.moveTo(batch, bytes)
    this.#hasSent = true
    if (this.#unsent.bytes === 0) this.#settleWrite()
  }

  // FIN on a frame of its own: a Go peer that finds it on a data frame may report the end before the data.
  #writeFin(batch: FrameBatch): void {
    batch.header(FrameType.WindowUpdate, Flag.Fin | flagsFor(this.#owed), this.id, 0)
    this.#owed = afterFlagsSent(this.#owed)
    this.#halves = afterFinSent(this.#halves)
    if (this.#halves === 'closed') this.#forget()
    else this.#host.halfClosed(this)
    this.#settleFinal()
  }

  // ── Writable ──

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    this.#send([chunk], callback)
  }

  override _writev(chunks: { chunk: Buffer }[], callback: Callback): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      callback,
    )
  }

  override _final(callback: Callback): void {
    if (this.#lost !== undefined) return callback()
    this.#onFinal = callback
    this.#sendMore()
  }

  #send(pieces: readonly Buffer[], callback: Callback): void {
    if (this.#lost !== undefined) return callback(this.#lost)
    this.#unsent.put(pieces)
    if (this.#unsent.bytes === 0) return callback()
    this.#onWritten = callback
    this.#sendMore()
  }

  #sendMore(): void {
    if (this.#owed !== 'queued' && this.#hasMoreToSend) this.#host.writer.ready(this)
  }

  #settleWrite(error?: Error): void {
    const callback = this.#onWritten
    this.#onWritten = undefined
    callback?.(error)
  }

  #settleFinal(error?: Error): void {
    const callback = this.#onFinal
    this.#onFinal = undefined
    callback?.(error)
  }

  // ── Readable ──

  override _read(): void {
    this.#isWanted = true
    this.#deliver()
  }

  override read(size?: number): unknown {
    const chunk = super.read(size)
    this.#accountForReading()
    return chunk
  }

  /** Gives Readable what it wants and we have. A reader that reads from within 'data' does not get ahead of itself. */
  #deliver(): void {
    if (this.#isDelivering) return
    this.#isDelivering = true
    while (this.#isWanted && !this.#unread.isEmpty) {
      this.#isWanted = false
      if (this.#push(this.#unread.shift() as Buffer)) this.#isWanted = true
    }
    this.#isDelivering = false
    if (this.#unread.isEmpty && !canReceive(this.#halves) && !this.readableEnded) this.push(null)
  }

  #push(piece: Buffer): boolean {
    this.#pushedBytes += piece.length
    const wantsMore = this.push(piece)
    this.#accountForReading()
    return wantsMore
  }

  /** What was pushed and is no longer in Readable's buffer has been read. */
  #accountForReading(): void {
    const bytes = this.#pushedBytes - this.readableLength - this.#readBytes
    if (bytes <= 0 || this.destroyed) return
    this.#readBytes += bytes
    this.#host.unreadBytes -= bytes
    if (this.#receiveWindow.consume(bytes) && canReceive(this.#halves)) {
      this.#owesCredit = true
      this.#host.writer.urgent(this)
    }
  }

  override _destroy(error: Error | null, callback: Callback): void {
    if (this.#halves !== 'closed') {
      if (this.#lost === undefined && this.isKnownToPeer) this.#host.sendReset(this)
      this.#forget()
      this.#halves = 'closed'
    }
    this.#host.unreadBytes -= this.#receiveWindow.held
    this.#unread.clear()
    this.#unsent.clear()
    // Mostly nobody waits, and an error that nobody sees costs its stack trace all the same.
    if (this.#onWritten !== undefined || this.#onFinal !== undefined) {
      const reason = error ?? new MuxError('MUX_SESSION_CLOSED', `stream ${this.id} was destroyed`)
      this.#settleWrite(reason)
      this.#settleFinal(reason)
    }
    callback(error)
  }

  #forget(): void {
    this.#host.forget(this)
    this.#receiveWindow.release()
  }
}

/** What a writer may hand over before it has to wait: enough to keep a fast session busy. */
const WRITE_AHEAD_BYTES = 64 * 1024
