import { MuxError } from './errors.ts'
import { decodeHeader, FrameType, GoAwayCode, HEADER_BYTES, PROTOCOL_VERSION } from './frame.ts'

/** What a decoder tells, in the order of the wire. Called synchronously from `push`. */
export interface FrameHandler {
  /** The header of a Data frame, before any of its payload. */
  dataHeader(streamId: number, flags: number, length: number): void
  /** A piece of the payload announced last: a slice of the chunk pushed, never empty, never copied. */
  dataPayload(piece: Buffer): void
  /** The payload announced last is complete (at once, where it is empty). */
  dataEnd(): void
  windowUpdate(streamId: number, flags: number, credit: number): void
  ping(flags: number, value: number): void
  goAway(code: GoAwayCode): void
}

/**
 * Bytes in, frame events out, across any chunk boundary. Holds at most 11 bytes: an incomplete
 * header. What is distrusted here is the header's form; ids, states and windows are the session's.
 */
export class FrameDecoder {
  readonly #handler: FrameHandler
  readonly #partial = Buffer.alloc(HEADER_BYTES)
  #partialBytes = 0
  /** Payload still to come of the frame we are in. */
  #payloadBytes = 0
  #isStopped = false

  constructor(handler: FrameHandler) {
    this.#handler = handler
  }

  /** @throws MuxError of a protocol code, or what the handler throws; the decoder is of no use then. */
  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length && !this.#isStopped) {
      if (this.#payloadBytes > 0) at = this.#passPayload(chunk, at)
      else if (this.#partialBytes === 0 && chunk.length - at >= HEADER_BYTES) {
        this.#header(chunk, at)
        at += HEADER_BYTES
      } else at = this.#fillPartial(chunk, at)
    }
  }

  /** No event comes after this, not even from the rest of a chunk that is being decoded. */
  stop(): void {
    this.#isStopped = true
  }

  #passPayload(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#payloadBytes)
    this.#payloadBytes -= end - at
    this.#handler.dataPayload(at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end))
    if (this.#payloadBytes === 0 && !this.#isStopped) this.#handler.dataEnd()
    return end
  }

  #fillPartial(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + HEADER_BYTES - this.#partialBytes)
    chunk.copy(this.#partial, this.#partialBytes, at, end)
    this.#partialBytes += end - at
    if (this.#partialBytes === HEADER_BYTES) {
      this.#partialBytes = 0
      this.#header(this.#partial, 0)
    }
    return end
  }

  #header(from: Buffer, at: number): void {
    const { version, type, flags, streamId, length } = decodeHeader(from, at)
    if (version !== PROTOCOL_VERSION) {
      throw new MuxError(
        'MUX_BAD_VERSION',
        `yamux version ${version} instead of ${PROTOCOL_VERSION}`,
      )
    }
    switch (type) {
      case FrameType.Data:
        this.#payloadBytes = length
        this.#handler.dataHeader(streamId, flags, length)
        if (length === 0 && !this.#isStopped) this.#handler.dataEnd()
        return
      case FrameType.WindowUpdate:
        return this.#handler.windowUpdate(streamId, flags, length)
      case FrameType.Ping:
        return this.#handler.ping(flags, length)
      case FrameType.GoAway:
        if (length > GoAwayCode.InternalError) {
          throw new MuxError('MUX_BAD_TYPE', `unknown go-away code ${length}`)
        }
        return this.#handler.goAway(length as GoAwayCode)
      default:
        throw new MuxError('MUX_BAD_TYPE', `unknown frame type ${type}`)
    }
  }
}
