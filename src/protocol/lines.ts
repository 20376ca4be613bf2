import { ProtocolError } from './errors.ts'

/** The longest line a reader of the control stream holds, without its `\n`. */
export const lineLimitBytes = 65_536

const lineFeed = 0x0a
const carriageReturn = 0x0d

/**
 * Cuts the control stream into lines, wherever its chunks were cut. Never holds more than the limit:
 * a line is measured before it is kept. Blank lines are skipped, as Go's JSON decoder does; bytes
 * that are not UTF-8 become U+FFFD, as they do there.
 */
export class LineDecoder {
  readonly #limitBytes: number
  // A copy of the piece of line so far, in a buffer that doubles: a peer that sends byte by byte
  // must not make us keep every chunk alive for its one byte.
  #held = Buffer.alloc(0)
  #heldBytes = 0
  #isBroken = false

  constructor(limitBytes: number = lineLimitBytes) {
    this.#limitBytes = limitBytes
  }

  /**
   * The lines that end in this chunk, without `\n` or `\r\n`.
   * @throws ProtocolError PROTOCOL_LINE_TOO_LONG as soon as a line passes the limit, and at every
   *   push from then on; lines before it in the same chunk are lost, as the stream is.
   */
  push(chunk: Buffer): string[] {
    if (this.#isBroken) throw lineTooLong(this.#limitBytes)
    const lines: string[] = []
    let start = 0
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, start)) {
      const line = this.#finish(chunk.subarray(start, end))
      if (line !== '') lines.push(line)
      start = end + 1
    }
    this.#hold(chunk.subarray(start))
    return lines
  }

  #finish(piece: Buffer): string {
    if (this.#heldBytes > 0) {
      this.#hold(piece)
      piece = this.#held.subarray(0, this.#heldBytes)
      this.#heldBytes = 0
    }
    this.#measure(piece.length)
    return piece.toString('utf8', 0, piece.length - (piece.at(-1) === carriageReturn ? 1 : 0))
  }

  #hold(piece: Buffer): void {
    const bytes = this.#heldBytes + piece.length
    this.#measure(bytes)
    if (bytes > this.#held.length) {
      const grown = Buffer.alloc(Math.min(Math.max(bytes, 2 * this.#held.length), this.#limitBytes))
      this.#held.copy(grown, 0, 0, this.#heldBytes)
      this.#held = grown
    }
    piece.copy(this.#held, this.#heldBytes)
    this.#heldBytes = bytes
  }

  #measure(bytes: number): void {
    if (bytes <= this.#limitBytes) return
    this.#isBroken = true
    this.#held = Buffer.alloc(0)
    throw lineTooLong(this.#limitBytes)
  }
}

export function lineTooLong(limitBytes: number): ProtocolError {
  return new ProtocolError(
    'PROTOCOL_LINE_TOO_LONG',
    `the peer sent a line of more than ${limitBytes} bytes on the control stream`,
  )
}
