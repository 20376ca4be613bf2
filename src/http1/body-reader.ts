import { malformed, tooLarge } from './errors.ts'
import type { BodyFraming } from './framing.ts'
import type { Grammar } from './grammar.ts'
import { parseFields } from './head.ts'
import { LineReader } from './line-reader.ts'

/** What a body consists of, in order. */
export interface BodyListener {
  /** A slice of what was pushed, never empty, never copied. */
  onBody(piece: Buffer): void
  /** It is complete. The trailers are a flat list. */
  onBodyEnd(rawTrailers: readonly string[]): void
}

/**
 * A message's body out of the bytes that follow its head, across any chunk boundary. To the letter of
 * RFC 9112 §7.1: chunk extensions end here, and a bare CR or LF ends it all.
 */
export class BodyReader {
  readonly #listener: BodyListener
  readonly #trailerLimitBytes: number
  readonly #grammar: Grammar
  #state: 'bytes' | 'size' | 'chunk' | 'chunk-end' | 'trailers' | 'until-close' | 'over'
  /** Of the body, or of the chunk, still to come. */
  #left = 0
  #line: LineReader | undefined
  #extensionBytes = 0
  #trailers = ''

  /** With the framing `none` it is over from the beginning, and nobody is told. */
  constructor(
    framing: BodyFraming,
    listener: BodyListener,
    trailerLimitBytes: number,
    grammar: Grammar,
  ) {
    this.#listener = listener
    this.#grammar = grammar
    this.#trailerLimitBytes = trailerLimitBytes
    this.#state = states[framing.kind]
    if (framing.kind === 'length') this.#left = framing.length
  }

  get isOver(): boolean {
    return this.#state === 'over'
  }

  /**
   * Reads on from a place in the chunk; gives the place behind what belonged to the body.
   * @throws Http1Error HTTP1_MALFORMED, HTTP1_TOO_LARGE
   */
  push(chunk: Buffer, from: number): number {
    let at = from
    while (at < chunk.length && this.#state !== 'over') {
      if (this.#state === 'bytes' || this.#state === 'chunk') at = this.#pushBytes(chunk, at)
      else if (this.#state === 'until-close') at = this.#pass(chunk, at, chunk.length)
      else at = this.#pushLine(chunk, at)
    }
    return at
  }

  /** The connection has ended. Says whether the body is whole. */
  end(): boolean {
    if (this.#state === 'until-close') this.#finish([])
    return this.#state === 'over'
  }

  /** Nothing more is told, not even of what is being pushed. */
  stop(): void {
    this.#state = 'over'
  }

  #pushBytes(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#left)
    this.#left -= end - at
    const isLast = this.#left === 0
    if (isLast && this.#state === 'chunk') this.#state = 'chunk-end'
    this.#pass(chunk, at, end)
    if (isLast && this.#state === 'bytes') this.#finish([])
    return end
  }

  #pass(chunk: Buffer, at: number, end: number): number {
    this.#listener.onBody(at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end))
    return end
  }

  /** The lines between chunks, and those behind them. */
  #pushLine(chunk: Buffer, at: number): number {
    this.#line ??= new LineReader(maxLineBytes)
    const end = this.#line.push(chunk, at)
    if (end === -1) return chunk.length
    const { text } = this.#line
    if (this.#state === 'size') this.#beginChunk(text)
    else if (this.#state === 'chunk-end') this.#endChunk(text)
    else this.#addTrailer(text)
    return end
  }

  #beginChunk(line: string): void {
    const [, digits = ''] = this.#grammar.sizeLine.exec(line) ?? []
    const size = Number.parseInt(digits, 16)
    if (!(size <= Number.MAX_SAFE_INTEGER)) throw malformed('this is no size of a chunk')
    // One byte of a body may not cost us a thousand (CVE-2024-22019).
    this.#extensionBytes += line.length - digits.length
    if (this.#extensionBytes > maxExtensionBytes) {
      throw tooLarge('what stands behind the sizes of chunks', maxExtensionBytes)
    }
    this.#left = size
    this.#state = size === 0 ? 'trailers' : 'chunk'
  }

  #endChunk(line: string): void {
    if (line !== '') throw malformed('a chunk is longer than it said')
    this.#state = 'size'
  }

  #addTrailer(line: string): void {
    if (line === '') {
      this.#finish(parseTrailers(this.#trailers))
      return
    }
    this.#trailers += `${line}\r\n`
    if (this.#trailers.length > this.#trailerLimitBytes) {
      throw tooLarge('the trailers', this.#trailerLimitBytes)
    }
  }

  #finish(rawTrailers: readonly string[]): void {
    this.#state = 'over'
    this.#listener.onBodyEnd(rawTrailers)
  }
}

/** To a reader that joins them with the head they would say where the body ends (RFC 9110 §6.5.1). */
function parseTrailers(text: string): string[] {
  if (/^(?:content-length|transfer-encoding):/im.test(text)) {
    throw malformed('a trailer says how long the body is')
  }
  return parseFields(text, 0)
}

const states = {
  none: 'over',
  length: 'bytes',
  chunked: 'size',
  close: 'until-close',
} as const

const maxLineBytes = 8_192
const maxExtensionBytes = 16_384
