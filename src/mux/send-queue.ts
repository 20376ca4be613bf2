import type { FrameBatch } from './frame-batch.ts'

/** What was written and is not framed yet: pieces in order, never copied here. */
export class SendQueue {
  #pieces: readonly Buffer[] = []
  /** The piece that is next, and how much of it has gone. */
  #index = 0
  #at = 0
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  /** Takes over the pieces of one write. The one before has gone. */
  put(pieces: readonly Buffer[]): void {
    this.clear()
    this.#pieces = pieces
    for (const piece of pieces) this.#bytes += piece.length
  }

  /** Moves so many bytes, of those there are, into the batch. */
  moveTo(batch: FrameBatch, bytes: number): void {
    this.#bytes -= bytes
    for (let left = bytes; left > 0; ) {
      const piece = this.#pieces[this.#index] as Buffer
      const end = Math.min(piece.length, this.#at + left)
      left -= end - this.#at
      batch.payload(end - this.#at === piece.length ? piece : piece.subarray(this.#at, end))
      this.#at = end
      if (end === piece.length) {
        this.#index += 1
        this.#at = 0
      }
    }
    if (this.#bytes === 0) this.clear()
  }

  clear(): void {
    this.#pieces = []
    this.#index = 0
    this.#at = 0
    this.#bytes = 0
  }
}
