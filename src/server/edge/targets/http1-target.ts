import { type BodyListener, BodyReader } from '../../../http1/body-reader.ts'
import { malformed } from '../../../http1/errors.ts'
import { formatHead, formatLastChunk, writeChunk } from '../../../http1/format.ts'
import { isFramedSoundly, responseFraming } from '../../../http1/framing.ts'
import { responseGrammar } from '../../../http1/grammar.ts'
import { type Http1ResponseHead, parseResponseHead } from '../../../http1/head.ts'
import { HeadReader } from '../../../http1/head-reader.ts'
import { isPersistent } from '../../../http1/persistence.ts'
import { valuesOf } from '../headers.ts'
import type { TargetConnection, TargetUser } from './target-connection.ts'
import type {
  Repeatability,
  TargetHead,
  TargetListener,
  TargetOptions,
  TargetRequest,
} from './target-request.ts'
import type { UpstreamPool } from './upstream-pool.ts'

/** A visitor that is a Node program sees no more than 2,000 lines, and a proxy before it may see fewer. */
const mostLines = 1_000
/** Before the answer itself. */
const mostInformational = 1_000

/** A request to a target that speaks HTTP/1.1. */
export class Http1TargetRequest implements TargetRequest, TargetUser, BodyListener {
  readonly #connection: TargetConnection
  readonly #listener: TargetListener
  readonly #method: string
  readonly #headerBytes: number
  readonly #isChunked: boolean
  /** Of the upload, where its length was announced: more would be the next request, less would swallow it. */
  #leftBytes: number
  readonly #heads: HeadReader
  #head: string
  #answer: Http1ResponseHead | undefined
  #body: BodyReader | undefined
  #trailers: readonly string[] | undefined
  #informational = 0
  #hasHeard = false
  #hasEnded = false
  #isOver = false

  /** @throws TypeError about a path or a line that cannot be sent; else why there is no stream. */
  constructor(
    pool: UpstreamPool,
    { method, path, lines, hasUpload }: TargetHead,
    options: TargetOptions,
    listener: TargetListener,
  ) {
    if (!pathForm.test(path)) throw new TypeError('the path cannot be sent')
    // Servers of HTTP/1.0 want to be asked.
    const keeping = valuesOf(lines, 'connection').length === 0 ? 'Connection: keep-alive\r\n' : ''
    this.#head = formatHead(`${method} ${path} HTTP/1.1`, lines, keeping)
    this.#isChunked = hasUpload && valuesOf(lines, 'transfer-encoding').length > 0
    this.#leftBytes = hasUpload ? Number(valuesOf(lines, 'content-length')[0] ?? 0) : 0
    this.#listener = listener
    this.#method = method
    this.#headerBytes = options.headerBytes
    this.#heads = new HeadReader(options.headerBytes, responseGrammar)
    this.#connection = pool.take(options)
    this.#connection.use(this)
  }

  // ── towards the target ──

  start(): void {
    this.#connection.outbox.write(this.#head)
    this.#head = ''
    this.#listener.onReady()
  }

