import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { formatHead, formatLastChunk, writeChunk } from '../../../http1/format.ts'
import type { Http1RequestHead } from '../../../http1/head.ts'
import { isPersistent } from '../../../http1/persistence.ts'
import type { Outbox } from '../../../net/outbox.ts'
import { reset } from '../../../net/reset.ts'
import { valuesOf } from '../headers.ts'
import { httpDateLine } from './http-date.ts'
import type { ResponseHead, Visit, VisitHandler } from './visit.ts'

interface Shape {
  readonly hasUpload: boolean
  /** What follows is not known to be a request. */
  readonly isLast: boolean
}

/** What a visit asks of the connection that it came on. */
export interface VisitConnection {
  readonly socket: Socket
  /** Where responses go. */
  readonly outbox: Outbox
  /** Whether it takes no further request. */
  readonly isClosing: boolean
  /** What a response says of a connection that goes on. */
  readonly keepingLines: string
  readonly isBodyOver: boolean
  readBody(): void
  pauseBody(): void
  resumeBody(): void
  restartIdle(): void
  /** What is left of the request's body is not wanted. */
  dropBody(): void
  /** The other protocol's, from here on, with what came of it already. */
  handOver(): Duplex
  /** Nothing more will be done about the visit. */
  visitDone(): void
}

/** A request of an HTTP/1.1 connection. */
export class Http1Visit implements Visit {
  readonly head: Http1RequestHead
  readonly hasUpload: boolean
  readonly canSwitch: boolean
  handler: VisitHandler = {}
  /** Whether the connection ends with it. */
  isLast: boolean
  isDone = false
  status = 0
  bytesIn = 0
  isAnswered = false
  isClosed = false
  readonly #connection: VisitConnection
  readonly #bytesBefore: number
  #framing: Framing = 'none'
  /** Whether it comes after a 100 only; without one, only the visitor knows. */
  #awaitsContinue: boolean
  /** Of the response's body, where its length is known. */
  #leftBytes = 0

  constructor(connection: VisitConnection, head: Http1RequestHead, shape: Shape) {
    this.#connection = connection
    this.#bytesBefore = connection.outbox.bytes
    this.head = head
    this.hasUpload = shape.hasUpload
    const tokens = valuesOf(head.rawHeaders, 'connection').join().toLowerCase()
    this.#awaitsContinue =
      this.hasUpload && this.takesTrailers && valuesOf(head.rawHeaders, 'expect').length > 0
    this.canSwitch = /\bupgrade\b/.test(tokens) && valuesOf(head.rawHeaders, 'upgrade').length > 0
    // Who asks for another protocol may speak it already, without waiting for the answer.
    const isKept = !this.canSwitch && isPersistent(head.httpVersion, tokens)
    this.isLast = shape.isLast || connection.isClosing || !isKept
  }

  get protocol(): string {
    return this.head.httpVersion
  }

  /** HTTP/1.0 visitors get no chunks, and so no trailers. */
  get takesTrailers(): boolean {
    return this.head.httpVersion === '1.1'
  }

  get hasResponded(): boolean {
    return this.status !== 0
  }

  get isHeldUp(): boolean {
    return this.#connection.socket.writableLength > 0 // also where it has been ended
  }

  get bytesOut(): number {
    return this.#connection.outbox.bytes - this.#bytesBefore
  }

  /** So many bytes came of it. */
  count(bytes: number): void {
    this.bytesIn += bytes
  }

  readBody(): void {
    this.#connection.readBody()
  }

  pauseBody(): void {
    this.#connection.pauseBody()
  }

  resumeBody(): void {
    this.#connection.resumeBody()
  }

  restartIdle(): void {
    this.#connection.restartIdle()
  }

  sendContinue(): void {
    if (this.#awaitsContinue) this.#inform('100 Continue', [])
    this.#awaitsContinue = false
  }

  sendHints(links: string[]): void {
    const lines = links.flatMap((link) => ['Link', link])
    if (this.takesTrailers) this.#inform('103 Early Hints', lines)
  }

  #inform(status: string, lines: readonly string[]): void {
    if (!this.hasResponded) this.#connection.outbox.write(formatHead(`HTTP/1.1 ${status}`, lines))
  }

  respond(head: ResponseHead): void {
    const { status, message = STATUS_CODES[status] ?? '', lines } = head
    const length = valuesOf(lines, 'content-length')[0]
    const framing = this.#framingFor(head, length)
    const isLast =
      this.isLast ||
      head.isLast ||
      framing === 'close' ||
      this.#awaitsContinue ||
      this.#connection.isClosing
    const date = valuesOf(lines, 'date').length === 0 ? httpDateLine() : ''
    const ending = isLast ? closingLine : this.#connection.keepingLines
    const more = date + ending + framingLines[framing]
    const text = formatHead(`HTTP/1.1 ${status} ${message}`, lines, more)
    this.status = status
    this.isLast = isLast
    this.#framing = framing
    this.#leftBytes = Number(length ?? 0)
    this.#connection.outbox.write(text)
  }

  #framingFor({ status, isAll }: ResponseHead, length: string | undefined): Framing {
    if (this.head.method === 'HEAD' || status === 204 || status === 304) return 'none'
    if (length !== undefined) return 'length'
    if (isAll) return 'empty'
    return this.takesTrailers ? 'chunked' : 'close'
  }

  write(piece: Buffer): boolean {
    const { outbox } = this.#connection
    switch (this.#framing) {
      case 'chunked':
        return writeChunk(outbox, piece)
      case 'close':
        return outbox.write(piece)
      case 'length':
        this.#leftBytes -= piece.length
        if (this.#leftBytes >= 0) return outbox.write(piece)
        this.break() // more than was promised would be the next response
    }
    return true
  }

  end(trailers: readonly [string, string][] = []): void {
    const { outbox } = this.#connection
    if (this.#framing === 'length' && this.#leftBytes > 0) {
      this.break() // less than was promised
      return
    }
    if (this.#framing === 'chunked') outbox.write(formatLastChunk(trailers.flat()))
    if (!this.#connection.isBodyOver) this.#connection.dropBody()
    outbox.flush((error) => {
      this.isAnswered = !error
      this.#close()
    })
  }

  /** The connection goes with it: HTTP/1.1 has no other way to say so. */
  break(): void {
    this.isLast = true
    reset(this.#connection.socket, new Error('the response could not be finished'))
    this.#close()
  }

  switch(lines: readonly string[]): Duplex {
    if (!this.canSwitch) throw new Error('not asked to switch')
    this.status = 101
    this.#connection.outbox.flush() // a hint may be in it
    const socket = this.#connection.handOver()
    socket.write(formatHead('HTTP/1.1 101 Switching Protocols', lines), 'latin1')
    return socket
  }

  connectionClosed(): void {
    this.#close()
  }

  done(): void {
    this.isDone = true
    this.#connection.visitDone()
  }

  #close(): void {
    if (this.isClosed || this.status === 101) return
    this.isClosed = true
    this.handler.onClose?.()
  }
}

/** How the response's body ends. `empty` says so in a line. */
type Framing = 'none' | 'empty' | 'length' | 'chunked' | 'close'

const framingLines: Readonly<Record<Framing, string>> = {
  none: '',
  empty: 'Content-Length: 0\r\n',
  length: '', // it is among the lines
  chunked: 'Transfer-Encoding: chunked\r\n',
  close: '',
}

const closingLine = 'Connection: close\r\n'
