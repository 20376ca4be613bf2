import { constants, type ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'
import { ignoreErrors } from '../../../net/ignore-errors.ts'
import { isFull } from '../../../net/write-ahead.ts'
import { requestHead, toHttp2 } from '../http2-headers.ts'
import type { RequestHead, ResponseHead, Visit, VisitHandler } from './visit.ts'

export interface Http2VisitOptions {
  readonly stream: ServerHttp2Stream
  readonly rawHeaders: readonly string[]
  readonly idleMs: number
  readonly onDone: () => void
}

/** A request that node:http2 has read: one stream of a connection. */
export class Http2Visit implements Visit {
  readonly head: RequestHead
  readonly protocol = '2'
  readonly canSwitch: boolean
  readonly takesTrailers = true
  readonly hasUpload: boolean
  handler: VisitHandler = {}
  status = 0
  isClosed = false
  /** Whether the stream was reset by us, not by the visitor. */
  wasBroken = false
  bytesIn = 0
  bytesOut = 0
  readonly #stream: ServerHttp2Stream
  readonly #idleMs: number
  readonly #onDone: () => void
  /** The request's, and the response's. */
  #rawTrailers: readonly string[] = []
  #trailers: readonly [string, string][] = []

  constructor({ stream, rawHeaders, idleMs, onDone }: Http2VisitOptions) {
    this.head = requestHead(rawHeaders, !stream.endAfterHeaders)
    this.canSwitch = rawHeaders.includes(':protocol')
    // What follows an extended CONNECT is no body, but the other protocol.
    this.hasUpload = !this.canSwitch && !stream.endAfterHeaders
    this.#stream = stream
    this.#idleMs = idleMs
    this.#onDone = onDone
    ignoreErrors(stream) // its close says the same
    stream.once('close', this.#onClose)
    stream.on('drain', () => this.handler.onVisitorDrain?.())
    stream.on('trailers', (_trailers, _flags, ...[rawTrailers]: [string[]?]) => {
      this.#rawTrailers = rawTrailers ?? []
    })
    stream.setTimeout(idleMs, () => this.handler.onIdle?.())
  }

  readBody(): void {
    this.#stream.on('data', (piece: Buffer) => {
      this.bytesIn += piece.length
      this.handler.onUpload?.(piece)
    })
    this.#stream.once('end', () => this.handler.onUploadEnd?.(this.#rawTrailers))
  }

  pauseBody(): void {
    this.#stream.pause()
  }

  resumeBody(): void {
    this.#stream.resume()
  }

  get hasResponded(): boolean {
    return this.#stream.headersSent
  }

  get isHeldUp(): boolean {
    return this.#stream.writableLength > 0
  }

  get isAnswered(): boolean {
    const { writableFinished, rstCode } = this.#stream
    return writableFinished && rstCode === constants.NGHTTP2_NO_ERROR
  }

  restartIdle(): void {
    this.#stream.setTimeout(this.#idleMs)
  }

  sendContinue(): void {
    if (this.head.rawHeaders.includes('expect')) this.#inform({ ':status': 100 })
  }

  sendHints(link: string[]): void {
    this.#inform({ ':status': 103, link })
  }

  respond({ status, lines, hasTrailers = false, isAll = false }: ResponseHead): void {
    if (this.#isGone) return
    const headers = toHttp2(lines)
    headers[':status'] = status
    this.status = status
    this.#stream.respond(headers, { waitForTrailers: hasTrailers, endStream: isAll })
    // Whoever promised trailers and has none must say so too.
    if (hasTrailers) this.#stream.once('wantTrailers', () => this.#sendTrailers())
  }

  write(piece: Buffer): boolean {
    if (this.#isGone) return true
    this.bytesOut += piece.length
    this.#stream.write(piece)
    return !isFull(this.#stream)
  }

  /** RFC 9113 §8.1: a reset without an error asks the visitor to stop sending. */
  end(trailers: readonly [string, string][] = []): void {
    this.#trailers = trailers
    this.#stream.end()
    if (!this.#isIncomplete) return
    this.#stream.pause()
    if (this.#stream.writableFinished) this.#stream.close()
    else this.#stream.once('finish', () => this.#stream.close())
  }

  /** By `close` the stream would end first, as if it were whole. */
  break(): void {
    this.wasBroken = true
    this.#stream.destroy(new Error('the response could not be finished'))
  }

  /** RFC 8441 §5: a 2xx, and without what only the HTTP/1.1 handshake needs. */
  switch(lines: readonly string[]): Duplex {
    const { 'sec-websocket-accept': _accept, ...headers } = toHttp2(lines)
    this.#stream.off('close', this.#onClose)
    this.#stream.setTimeout(0) // from here on silence is the two ends' own matter
    this.#count()
    if (!this.#isGone) this.#stream.respond({ ...headers, ':status': 200 })
    return this.#stream
  }

  done(): void {
    this.#onDone()
  }

  readonly #onClose = () => {
    this.isClosed = true
    this.handler.onClose?.()
  }

  get #isIncomplete(): boolean {
    return !this.#stream.endAfterHeaders && !this.#stream.readableEnded
  }

  get #isGone(): boolean {
    return this.#stream.destroyed || this.#stream.closed
  }

  #inform(headers: { ':status': number; link?: string[] }): void {
    if (this.#isGone || this.hasResponded) return
    try {
      this.#stream.additionalHeaders(headers)
    } catch {
      // A value that cannot be sent; the response itself is still to come.
    }
  }

  #sendTrailers(): void {
    if (!this.#isGone) this.#stream.sendTrailers(toHttp2(this.#trailers.flat()))
  }

  /** Http2Stream has no counters of its own. */
  #count(): void {
    const stream = this.#stream
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean
    stream.write = (chunk: Buffer | string, ...rest: unknown[]) => {
      this.bytesOut += Buffer.byteLength(chunk)
      return write(chunk, ...rest)
    }
    // Not before somebody wants to read: listening for data makes it flow.
    stream.once('resume', () => stream.on('data', (chunk) => (this.bytesIn += chunk.length)))
  }
}
