import { MuxError } from './errors.ts'
import { INITIAL_WINDOW_BYTES } from './frame.ts'

/**
 * What may still come for streams that are gone, because the peer sent it before it had heard: payload
 * up to what had been granted, and a few frames without any. What goes beyond is a fault of the peer.
 */
export class LateFrames {
  #payloadBytes = INITIAL_WINDOW_BYTES
  #emptyFrames = 0

  /** A stream is gone, and the peer does not know it yet. */
  expect(grantedBytes: number): void {
    this.#payloadBytes += grantedBytes
    this.#emptyFrames += EMPTY_FRAMES_A_STREAM
  }

  /** @throws MuxError MUX_WINDOW_EXCEEDED */
  takePayload(bytes: number): void {
    this.#payloadBytes -= bytes
    if (this.#payloadBytes < 0) {
      throw new MuxError('MUX_WINDOW_EXCEEDED', 'more payload for closed streams than was granted')
    }
  }

  /** A frame without payload. Says whether it could be expected. */
  takeEmpty(): boolean {
    if (this.#emptyFrames === 0) return false
    this.#emptyFrames -= 1
    return true
  }
}

/** An ACK, some credit, and a FIN or RST. */
const EMPTY_FRAMES_A_STREAM = 8
