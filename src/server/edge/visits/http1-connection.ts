import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type BodyListener, BodyReader } from '../../../http1/body-reader.ts'
import { malformed } from '../../../http1/errors.ts'
import { requestFraming } from '../../../http1/framing.ts'
import { requestGrammar } from '../../../http1/grammar.ts'
import { parseRequestHead } from '../../../http1/head.ts'
import { HeadReader } from '../../../http1/head-reader.ts'
import { Outbox } from '../../../net/outbox.ts'
import { Http1Visit, type VisitConnection } from './http1-visit.ts'

export interface Http1ConnectionOptions {
  readonly headerBytes: number
  readonly headerMs: number
  readonly idleMs: number
  /** One request, and no more. */
  readonly isSingle: boolean
  readonly keepingLines: string
  /** Serves a request, and calls its `done`. */
  readonly serve: (visit: Http1Visit) => void
  /** What came is no request, or did not come in time. The connection is the caller's to end. */
  readonly onUnreadable: (error: Error | 'timeout') => void
}

/** How long a visitor may go on sending after the last answer has gone. */
const patienceMs = 2_000

/**
 * A visitor's connection with HTTP/1.1: one request at a time (RFC 9112 §9.3.2). What comes early, of
 * the next request or of a body that nobody reads yet, waits, and the visitor with it.
 *
 *     head ──► visit ──its response has gone, and its body is over──► head
 *       │        ├── switched: the socket is another's
 *       └────────┴── over: closing, and what still comes is dropped
 */
export class Http1Connection implements BodyListener, VisitConnection {
  readonly socket: Socket
  readonly outbox: Outbox
  readonly #options: Http1ConnectionOptions
  readonly #heads: HeadReader
  #visit: Http1Visit | undefined
  #body: BodyReader | undefined
  #use: 'held' | 'read' | 'dropped' = 'held'
  #early: Buffer | undefined
  /** The CR of an empty line has come. */
  #hasHalfLine = false
  #isReading = false
  /** The visit wants no more of the body for now. */
  #isHeldUp = false
  #isPaused = false
  #isOver = false
  /** More has come, or may come, than was read. */
  #isUntidy = false
  /** By `performance.now()`: when the head has to be there. */
  #headDueMs: number
  #deadline: NodeJS.Timeout | undefined
  isClosing: boolean

