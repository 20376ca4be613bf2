import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { reset } from '../../net/reset.ts'
import { headText } from './headers.ts'
import type { RequestHead, ResponseHead, Visit } from './visit.ts'

/** How long a visitor may go on sending after it has been answered. */
const patienceMs = 2_000

export interface Http1VisitOptions {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Where the request asks for another protocol: the connection, and what was read of it already. */
  readonly switching?: { readonly socket: TLSSocket; readonly head: Buffer } | undefined
  readonly onDone?: () => void
}

/** A request that node:http has read. */
export class Http1Visit implements Visit {
  readonly body: IncomingMessage
  readonly response: ServerResponse
  readonly #options: Http1VisitOptions
  readonly #bytesBefore: { readonly read: number; readonly written: number }
  onIdle: (() => void) | undefined

  constructor(options: Http1VisitOptions) {
    const { request, response } = options
    this.#options = options
    this.body = request
    this.response = response
    const { bytesRead, bytesWritten } = request.socket
    this.#bytesBefore = { read: bytesRead, written: bytesWritten }
    request.on('error', () => {}) // the visitor left; the response's close says the same
    response.on('error', () => {})
  }

  get head(): RequestHead {
    return this.body as RequestHead // a server's request has a method and a target
  }

  get protocol(): string {
    return this.body.httpVersion
  }

  /** By the header lines, as `complete` is not true yet when they arrive. */
  get hasUpload(): boolean {
    const { headers, complete } = this.body
    if (complete) return false
    return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  }

  get rawTrailers(): readonly string[] {
    return this.body.rawTrailers
  }

  get canSwitch(): boolean {
    return this.#options.switching !== undefined
  }

  /** HTTP/1.0 visitors get no chunks, and so no trailers. */
  get takesTrailers(): boolean {
    return this.response.useChunkedEncodingByDefault
  }

  get hasResponded(): boolean {
    return this.response.headersSent
  }

  get isAnswered(): boolean {
    return this.response.writableFinished
  }

  /** Whether the response has told the visitor that the connection ends with it. */
  get isLast(): boolean {
    return !this.response.shouldKeepAlive
  }

  get status(): number {
    return this.response.headersSent ? this.response.statusCode : 0
  }

  get bytesIn(): number {
    return this.body.socket.bytesRead - this.#bytesBefore.read
  }

  get bytesOut(): number {
    return this.body.socket.bytesWritten - this.#bytesBefore.written
  }

  restartIdle(): void {
    const { socket } = this.body
    socket.setTimeout(socket.timeout ?? 0)
  }

  sendContinue(): void {
    const isAsked = this.body.headers.expect !== undefined && this.body.httpVersion === '1.1'
    if (isAsked && !this.response.headersSent) this.response.writeContinue()
  }

  sendHints(link: string[]): void {
    if (this.body.httpVersion !== '1.1' || this.response.headersSent) return
    try {
      this.response.writeEarlyHints({ link })
    } catch {
      // Node sends none but well-formed links; the response itself is still to come.
    }
  }

  respond({ status, message, lines, isLast }: ResponseHead): void {
    const { response } = this
    if (isLast) response.shouldKeepAlive = false
    // `undefined` would be taken for the message itself.
    response.writeHead(status, message ?? STATUS_CODES[status] ?? '', lines as string[])
  }

  flush(): void {
    if (!this.response.writableEnded) this.response.flushHeaders()
  }

  end(trailers: readonly [string, string][] = []): void {
    const { response } = this
    if (trailers.length > 0) response.addTrailers(trailers)
    if (this.hasUpload) this.#dropRest()
    response.end()
  }

  /**
   * The rest of the request is read for a moment. Closing over unread bytes would reset the connection,
   * and with it what the visitor has not read yet.
   */
  #dropRest(): void {
    const { body: request } = this
    const { socket } = request
    const close = socket.destroySoon.bind(socket)
    const deadline = setTimeout(close, patienceMs)
    socket.destroySoon = () => socket.end() // Node's way to close behind a last response
    socket.once('close', () => clearTimeout(deadline))
    request.once('end', () => {
      clearTimeout(deadline)
      socket.destroySoon = close
      if (this.isLast) close()
    })
    request.unpipe()
    request.resume()
  }

  /** The connection goes with it: HTTP/1.1 has no other way to say so. */
  break(): void {
    reset(this.body.socket, new Error('the response could not be finished'))
    this.response.destroy()
  }

  switch(lines: readonly string[]): Duplex {
    const { switching } = this.#options
    if (switching === undefined) throw new Error('not asked to switch')
    const { socket, head } = switching
    this.response.detachSocket(socket)
    socket.setTimeout(0) // from here on silence is the two ends' own matter
    socket.write(headText('101 Switching Protocols', lines), 'latin1')
    if (head.length > 0) socket.unshift(head)
    return socket
  }

  done(): void {
    this.#options.onDone?.()
  }
}
