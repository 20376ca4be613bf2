import type { Duplex } from 'node:stream'
import { isFull } from './write-ahead.ts'

/**
 * What is written to a stream in one turn, in one write: a head, its body and what ends it are one TLS
 * record and one system call instead of three. Large pieces pass as they are. Text is latin1.
 *
 * It holds nothing beyond the turn: what was written has gone to the stream by the next tick.
 */
export class Outbox {
  readonly #stream: Duplex
  #pieces: (string | Buffer)[] = []
  #heldBytes = 0
  #isScheduled = false
  /** Written in all. */
  bytes = 0

  constructor(stream: Duplex) {
    this.#stream = stream
  }

  /** False: whoever can should wait for the stream's 'drain'. */
  write(piece: string | Buffer): boolean {
    this.bytes += piece.length
    const isLarge = piece.length >= (this.#heldBytes === 0 ? copyBelowBytes : maxHeldBytes)
    if (isLarge) {
      this.flush()
      this.#stream.write(piece, 'latin1')
      return !isFull(this.#stream)
    }
    if (this.#heldBytes + piece.length > maxHeldBytes) this.flush()
    this.#pieces.push(piece)
    this.#heldBytes += piece.length
    if (!this.#isScheduled) {
      this.#isScheduled = true
      process.nextTick(Outbox.#flushLater, this)
    }
    return !isFull(this.#stream)
  }

  /** Hands over what is held, now; calls back when the stream has taken it, or with why it has not. */
  flush(onWritten?: (error?: Error | null) => void): void {
    if (this.#heldBytes > 0) this.#stream.write(this.#joined(), onWritten)
    else if (onWritten !== undefined) this.#stream.write(nothing, onWritten)
  }

  #joined(): Buffer {
    const joined = Buffer.allocUnsafe(this.#heldBytes)
    let at = 0
    for (const piece of this.#pieces) {
      if (typeof piece === 'string') at += joined.write(piece, at, 'latin1')
      else at += piece.copy(joined, at)
    }
    this.#pieces = []
    this.#heldBytes = 0
    return joined
  }

  /** Takes its argument from `nextTick`, so that there is no closure a response. */
  static #flushLater(outbox: Outbox): void {
    outbox.#isScheduled = false
    outbox.flush()
  }
}

const nothing = Buffer.alloc(0)
/** To copy less than this costs less than a write of its own. */
const copyBelowBytes = 4_096
const maxHeldBytes = 65_536
