import { MuxError } from './errors.ts'
import { LateFrames } from './late-frames.ts'
import type { MuxOptions } from './options.ts'
import { MuxStream, type StreamHost } from './stream.ts'
import { OwnIds, PeerIds, type Role } from './stream-ids.ts'
import { GrowthBudget, ReceiveWindow } from './window.ts'

/** What a table asks of its session. */
export interface TableHost extends Pick<StreamHost, 'writer' | 'grant' | 'sendReset'> {
  /** The last stream was forgotten. */
  emptied(): void
}

/**
 * The streams of a session, while a frame may still go out or come in for them: who opened them, which
 * of ours wait for a place or for an answer, which are half-closed, and how much they all hold.
 */
export class StreamTable {
  readonly #options: MuxOptions
  readonly #host: TableHost
  readonly #streamHost: StreamHost
  readonly #growth: GrowthBudget
  readonly #ownIds: OwnIds
  readonly #peerIds: PeerIds
  readonly #streams = new Map<number, MuxStream>()
  /** The peer's: those in the table, and those that hold bytes that nobody has read. */
  #peerStreams = 0
  readonly lateFrames = new LateFrames()

  /** Ours whose SYN is due or out and not answered yet, oldest first, with the time of opening. */
  readonly #unanswered = new Map<MuxStream, number>()
  /** Ours that wait for a place among those, oldest first. */
  readonly #queued = new Set<MuxStream>()
  /** Those that we have finished and the peer has not, with the time of its last sign of life. */
  readonly #halfClosed = new Map<MuxStream, number>()
  /** Those that are forgotten, over for the wire, and still hold bytes that nobody has read. */
  readonly #unread = new Set<MuxStream>()

