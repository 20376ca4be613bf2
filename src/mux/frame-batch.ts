import { encodeHeader, type FrameType, HEADER_BYTES } from './frame.ts'

/** Frames on their way into one write: headers and small payloads in a slab, large payloads as they are. */
export class FrameBatch {
  #slab = Buffer.allocUnsafeSlow(FIRST_SLAB_BYTES)
  #from = 0
  #at = 0
  #pieces: Buffer[] = []
  /** Bytes put in since the last `take`. */
  bytes = 0
  /** Bytes that the last `take` gave. */
  takenBytes = 0

  header(type: FrameType, flags: number, streamId: number, length: number): void {
    if (this.#slab.length - this.#at < HEADER_BYTES) this.#newSlab()
    encodeHeader(this.#slab, this.#at, type, flags, streamId, length)
    this.#at += HEADER_BYTES
    this.bytes += HEADER_BYTES
  }

  payload(piece: Buffer): void {
    this.bytes += piece.length
    if (piece.length <= COPY_UP_TO_BYTES) {
      if (this.#slab.length - this.#at < piece.length) this.#newSlab()
      this.#slab.set(piece, this.#at)
      this.#at += piece.length
    } else {
      this.#closeSlice()
      this.#pieces.push(piece)
    }
  }

  /** The pieces to write, in order. They are the taker's: their memory is not written again. */
  take(): Buffer[] {
    this.#closeSlice()
    const pieces = this.#pieces
    this.#pieces = []
    this.takenBytes = this.bytes
    this.bytes = 0
    return pieces
  }

  #closeSlice(): void {
    if (this.#at > this.#from) this.#pieces.push(this.#slab.subarray(this.#from, this.#at))
    this.#from = this.#at
  }

  #newSlab(): void {
    this.#closeSlice()
    this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
    this.#from = 0
    this.#at = 0
  }
}

/** Below this a copy is cheaper than one more piece in the write (measured in bench/mux). */
const COPY_UP_TO_BYTES = 1024
/** An idle session needs little; a busy one gets larger slabs. */
const FIRST_SLAB_BYTES = 512
const SLAB_BYTES = 16 * 1024