  write(piece: Buffer): boolean {
    const { outbox } = this.#connection
    if (this.#isOver || piece.length === 0) return true
    if (!this.#isChunked) {
      this.#leftBytes -= piece.length
      if (this.#leftBytes >= 0) return outbox.write(piece)
      this.#fail(new Error('the upload is longer than announced'))
      return true
    }
    return writeChunk(outbox, piece)
  }

  get isHeldUp(): boolean {
    return !this.#isOver && this.#connection.isHeldUp
  }

  end(trailers: readonly [string, string][]): void {
    if (this.#isOver) return
    if (!this.#isChunked && this.#leftBytes > 0) {
      this.#fail(new Error('the upload is shorter than announced'))
      return
    }
    this.#hasEnded = true
    const { outbox } = this.#connection
    if (this.#isChunked) outbox.write(formatLastChunk(trailers.flat()))
    outbox.flush()
  }

  pause(): void {
    if (!this.#isOver) this.#connection.pause()
  }

  resume(): void {
    if (!this.#isOver) this.#connection.resume()
  }

  destroy(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#body?.stop()
    this.#connection.destroy()
  }

  onDrain(): void {
    this.#listener.onTargetDrain()
  }

  // ── from the target ──

  onData(chunk: Buffer): void {
    this.#hasHeard = true
    let at = 0
    try {
      while (at < chunk.length && !this.#isOver && this.#trailers === undefined) {
        if (this.#body !== undefined) at = this.#body.push(chunk, at)
        else at = this.#readHead(chunk, at)
      }
    } catch (error) {
      this.#fail(error as Error)
      return
    }
    if (this.#trailers !== undefined && !this.#isOver) this.#complete(at === chunk.length)
  }

  /** Gives the place behind it, or the chunk's end where it is not whole. */
  #readHead(chunk: Buffer, from: number): number {
    const at = this.#heads.push(chunk, from)
    if (at === -1) return chunk.length
    const head = parseResponseHead(this.#heads.text)
    if (head.rawHeaders.length > 2 * mostLines) throw malformed('the head has too many lines')
    if (head.status === 101) return this.#switch(head, chunk, at)
    if (head.status < 200) this.#inform(head)
    else this.#receive(head)
    return at
  }

  #inform({ status, rawHeaders }: Http1ResponseHead): void {
    this.#informational += 1
    if (this.#informational > mostInformational) throw malformed('the answer never comes')
    if (status === 100) this.#listener.onContinue()
    if (status === 103) this.#listener.onHints(valuesOf(rawHeaders, 'link'))
  }

  #receive(head: Http1ResponseHead): void {
    const framing = responseFraming(head, this.#method)
    if (framing === undefined) throw malformed('where the answer ends is ambiguous')
    this.#answer = head
    if (framing.kind === 'none') this.#trailers = []
    else this.#body = new BodyReader(framing, this, this.#headerBytes, responseGrammar)
    const mayHaveTrailers = framing.kind === 'chunked'
    const { status, message, rawHeaders } = head
    this.#listener.onAnswer({ status, message, rawHeaders, isAll: false, mayHaveTrailers })
  }

  #switch(head: Http1ResponseHead, chunk: Buffer, at: number): number {
    if (valuesOf(head.rawHeaders, 'upgrade').length === 0) throw malformed('a switch to nothing')
    this.#isOver = true
    this.#listener.onSwitch(head, this.#connection.handOver(chunk.subarray(at)))
    return chunk.length
  }

  onBody(piece: Buffer): void {
    this.#listener.onBody(piece)
  }

  onBodyEnd(rawTrailers: readonly string[]): void {
    this.#trailers = rawTrailers
  }

  /** The answer is whole. Whatever came behind it belongs to nobody. */
  #complete(isClean: boolean): void {
    this.#isOver = true
    if (!this.#hasEnded) this.#connection.destroy()
    else if (isClean && this.#isKept) this.#connection.keep()
    else this.#connection.close()
    this.#listener.onBodyEnd(this.#trailers ?? [])
  }

  get #isKept(): boolean {
    const answer = this.#answer as Http1ResponseHead
    const { httpVersion, rawHeaders } = answer
    if (!answer.isExact || !isFramedSoundly(answer)) return false
    return isPersistent(httpVersion, valuesOf(rawHeaders, 'connection').join().toLowerCase())
  }

  onEnd(): void {
    if (this.#isOver) return
    if (this.#body?.end()) this.#complete(false)
    else this.#fail(new Error('the target ended the connection without a whole answer'))
  }

  onClose(error: Error | undefined): void {
    this.#fail(error ?? new Error('the stream closed without a whole answer'))
  }

  #fail(error: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#body?.stop()
    this.#connection.destroy()
    this.#listener.onFailure(error, this.#repeatability)
  }

  get #repeatability(): Repeatability {
    const isKept = this.#connection.isReused && !this.#hasHeard
    return isKept ? 'unheard' : 'final'
  }
}

/** What the parser takes in a request line. */
const pathForm = /^[!-~]+$/