  constructor(role: Role, options: MuxOptions, host: TableHost) {
    this.#options = options
    this.#host = host
    this.#ownIds = new OwnIds(role)
    this.#peerIds = new PeerIds(role)
    this.#growth = new GrowthBudget({
      maxWindowBytes: options.maxWindowBytes,
      sessionBytes: options.maxWindowGrowthBytes,
    })
    this.#streamHost = {
      writer: host.writer,
      maxFrameBytes: options.maxFrameBytes,
      unreadBytes: 0,
      grant: host.grant,
      sendReset: host.sendReset,
      halfClosed: (stream) => {
        this.#halfClosed.set(stream, performance.now())
      },
      forget: (stream) => this.#forget(stream),
    }
  }

  get size(): number {
    return this.#streams.size
  }

  /** Bytes that arrived on all streams and were not read yet. */
  get unreadBytes(): number {
    return this.#streamHost.unreadBytes
  }

  /** A stream that the peer can speak of. */
  get(id: number): MuxStream | undefined {
    const stream = this.#streams.get(id)
    return stream?.isKnownToPeer ? stream : undefined
  }

  /** Whether only the peer can have opened a stream of this id. */
  isPeers(id: number): boolean {
    return this.#peerIds.includes(id)
  }

  /** Whether no stream can be opened any more. */
  get isUsedUp(): boolean {
    return this.#ownIds.isUsedUp
  }

  /** A stream of ours, at once if fewer than 256 are unanswered. @throws MuxError MUX_TOO_MANY_OPENS */
  open(): MuxStream {
    const mayStart = this.#unanswered.size < this.#options.maxUnansweredOpens
    if (!mayStart && this.#queued.size >= this.#options.maxQueuedOpens) {
      const waiting = this.#queued.size
      throw new MuxError('MUX_TOO_MANY_OPENS', `${waiting} streams wait for the peer to accept any`)
    }
    const stream = this.#add(this.#ownIds.take(), mayStart ? 'syn' : 'queued')
    if (mayStart) this.#unanswered.set(stream, performance.now())
    else this.#queued.add(stream)
    return stream
  }

  /**
   * Takes note of an id that the peer opens a stream with. Says whether there is room for the stream.
   * @throws MuxError MUX_BAD_STREAM_ID
   */
  takePeerId(id: number): boolean {
    this.#peerIds.take(id)
    return this.#peerStreams < this.#options.maxPeerStreams
  }

  /** The peer's stream, under an id that was taken. */
  accept(id: number): MuxStream {
    this.#peerStreams += 1
    return this.#add(id, 'ack')
  }

  /** The peer accepted a stream of ours. */
  accepted(stream: MuxStream): void {
    stream.accepted()
    this.#freePlace(stream)
  }

  /** Accounts for payload announced for a stream. @throws MuxError MUX_WINDOW_EXCEEDED, MUX_BAD_STATE */
  expectPayload(stream: MuxStream, bytes: number): void {
    stream.expectPayload(bytes)
    if (this.#streamHost.unreadBytes > this.#options.maxUnreadBytes) this.#resetHeaviest()
  }

  /** The peer takes no more streams: those that had not started never will. */
  failQueued(error: MuxError): void {
    for (const stream of this.#queued) stream.destroy(error)
  }

  /** The session is over. */
  endAll(error: MuxError): void {
    this.#unanswered.clear()
    this.#queued.clear()
    for (const stream of this.#streams.values()) stream.sessionEnded(error)
    this.#streams.clear()
    this.#halfClosed.clear()
  }

  /** How long the oldest unanswered stream has waited, in ms. */
  unansweredMs(nowMs: number): number {
    for (const openedAtMs of this.#unanswered.values()) return nowMs - openedAtMs
    return 0
  }

  /** Resets half-closed streams on which the peer has been silent for too long. */
  expireHalfClosed(nowMs: number): void {
    const { closeTimeoutMs } = this.#options
    for (const [stream, sinceMs] of this.#halfClosed) {
      if (stream.takeActivity()) this.#halfClosed.set(stream, nowMs)
      else if (nowMs - sinceMs > closeTimeoutMs) {
        const reason = `half-closed and silent for ${closeTimeoutMs} ms`
        stream.destroy(new MuxError('MUX_STREAM_TIMEOUT', reason))
      }
    }
  }

  #add(id: number, owed: 'syn' | 'queued' | 'ack'): MuxStream {
    const stream = new MuxStream(
      this.#streamHost,
      id,
      owed,
      new ReceiveWindow(this.#growth, performance.now()),
    )
    this.#streams.set(id, stream)
    return stream
  }

  #forget(stream: MuxStream): void {
    if (!this.#streams.delete(stream.id)) return
    this.#halfClosed.delete(stream)
    this.#queued.delete(stream)
    this.#freePlace(stream)
    if (!stream.isLost) this.lateFrames.expect(stream.grantedBytes)
    if (!stream.destroyed && stream.unreadBytes > 0) {
      this.#unread.add(stream)
      stream.once('close', () => this.#leave(stream))
    } else this.#leave(stream)
    if (this.#streams.size === 0) this.#host.emptied()
  }

  /** It holds nothing of ours any more. */
  #leave(stream: MuxStream): void {
    this.#unread.delete(stream)
    if (this.isPeers(stream.id)) this.#peerStreams -= 1
  }

  #freePlace(stream: MuxStream): void {
    if (!this.#unanswered.delete(stream)) return
    for (const next of this.#queued) {
      this.#queued.delete(next)
      this.#unanswered.set(next, performance.now())
      return next.start()
    }
  }

  #resetHeaviest(): void {
    let heaviest: MuxStream | undefined
    for (const streams of [this.#unread, this.#streams.values()]) {
      for (const stream of streams) {
        if (stream.unreadBytes > (heaviest?.unreadBytes ?? 0)) heaviest = stream
      }
    }
    const reason = `over ${this.#options.maxUnreadBytes} unread bytes; this stream held the most`
    heaviest?.destroy(new MuxError('MUX_UNREAD_LIMIT', reason))
  }
}