  constructor(socket: Socket, options: Http1ConnectionOptions) {
    this.socket = socket
    this.outbox = new Outbox(socket)
    this.#options = options
    this.isClosing = options.isSingle
    this.#heads = new HeadReader(options.headerBytes, requestGrammar)
    this.#headDueMs = performance.now() + options.headerMs
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('drain', this.#onDrain)
    socket.on('timeout', this.#onIdle)
    socket.once('close', () => this.#onClose())
    socket.setTimeout(options.idleMs)
    socket.resume() // a peek may have left it paused
  }

  /** What a response says of a connection that goes on. */
  get keepingLines(): string {
    return this.#options.keepingLines
  }

  get isBusy(): boolean {
    return this.#visit !== undefined
  }

  /** Is asked once in a while. */
  checkDeadline(nowMs: number): void {
    if (this.isBusy || this.#isOver || nowMs < this.#headDueMs) return
    this.#isOver = true
    this.#options.onUnreadable('timeout')
  }

  /** No request after the one that is being served. */
  drain(): void {
    this.isClosing = true
    if (!this.isBusy) this.#close()
  }

  // ── what arrives ──

  readonly #onData = (chunk: Buffer) => {
    // What follows is no request; to hold it, and pause, would be not to see the visitor leave.
    if (this.#isOver || (this.#isUntidy && this.isBodyOver)) return
    this.#early = this.#early === undefined ? chunk : Buffer.concat([this.#early, chunk])
    this.#read()
  }

  /** As far as what came is wanted. A visit may begin and end within it, and then the next begins. */
  #read(): void {
    if (this.#isReading) return
    this.#isReading = true
    while (this.#early !== undefined && !this.#isOver && this.#wantsMore) {
      const chunk = this.#early
      this.#early = undefined
      const at = this.#take(chunk)
      if (at < chunk.length) this.#early = chunk.subarray(at)
    }
    this.#isReading = false
    if (!this.#isOver) this.#setPaused(this.#early !== undefined || this.#isHeldUp)
  }

  get #wantsMore(): boolean {
    if (this.#visit === undefined) return true
    return this.#body !== undefined && !this.#body.isOver && this.#use !== 'held'
  }

  /** Gives the place behind what was taken of it. */
  #take(chunk: Buffer): number {
    try {
      if (this.#visit === undefined) return this.#readHead(chunk)
      const at = this.#body?.push(chunk, 0) ?? 0
      this.#visit?.count(at)
      return at
    } catch (error) {
      this.#broken(error as Error)
      return chunk.length
    }
  }

  #readHead(chunk: Buffer): number {
    const from = this.#heads.isAmidst ? 0 : this.#skipEmptyLines(chunk)
    if (from === chunk.length) return from
    const at = this.#heads.push(chunk, from)
    if (at === -1) {
      if (this.#headDueMs === Infinity) this.#headDueMs = performance.now() + this.#options.headerMs
      return chunk.length
    }
    const head = parseRequestHead(this.#heads.text)
    const framing = requestFraming(head.rawHeaders, head.httpVersion)
    this.#headDueMs = Infinity
    this.#use = 'held'
    this.#isHeldUp = false
    // What follows a CONNECT is no request.
    this.#isUntidy = framing === undefined || head.method === 'CONNECT'
    const hasBody = framing !== undefined && framing.kind !== 'none'
    this.#body = hasBody
      ? new BodyReader(framing, this, this.#options.headerBytes, requestGrammar)
      : undefined
    this.#visit = new Http1Visit(this, head, { hasUpload: hasBody, isLast: this.#isUntidy })
    this.#options.serve(this.#visit)
    return at
  }

  /** RFC 9112 §2.2: some send one behind a body. Gives the place behind them. */
  #skipEmptyLines(chunk: Buffer): number {
    let at = 0
    if (this.#hasHalfLine && chunk[at++] !== LF) throw malformed('a line ends in a bare CR')
    while (chunk[at] === CR && chunk[at + 1] === LF) at += 2
    this.#hasHalfLine = chunk[at] === CR && at + 1 === chunk.length
    return this.#hasHalfLine ? chunk.length : at
  }

  onBody(piece: Buffer): void {
    if (this.#use === 'read') this.#visit?.handler.onUpload?.(piece)
  }

  onBodyEnd(rawTrailers: readonly string[]): void {
    if (this.#use === 'read') this.#visit?.handler.onUploadEnd?.(rawTrailers)
    else this.#dropped()
  }

  #broken(error: Error): void {
    const visit = this.#visit
    if (visit === undefined) {
      this.#isOver = true
      this.#options.onUnreadable(error)
      return
    }
    this.#body?.stop()
    this.#isUntidy = true
    visit.isLast = true
    if (this.#use === 'read') visit.handler.onUploadBroken?.()
    else this.#dropped()
  }

  // ── what the visit asks ──

  readBody(): void {
    this.#use = 'read'
    this.#read()
  }

  pauseBody(): void {
    this.#isHeldUp = true
    this.#setPaused(true)
  }

  resumeBody(): void {
    this.#isHeldUp = false
    this.#read()
  }

  restartIdle(): void {
    this.socket.setTimeout(this.#options.idleMs)
  }

  get isBodyOver(): boolean {
    return this.#body === undefined || this.#body.isOver
  }

  /**
   * The rest of the request's body is read for a moment. Closing over unread bytes would reset the
   * connection, and with it what the visitor has not read yet.
   */
  dropBody(): void {
    this.#use = 'dropped'
    this.#isHeldUp = false
    this.#deadline = setTimeout(() => this.socket.destroySoon(), patienceMs)
    this.#read()
  }

  #dropped(): void {
    clearTimeout(this.#deadline)
    if (this.#visit?.isDone) this.#next()
  }

  /** The other protocol's, from here on, with what came of it already. */
  handOver(): Duplex {
    const { socket } = this
    this.#isOver = true
    socket.off('data', this.#onData).off('end', this.#onEnd).off('drain', this.#onDrain)
    socket.off('timeout', this.#onIdle).setTimeout(0) // silence is the two ends' own matter now
    socket.pause()
    if (this.#early !== undefined) socket.unshift(this.#early)
    this.#early = undefined
    return socket
  }

  /** Nothing more will be done about the visit. */
  visitDone(): void {
    if (this.#isOver || this.socket.destroyed) return
    if (this.isBodyOver) this.#next()
    else if (this.#visit?.isLast) this.socket.end() // and the visitor will stop, or be stopped
  }

  #next(): void {
    const wasLast = this.#visit?.isLast
    this.#visit = undefined
    this.#isHeldUp = false
    if (wasLast || this.isClosing) this.#close()
    else this.#read()
  }

  // ── ends ──

  /** Behind what was written. Who has sent more than was read gets a moment, as in `dropBody`. */
  #close(): void {
    this.#isOver = true
    if (this.#early === undefined && !this.#isUntidy) {
      this.socket.destroySoon()
      return
    }
    this.#early = undefined
    this.socket.end()
    this.#setPaused(false)
    this.#deadline = setTimeout(() => this.socket.destroy(), patienceMs)
  }

  /** A visitor who has nothing more to say does not wait for answers either: so do they leave. */
  readonly #onEnd = () => {
    if (this.#visit === undefined && this.#heads.isAmidst && !this.#isOver) {
      this.#isOver = true
      this.#options.onUnreadable(new Error('the connection ended in the midst of a head'))
    } else {
      clearTimeout(this.#deadline)
      this.#deadline = setTimeout(() => this.socket.destroy(), patienceMs) // nor may they read
      this.socket.destroySoon()
    }
  }

  readonly #onDrain = () => this.#visit?.handler.onVisitorDrain?.()

  readonly #onIdle = () => {
    if (this.#visit?.handler.onIdle === undefined) this.socket.destroy()
    else this.#visit.handler.onIdle()
  }

  #onClose(): void {
    clearTimeout(this.#deadline)
    this.#isOver = true
    this.#early = undefined
    this.#body?.stop()
    this.#visit?.connectionClosed()
  }

  #setPaused(isPaused: boolean): void {
    if (isPaused === this.#isPaused) return
    this.#isPaused = isPaused
    if (isPaused) this.socket.pause()
    else this.socket.resume()
  }
}

const CR = 0x0d
const LF = 0x0a
