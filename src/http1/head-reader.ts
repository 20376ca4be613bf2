import { malformed, tooLarge } from './errors.ts'
import type { Grammar } from './grammar.ts'

const emptyLine = Buffer.from('\r\n\r\n')
const CR = 0x0d
const LF = 0x0a

/** Takes the bytes of heads, one after the other; what comes in many pieces is held until it is whole. */
export class HeadReader {
  readonly #limitBytes: number
  readonly #grammar: Grammar
  #held: Buffer | undefined
  #heldBytes = 0
  /** The last head: its lines, each with its end, without the empty one. */
  text = ''

  constructor(limitBytes: number, grammar: Grammar) {
    this.#limitBytes = limitBytes
    this.#grammar = grammar
  }

  /** Whether a head has begun to come, and is not whole. */
  get isAmidst(): boolean {
    return this.#heldBytes > 0
  }

  /**
   * Reads on from a place in the chunk. Where that completes the head, gives the place behind it;
   * else −1, with the rest of the chunk held.
   * @throws Http1Error HTTP1_MALFORMED, HTTP1_TOO_LARGE
   */
  push(chunk: Buffer, at: number): number {
    if (this.#heldBytes > 0) return this.#pushHeld(chunk, at)
    const end = this.#endIn(chunk, at)
    if (end === -1) {
      this.#hold(chunk, at)
      return this.#endOfHeld(0)
    }
    if (end - at > this.#limitBytes) throw tooLarge('a head', this.#limitBytes)
    this.#take(chunk, at, end)
    return end
  }

  #pushHeld(chunk: Buffer, at: number): number {
    const before = this.#heldBytes
    this.#hold(chunk, at)
    const end = this.#endOfHeld(before)
    if (end === -1) return -1
    this.#take(this.#held as Buffer, 0, end)
    this.#held = undefined
    this.#heldBytes = 0
    return at + end - before
  }

  #take(bytes: Buffer, from: number, end: number): void {
    this.text = bytes.toString('latin1', from, bytes[end - 2] === CR ? end - 2 : end - 1)
  }

  /** The place behind the empty line; −1 where there is none. */
  #endIn(bytes: Buffer, from: number): number {
    if (this.#grammar.takesBareLf) return endOfLines(bytes, from)
    const found = bytes.indexOf(emptyLine, from)
    return found === -1 ? -1 : found + 4
  }

  #hold(chunk: Buffer, at: number): void {
    const before = this.#heldBytes
    const bytes = before + chunk.length - at
    if (this.#held === undefined || this.#held.length < bytes) {
      const larger = Buffer.allocUnsafeSlow(Math.max(minHeldBytes, 2 * bytes))
      this.#held?.copy(larger, 0, 0, before)
      this.#held = larger
    }
    chunk.copy(this.#held, before, at)
    this.#heldBytes = bytes
  }

  /**
   * The place behind the empty line, with everything before `before` looked at already. What can become no
   * head is not waited for.
   */
  #endOfHeld(before: number): number {
    const held = (this.#held as Buffer).subarray(0, this.#heldBytes)
    const found = this.#endIn(held, Math.max(0, before - 3))
    const end = found === -1 ? held.length : found
    if (end > this.#limitBytes) throw tooLarge('a head', this.#limitBytes)
    if (!this.#grammar.takesBareLf) refuseBareLf(held, before, end)
    if (before < startBytes && !this.#grammar.mayBegin(held.toString('latin1', 0, startBytes))) {
      throw malformed('this is no head')
    }
    return found
  }
}

/** As for `#endIn`, where lines end in LF, with a CR before it or without. */
function endOfLines(bytes: Buffer, from: number): number {
  for (let lf = bytes.indexOf(LF, from); lf !== -1; lf = bytes.indexOf(LF, lf + 1)) {
    if (bytes[lf + 1] === LF) return lf + 2
    if (bytes[lf + 1] === CR && bytes[lf + 2] === LF) return lf + 3
  }
  return -1
}

/** Some take it for the end of a line. */
function refuseBareLf(bytes: Buffer, from: number, to: number): void {
  for (let lf = bytes.indexOf(LF, from); lf !== -1 && lf < to; lf = bytes.indexOf(LF, lf + 1)) {
    if (bytes[lf - 1] !== CR) throw malformed('a line ends in a bare LF')
  }
}

const minHeldBytes = 512
const startBytes = 32
