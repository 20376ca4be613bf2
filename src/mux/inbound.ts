import type { FrameHandler } from './decoder.ts'
import { MuxError } from './errors.ts'
import { FloodGuard } from './flood-guard.ts'
import { Flag, type GoAwayCode, INITIAL_WINDOW_BYTES, SESSION_ID } from './frame.ts'
import type { FloodLimits } from './options.ts'
import type { MuxStream } from './stream.ts'
import type { StreamTable } from './stream-table.ts'

/** What the frames that arrive ask of the session. */
export interface InboundHost {
  /** Whether the owner takes streams from the peer now. */
  readonly acceptsStreams: boolean
  stream(stream: MuxStream): void
  refuse(streamId: number): void
  pinged(value: number): void
  /** Says whether anybody waited for it. */
  pingAnswered(value: number): boolean
  goAway(code: GoAwayCode): void
}

/**
 * What each frame from the peer does to the streams, and what none may do. Everything thrown here is
 * a MuxError that ends the session: ids, states, windows and floods are checked before anything is kept.
 */
export class InboundFrames implements FrameHandler {
  readonly #table: StreamTable
  readonly #host: InboundHost
  readonly #guard: FloodGuard
  /** Whose payload is arriving; undefined: it is drained. */
  #current: MuxStream | undefined
  #currentFlags = 0

  constructor(table: StreamTable, host: InboundHost, floodLimits: FloodLimits) {
    this.#table = table
    this.#host = host
    this.#guard = new FloodGuard(floodLimits)
  }

  dataHeader(streamId: number, flags: number, length: number): void {
    const stream = this.#streamOf(streamId, flags, length)
    this.#current = stream
    this.#currentFlags = flags
    if (stream === undefined) {
      if (length > 0) this.#table.lateFrames.takePayload(length)
      else this.#countUnknown()
    } else if (length > 0) this.#table.expectPayload(stream, length)
    else if ((flags & STREAM_FLAGS) === 0) this.#countIdleFrame()
  }

  dataPayload(piece: Buffer): void {
    // One that was reset in the middle of a frame is drained as well.
    if (this.#current !== undefined && !this.#current.destroyed) this.#current.receivePayload(piece)
  }

  dataEnd(): void {
    const stream = this.#current
    this.#current = undefined
    if (stream !== undefined && !stream.destroyed) this.#closingFlags(stream, this.#currentFlags)
  }

  windowUpdate(streamId: number, flags: number, credit: number): void {
    const stream = this.#streamOf(streamId, flags, 0)
    if (stream === undefined) return this.#countUnknown()
    if ((flags & STREAM_FLAGS) === 0 && credit < TINY_CREDIT_BYTES) this.#countIdleFrame()
    if (credit > 0) stream.receiveCredit(credit)
    this.#closingFlags(stream, flags)
  }

  ping(flags: number, value: number): void {
    if ((flags & Flag.Syn) === 0) {
      if (!this.#host.pingAnswered(value)) this.#countIdleFrame()
      return
    }
    this.#guard.count('pings', performance.now())
    this.#host.pinged(value)
  }

  goAway(code: GoAwayCode): void {
    this.#countIdleFrame()
    this.#host.goAway(code)
  }

  /** The stream that a frame speaks of, after its SYN or ACK; undefined for one we do not know (any more). */
  #streamOf(streamId: number, flags: number, length: number): MuxStream | undefined {
    if ((flags & Flag.Syn) !== 0) return this.#accept(streamId, length)
    if (streamId === SESSION_ID) {
      throw new MuxError('MUX_BAD_STREAM_ID', 'a stream frame on id 0, which is the session itself')
    }
    const stream = this.#table.get(streamId)
    if (stream !== undefined && (flags & Flag.Ack) !== 0) {
      // SYN, FIN and RST come once by themselves; an ACK could be repeated for ever.
      if (stream.isAccepted) this.#countIdleFrame()
      else this.#table.accepted(stream)
    }
    return stream
  }

  #accept(streamId: number, length: number): MuxStream | undefined {
    const hasRoom = this.#table.takePeerId(streamId)
    // Before there is any state (the Data+SYN of CVE-2026-32314).
    if (length > INITIAL_WINDOW_BYTES) {
      throw new MuxError('MUX_WINDOW_EXCEEDED', `${length} bytes on the SYN of stream ${streamId}`)
    }
    if (hasRoom && this.#host.acceptsStreams) {
      const stream = this.#table.accept(streamId)
      this.#host.stream(stream)
      if (!stream.destroyed) return stream
    } else {
      this.#table.lateFrames.expect(INITIAL_WINDOW_BYTES)
      this.#host.refuse(streamId)
    }
    this.#countIdleFrame()
    return undefined
  }

  /** FIN and RST take effect behind the credit and the payload of their frame. */
  #closingFlags(stream: MuxStream, flags: number): void {
    if ((flags & Flag.Rst) !== 0) {
      if (this.#table.isPeers(stream.id) && !stream.hasSent) {
        this.#guard.count('rapidResets', performance.now())
      }
      stream.receiveReset()
    } else if ((flags & Flag.Fin) !== 0) stream.receiveFin()
  }

  /** Visitors who leave in the middle of many downloads must not make a flood of what the peer had still to say. */
  #countUnknown(): void {
    if (!this.#table.lateFrames.takeEmpty()) this.#countIdleFrame()
  }

  #countIdleFrame(): void {
    this.#guard.count('idleFrames', performance.now())
  }
}

const STREAM_FLAGS = Flag.Syn | Flag.Ack | Flag.Fin | Flag.Rst
/** Credit smaller than this saves nobody a wait: an honest peer grants half a window. */
const TINY_CREDIT_BYTES = 1024
