import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from 'node:http2'
import { valuesOf } from '../headers.ts'
import { fromHttp2, toHttp2 } from '../http2-headers.ts'
import type { Http2Pool, Http2Target, Lease } from './http2-pool.ts'
import type { Repeatability, TargetHead, TargetListener, TargetRequest } from './target-request.ts'

/** A request to a target that speaks HTTP/2. */
export class Http2TargetRequest implements TargetRequest {
  readonly #stream: ClientHttp2Stream
  readonly #listener: TargetListener
  readonly #lease: Lease
  readonly #cancel = new AbortController()
  readonly #isCut: () => boolean
  #hasAnswered = false
  #rawTrailers: readonly string[] = []
  /** The answer is whole. */
  #isOver = false
  #isGivenUp = false
  #trailers: readonly [string, string][] = []

  /** @throws what node:http2 does about a header line that cannot be sent, or why there is no stream. */
  constructor(pool: Http2Pool, head: TargetHead, target: Http2Target, listener: TargetListener) {
    this.#listener = listener
    this.#lease = pool.lease(target)
    const { hasUpload } = head
    const stream = this.#lease.session.request(headersOf(head, target), {
      endStream: !hasUpload,
      waitForTrailers: hasUpload,
      signal: this.#cancel.signal,
    })
    this.#stream = stream
    this.#isCut = cutBefore(stream)
    if (hasUpload) stream.once('wantTrailers', () => this.#sendTrailers())
    stream.once('continue', () => this.#ifWanted(() => listener.onContinue()))
    stream.on('headers', (headers, _flags, ...raw) => this.#inform(headers, linesOf(raw)))
    stream.on('response', (headers, flags, ...raw) =>
      this.#ifWanted(() => this.#receive(headers[':status'] ?? 0, flags, linesOf(raw))),
    )
    stream.on('trailers', (_trailers, _flags, ...raw) => {
      this.#rawTrailers = linesOf(raw)
    })
    stream.on('error', (error) => this.#fail(error))
    stream.once('close', () => this.#fail(new Error('the stream ended without an answer')))
    stream.on('drain', () => this.#ifWanted(() => listener.onTargetDrain()))
    this.#lease.use(stream)
  }

  start(): void {
    const onReady = () => this.#ifWanted(() => this.#listener.onReady())
    if (this.#stream.pending) this.#stream.once('ready', onReady)
    else process.nextTick(onReady)
  }

  write(piece: Buffer): boolean {
    return this.#stream.destroyed || this.#stream.write(piece)
  }

  get isHeldUp(): boolean {
    return this.#stream.writableNeedDrain
  }

  end(trailers: readonly [string, string][]): void {
    this.#trailers = trailers
    this.#stream.end()
  }

  pause(): void {
    this.#stream.pause()
  }

  resume(): void {
    this.#stream.resume()
  }

  /** With CANCEL (RFC 9113 §7). `close` would end the stream first, as if the upload were whole. */
  destroy(): void {
    this.#isGivenUp = true
    this.#cancel.abort()
  }

  #sendTrailers(): void {
    if (!this.#stream.destroyed) this.#stream.sendTrailers(toHttp2(this.#trailers.flat()))
  }

  #inform(headers: IncomingHttpHeaders, lines: readonly string[]): void {
    const isHint = Number(headers[':status']) === 103
    if (isHint) this.#ifWanted(() => this.#listener.onHints(valuesOf(lines, 'link')))
  }

  #receive(status: number, flags: number, rawHeaders: readonly string[]): void {
    const isAll = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0
    const mayHaveTrailers = valuesOf(rawHeaders, 'content-length').length === 0
    this.#hasAnswered = true
    this.#listener.onAnswer({ status, rawHeaders, isAll, mayHaveTrailers })
    this.#stream.on('data', (piece: Buffer) => this.#ifWanted(() => this.#listener.onBody(piece)))
    this.#stream.once('end', () => this.#ended(isAll))
  }

  /** Or it was cut short, which is told at the close. */
  #ended(isAll: boolean): void {
    const isWhole = isAll || !this.#isCut()
    if (!isWhole || this.#stream.rstCode !== constants.NGHTTP2_NO_ERROR || this.#isGivenUp) return
    this.#isOver = true
    this.#listener.onBodyEnd(this.#rawTrailers)
  }

  /** Also called for a stream that is done: then there is nothing to tell. */
  #fail(error: Error): void {
    if (this.#isGivenUp || this.#isOver) return
    this.#isGivenUp = true
    this.#listener.onFailure(this.#lease.error ?? error, this.#repeatability())
  }

  /** RFC 9113 §8.7: a target that refuses a stream, or leaves before it, has not looked at it. */
  #repeatability(): Repeatability {
    if (this.#hasAnswered) return 'final'
    if (this.#stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) return 'unsent'
    return this.#lease.isReused ? 'unheard' : 'final'
  }

  #ifWanted(tell: () => void): void {
    if (!this.#isGivenUp) tell()
  }
}

/** The scheme is that of the target's connection, which some compare; what the visitor used is in X-Forwarded-Proto. */
function headersOf({ method, path, lines }: TargetHead, { protocol }: Http2Target) {
  const { host, ...headers } = toHttp2(lines)
  return {
    ...headers,
    ':method': method,
    ':path': path,
    ':scheme': protocol === 'h2c' ? 'http' : 'https',
    ':authority': String(host ?? ''),
  }
}

/** node:http2 gives the lines as they came behind what its types know of. */
function linesOf([rawHeaders]: readonly unknown[]): readonly string[] {
  return fromHttp2((rawHeaders as readonly string[] | undefined) ?? [])
}

/**
 * Whether a stream was ended by a reset without an error, which node:http2 takes for an end like that
 * of END_STREAM. Only the latter finds the stream still open. (Tried on Node 20 and 24.)
 */
function cutBefore(stream: ClientHttp2Stream): () => boolean {
  let isCut: boolean | undefined
  const push = stream.push.bind(stream)
  stream.push = (chunk, encoding) => {
    if (chunk === null) isCut ??= stream.closed // it may end twice; the first counts
    return push(chunk, encoding)
  }
  return () => isCut ?? false
}
