/**
 * Payload that its reader does not want yet, in order. What it keeps alive stays near what it counts:
 * small pieces are gathered into blocks, because a slice of one byte would hold on to the whole
 * chunk that it came in, and an object a byte costs more than the window allows for.
 */
export class ReceiveQueue {
  #pieces: Buffer[] = []
  #head = 0
  /** The last piece, while it is a block of ours with room behind it. */
  #block: Buffer | undefined
  #blockUsed = 0

  get isEmpty(): boolean {
    return this.#head === this.#pieces.length
  }

  add(piece: Buffer): void {
    // Never copied in bulk: what fills a good part of its chunk is kept as it is.
    if (piece.length >= COPY_BELOW_BYTES && !isWasteful(piece)) {
      this.#closeBlock()
      this.#pieces.push(piece)
    } else this.#gather(piece)
  }

  /** The next piece; `undefined` when there is none. */
  shift(): Buffer | undefined {
    if (this.isEmpty) return undefined
    if (this.#head === this.#pieces.length - 1) this.#closeBlock()
    const piece = this.#pieces[this.#head]
    this.#pieces[this.#head] = EMPTY
    this.#head += 1
    if (this.isEmpty) {
      this.#pieces = []
      this.#head = 0
    } else if (this.#head > 64 && this.#head * 2 > this.#pieces.length) {
      this.#pieces = this.#pieces.slice(this.#head)
      this.#head = 0
    }
    return piece
  }

  clear(): void {
    this.#pieces = []
    this.#head = 0
    this.#block = undefined
  }

  #gather(piece: Buffer): void {
    let at = 0
    while (at < piece.length) {
      if (this.#block === undefined || this.#blockUsed === this.#block.length) {
        this.#openBlock(piece.length - at)
      }
      const block = this.#block as Buffer
      const copied = piece.copy(block, this.#blockUsed, at)
      this.#blockUsed += copied
      at += copied
    }
  }

  /** Blocks double, so that a stream that holds little keeps little and one that holds much has few. */
  #openBlock(neededBytes: number): void {
    const lastBytes = this.#block?.length ?? 0
    this.#closeBlock()
    const bytes = Math.min(MAX_BLOCK_BYTES, Math.max(MIN_BLOCK_BYTES, neededBytes, lastBytes * 2))
    this.#block = Buffer.allocUnsafeSlow(bytes)
    this.#blockUsed = 0
    this.#pieces.push(this.#block)
  }

  #closeBlock(): void {
    if (this.#block === undefined) return
    this.#pieces[this.#pieces.length - 1] = trimmed(this.#block.subarray(0, this.#blockUsed))
    this.#block = undefined
  }
}

/** Of a large block with little in it, that little. */
function trimmed(block: Buffer): Buffer {
  if (block.buffer.byteLength <= COPY_BELOW_BYTES || !isWasteful(block)) return block
  const copy = Buffer.allocUnsafeSlow(block.length)
  copy.set(block)
  return copy
}

function isWasteful(slice: Buffer): boolean {
  return slice.length * MAX_WASTE < slice.buffer.byteLength
}

const COPY_BELOW_BYTES = 1024
/** How many times itself a slice may keep alive. */
const MAX_WASTE = 4
const MIN_BLOCK_BYTES = 256
const MAX_BLOCK_BYTES = 64 * 1024
const EMPTY = Buffer.alloc(0)
