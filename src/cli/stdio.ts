import { fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import { Duplex, type Readable, type Writable } from 'node:stream'

/** What a program reads and what it writes, as one connection: each half ends by itself. */
export class Stdio extends Duplex {
  readonly #input: Readable
  readonly #output: Writable

  constructor({ input, output }: { input: Readable; output: Writable }) {
    super({ allowHalfOpen: true })
    this.#input = input
    this.#output = output
    input.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) input.pause()
    })
    input.on('end', () => this.push(null))
    for (const stream of [input, output]) stream.on('error', (error) => this.destroy(error))
  }

  /** As if the input were at its end: what still comes is nobody's. */
  endInput(): void {
    this.#input.destroy()
    this.push(null)
  }

  override _read(): void {
    this.#input.resume()
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#output.write(chunk, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#output.end(done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#input.destroy()
    if (error !== null) this.#output.destroy()
    done(error)
  }
}

/** The process's own. */
export function openStdio(): Stdio {
  return new Stdio({ input: process.stdin, output: openOutput() })
}

/**
 * Not `process.stdout` where there is a reader who waits for the end: that one never closes, and ssh
 * and its ProxyCommand would each wait for the other.
 */
function openOutput(): Writable {
  const file = fstatSync(1)
  if (!file.isFIFO() && !file.isSocket()) return process.stdout
  return new Socket({ fd: 1, readable: false, writable: true })
}
