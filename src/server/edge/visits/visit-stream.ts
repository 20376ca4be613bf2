import { Duplex } from 'node:stream'
import { ignoreErrors } from '../../../net/ignore-errors.ts'
import type { Visit, VisitHandler } from './visit.ts'

/**
 * A visit as a stream of Node's: the request's body to read, the response's to write, once it has been
 * responded to. Closes with the visit, and ends it when it is ended. For pages; not for the hot path.
 */
export class VisitStream extends Duplex implements VisitHandler {
  readonly #visit: Visit
  #hasBegun = false
  #onDrained: (() => void) | undefined

  constructor(visit: Visit) {
    super({ autoDestroy: false }) // it closes when the visit does, which is when the last byte has gone
    this.#visit = visit
    visit.handler = this
    ignoreErrors(this) // its close says the same
    if (!visit.hasUpload) this.push(null)
  }

  override _read(): void {
    if (!this.#visit.hasUpload) return
    if (this.#hasBegun) this.#visit.resumeBody()
    else this.#visit.readBody()
    this.#hasBegun = true
  }

  override _write(piece: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    if (this.#visit.write(piece)) callback()
    else this.#onDrained = callback
  }

  override _final(callback: () => void): void {
    this.#visit.end()
    callback()
  }

  onUpload(piece: Buffer): void {
    if (!this.push(piece)) this.#visit.pauseBody()
  }

  onUploadEnd(): void {
    this.push(null)
  }

  onUploadBroken(): void {
    this.#visit.break()
  }

  onVisitorDrain(): void {
    const callback = this.#onDrained
    this.#onDrained = undefined
    callback?.()
  }

  onClose(): void {
    this.destroy()
  }
}
