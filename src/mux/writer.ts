import type { Duplex } from 'node:stream'
import { setImmediate } from 'node:timers'
import { MuxError } from './errors.ts'
import { Fifo } from './fifo.ts'
import type { FrameType } from './frame.ts'
import { FrameBatch } from './frame-batch.ts'

// What goes out next. Three queues, in this order:
//
//   control   pings, pongs, resets, go-away: frames of the session; those that the peer can cause are
//             bounded in number
//   urgent    streams that owe a flag (SYN, ACK) or credit; each is here at most once, so many grants
//             of one stream become one frame
//   ready     streams with payload or a FIN to send; one frame each, round and round. Small ones have
//             a queue of their own that goes first, up to half a batch: a keystroke does not wait for
//             a turn of every download, and downloads do not starve behind keystrokes
//
// Frames are gathered while the event loop runs and go out together, so many visitors' small writes
// become one write of the transport. Nothing is taken from a stream while the transport is full:
// that is where a sender feels its receiver. Written for speed.

/** A stream, as the writer sees it. */
export interface FrameSource {
  /** In the queue of that name already? Kept by the writer. */
  isUrgent: boolean
  isReady: boolean
  /** Payload that waits to be framed. */
  readonly pendingBytes: number
  /** Puts the flags and credit that are owed into the batch. */
  writeUrgent(batch: FrameBatch): void
  /** Puts one frame into the batch; says whether there is more to send now. */
  writeNext(batch: FrameBatch): boolean
}

export interface WriterOptions {
  readonly maxQueuedAnswers: number
  /** An answer too many was queued. */
  readonly onQueueFull: (error: MuxError) => void
}

export class FrameWriter {
  readonly #transport: Duplex
  readonly #options: WriterOptions
  readonly #batch = new FrameBatch()
  #control: ControlFrame[] = []
  /** How many of those the peer caused. */
  #answers = 0
  #urgent: FrameSource[] = []
  readonly #small = new Fifo<FrameSource>()
  readonly #large = new Fifo<FrameSource>()
  #isScheduled = false
  #isBlocked = false
  #isEnded = false
  #blockedSinceMs = 0
  #onIdle: (() => void) | undefined
  #bytesWritten = 0

  constructor(transport: Duplex, options: WriterOptions) {
    this.#transport = transport
    this.#options = options
    transport.on('drain', this.#onDrain)
  }

  get bytesWritten(): number {
    return this.#bytesWritten
  }

  /** How long the transport has taken nothing, in ms; 0 while it takes. */
  blockedMs(nowMs: number): number {
    return this.#isBlocked ? nowMs - this.#blockedSinceMs : 0
  }

  /** Sends a frame of the session, of our own accord. */
  control(type: FrameType, flags: number, streamId: number, length: number): void {
    if (this.#isEnded) return
    this.#control.push({ type, flags, streamId, length })
    this.#schedule()
  }

  /** The same for a frame that the peer causes: it may not let us queue them without end. */
  answer(type: FrameType, flags: number, streamId: number, length: number): void {
    if (this.#isEnded) return
    if (this.#answers >= this.#options.maxQueuedAnswers) {
      const reason = `${this.#answers} answers wait for a peer that does not read`
      return this.#options.onQueueFull(new MuxError('MUX_QUEUE_FULL', reason))
    }
    this.#answers += 1
    this.control(type, flags, streamId, length)
  }

  urgent(source: FrameSource): void {
    if (source.isUrgent || this.#isEnded) return
    source.isUrgent = true
    this.#urgent.push(source)
    this.#schedule()
  }

  ready(source: FrameSource): void {
    if (source.isReady || this.#isEnded) return
    source.isReady = true
    const queue = source.pendingBytes <= SMALL_BYTES ? this.#small : this.#large
    queue.push(source)
    this.#schedule()
  }

  /** Calls back when all that is queued now has been handed to the transport. */
  whenIdle(callback: () => void): void {
    this.#onIdle = callback
    this.#schedule()
  }

  /** Sends what is queued as far as the transport takes it at once, then nothing more. */
  end(): void {
    if (this.#isEnded) return
    if (!this.#isBlocked) this.#flush()
    this.#isEnded = true
    this.#control = []
    this.#urgent = []
    this.#small.clear()
    this.#large.clear()
    this.#transport.off('drain', this.#onDrain)
  }

  // setImmediate: after all that this turn of the event loop had to read. A microtask would send each
  // visitor's bytes in a write of its own.
  #schedule(): void {
    if (this.#isScheduled || this.#isBlocked) return
    this.#isScheduled = true
    setImmediate(this.#onImmediate)
  }

  readonly #onImmediate = () => {
    this.#isScheduled = false
    if (!this.#isEnded) this.#flush()
  }

  readonly #onDrain = () => {
    this.#isBlocked = false
    if (!this.#isEnded) this.#flush()
  }

  #flush(): void {
    const transport = this.#transport
    while (!this.#isEnded && this.#fill()) {
      const pieces = this.#batch.take()
      this.#bytesWritten += this.#batch.takenBytes
      transport.cork()
      for (const piece of pieces) transport.write(piece)
      transport.uncork()
      if (transport.writableNeedDrain || transport.destroyed) {
        this.#isBlocked = true
        this.#blockedSinceMs = performance.now()
        return
      }
    }
    const onIdle = this.#onIdle
    this.#onIdle = undefined
    onIdle?.()
  }

  /** Moves what is due into the batch; says whether there is anything. */
  #fill(): boolean {
    const batch = this.#batch
    for (const { type, flags, streamId, length } of this.#control) {
      batch.header(type, flags, streamId, length)
    }
    this.#control.length = 0
    this.#answers = 0
    const urgent = this.#urgent
    if (urgent.length > 0) {
      this.#urgent = []
      for (const source of urgent) {
        source.isUrgent = false
        source.writeUrgent(batch)
      }
    }
    this.#takeTurns(this.#small, BATCH_BYTES / 2)
    this.#takeTurns(this.#large, BATCH_BYTES)
    return batch.bytes > 0
  }

  #takeTurns(queue: Fifo<FrameSource>, limitBytes: number): void {
    while (this.#batch.bytes < limitBytes) {
      const source = queue.shift()
      if (source === undefined) return
      source.isReady = false
      if (source.writeNext(this.#batch)) this.ready(source)
    }
  }
}

interface ControlFrame {
  readonly type: FrameType
  readonly flags: number
  readonly streamId: number
  readonly length: number
}

/** One write of the transport: enough to be cheap, little enough that a ping never waits for long behind it. */
const BATCH_BYTES = 128 * 1024
const SMALL_BYTES = 4 * 1024
