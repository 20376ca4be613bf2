import { malformed, tooLarge } from './errors.ts'

const LF = 0x0a

/** Takes the bytes of lines that end in CRLF, one after the other. */
export class LineReader {
  readonly #limitBytes: number
  #begun = ''
  /** The last line, without its CRLF. */
  text = ''

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  /**
   * Reads on from a place in the chunk. Where that completes the line, gives the place behind it;
   * else −1, with the rest of the chunk held.
   * @throws Http1Error HTTP1_MALFORMED, HTTP1_TOO_LARGE
   */
  push(chunk: Buffer, at: number): number {
    const lf = chunk.indexOf(LF, at)
    const end = lf === -1 ? chunk.length : lf + 1
    if (this.#begun.length + end - at > this.#limitBytes) throw tooLarge('a line', this.#limitBytes)
    const line = this.#begun + chunk.toString('latin1', at, end)
    this.#begun = lf === -1 ? line : ''
    if (lf === -1) return -1
    if (!line.endsWith('\r\n')) throw malformed('a line ends in a bare LF')
    this.text = line.slice(0, -2)
    return end
  }
}
