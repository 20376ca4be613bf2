import { malformed, tooLarge } from './errors.ts'

const emptyLine = Buffer.from('\r\n\r\n')
const CR = 0x0d
const LF = 0x0a

/** Takes the bytes of heads, one after the other; what comes in many pieces is held until it is whole. */
export class HeadReader {
  readonly #limitBytes: number
  readonly #mayBegin: (start: string) => boolean
  #held: Buffer | undefined
  #heldBytes = 0
  /** The last head: its lines, each with its CRLF, without the empty one. */
  text = ''

  /** `mayBegin` is asked about the first bytes of a head, 32 or fewer. */
  constructor(limitBytes: number, mayBegin: (start: string) => boolean) {
    this.#limitBytes = limitBytes
    this.#mayBegin = mayBegin
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
    const end = chunk.indexOf(emptyLine, at)
    if (end === -1) {
      this.#hold(chunk, at)
      return this.#endOfHeld(0)
    }
    if (end + 4 - at > this.#limitBytes) throw tooLarge('a head', this.#limitBytes)
    this.text = chunk.toString('latin1', at, end + 2)
    return end + 4
  }

  #pushHeld(chunk: Buffer, at: number): number {
    const before = this.#heldBytes
    this.#hold(chunk, at)
    const end = this.#endOfHeld(before)
    if (end === -1) return -1
    this.text = (this.#held as Buffer).toString('latin1', 0, end - 2)
    this.#held = undefined
    this.#heldBytes = 0
    return at + end - before
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
   * head is not waited for: a bare LF, which some take for the end of a line, stands in none.
   */
  #endOfHeld(before: number): number {
    const held = (this.#held as Buffer).subarray(0, this.#heldBytes)
    const found = held.indexOf(emptyLine, Math.max(0, before - 3))
    const end = found === -1 ? held.length : found + 4
    if (end > this.#limitBytes) throw tooLarge('a head', this.#limitBytes)
    for (let lf = held.indexOf(LF, before); lf !== -1 && lf < end; lf = held.indexOf(LF, lf + 1)) {
      if (held[lf - 1] !== CR) throw malformed('a line ends in a bare LF')
    }
    if (before < startBytes && !this.#mayBegin(held.toString('latin1', 0, startBytes))) {
      throw malformed('this is no head')
    }
    return found === -1 ? -1 : end
  }
}

const minHeldBytes = 512
const startBytes = 32
