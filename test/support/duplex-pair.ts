import { Duplex, type DuplexOptions } from 'node:stream'

/**
 * Two ends of one pipe, as a pair of connected sockets without the sockets: what is written to one
 * is read from the other. (Node 20 has no `stream.duplexPair`; Node's own lets the other end hang
 * when one is destroyed.)
 *
 * - A write's callback waits until the other end wants more, so a slow reader holds its writer.
 * - `end()` on one is 'end' on the other, which may go on writing.
 * - An end that is destroyed before both its halves finished destroys the other, a tick later, with
 *   an error of code ECONNRESET, whose cause is the first one's error.
 */
export function duplexPair(options: DuplexOptions = {}): [Duplex, Duplex] {
  const a = new PipeEnd(options)
  const b = new PipeEnd(options)
  a.join(b)
  b.join(a)
  return [a, b]
}

type Callback = (error?: Error | null) => void

class PipeEnd extends Duplex {
  #peer: PipeEnd | undefined
  /** Of the peer's write that waits for us to want more. */
  #held: Callback | undefined

  constructor(options: DuplexOptions) {
    super({ ...options, allowHalfOpen: true, decodeStrings: true })
  }

  join(peer: PipeEnd): void {
    this.#peer = peer
  }

  override _read(): void {
    this.#release()
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, callback: Callback): void {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : Buffer.from(chunk)
    if (bytes.length === 0) callback()
    else this.#peer?.receive(bytes, callback)
  }

  override _final(callback: Callback): void {
    this.#peer?.push(null)
    callback()
  }

  override _destroy(error: Error | null, callback: Callback): void {
    const isClean = error === null && this.readableEnded && this.writableFinished
    const peer = this.#peer
    this.#release(error)
    if (!isClean) process.nextTick(() => peer?.destroy(resetBy(error)))
    callback(error)
  }

  /** Takes bytes that are ours to keep: `_write` copied them, as a socket would. */
  receive(bytes: Buffer, callback: Callback): void {
    if (this.destroyed) {
      callback()
      return
    }
    this.#held = callback
    this.push(bytes)
  }

  #release(error?: Error | null): void {
    const callback = this.#held
    this.#held = undefined
    callback?.(error)
  }
}

function resetBy(error: Error | null): Error {
  const options = error === null ? undefined : { cause: error }
  return Object.assign(new Error('the other end of the pair was destroyed', options), {
    code: 'ECONNRESET',
  })
}
