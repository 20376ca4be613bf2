import type { ClientRequest, IncomingMessage, InformationEvent, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { reset } from '../../net/reset.ts'
import { splice } from '../../net/splice.ts'
import type { Route, Visitor } from '../upstream.ts'
import { type EdgeError, edgeErrors, sendError } from './error-page.ts'
import {
  headText,
  requestHeaders,
  responseFraming,
  responseHeaders,
  trailerPairs,
  valuesOf,
} from './headers.ts'
import type { CheckedRequest } from './request-guard.ts'
import { endGently, hasUpload } from './upload.ts'
import { upstreamErrorOf } from './upstream-error.ts'
import type { UpstreamPool } from './upstream-pool.ts'
import type { Occupation } from './visitor-connection.ts'

export interface ExchangeOptions {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly checked: CheckedRequest
  readonly route: Route
  readonly visitor: Visitor
  /** The port that visitors reach us at. */
  readonly publicPort: number
  readonly headerBytes: number
  readonly pool: UpstreamPool
  /** Where the request asks for another protocol: the visitor's connection, and what was read of it already. */
  readonly switching?: { readonly socket: TLSSocket; readonly head: Buffer } | undefined
  /** Called once, when nothing more happens; with why, if the visitor did not get a whole response. */
  readonly onDone: (outcome: ExchangeOutcome) => void
}

export type ExchangeOutcome = 'whole' | 'switched' | 'refused' | 'broken' | 'aborted'

/**
 * One request to an upstream, and its response back. Both stream, each at the pace of its reader.
 *
 *     sending ──response──► answering ──end──► done
 *        │ └──101──► switched ──both ends closed──► done
 *        ├── failed: once more on a fresh stream, or an error page
 *        └── visitor gone at any time: the stream is reset
 *
 * A response that began and cannot be finished takes the visitor's connection with it: that is the
 * only way HTTP/1.1 has to say so.
 */
export class HttpExchange implements Occupation {
  readonly #options: ExchangeOptions
  #outgoing: ClientRequest | undefined
  #incoming: IncomingMessage | undefined
  #outcome: ExchangeOutcome = 'whole'
  #isDone = false
  #isFresh: boolean
  #hasHeardBytes = false
  #isCloseDelimited = false
  #earlyHints = 0
  #silences = 0

  constructor(options: ExchangeOptions) {
    this.#options = options
    this.#isFresh = options.switching !== undefined
  }

  start(): void {
    const { request, response } = this.#options
    request.on('error', () => {}) // the visitor left; the response's close says the same
    response.on('error', () => {})
    response.once('close', () => this.#responseClosed())
    this.#send()
  }

  onIdle(): void {
    const { request, response } = this.#options
    if (this.#incoming === undefined) {
      const isVisitors = hasUpload(request) && !this.#outgoing?.writableNeedDrain
      this.#fail(isVisitors ? edgeErrors.requestTimeout : edgeErrors.targetTimeout)
    } else if (response.writableNeedDrain) {
      this.#break() // the visitor does not read
    } else if (++this.#silences < maxSilences) {
      request.socket.setTimeout(request.socket.timeout ?? 0) // a stream of events may be silent
    } else this.#break()
  }

  // ── towards the target ──

  #send(): void {
    const { request, checked, route, visitor, pool, headerBytes, switching } = this.#options
    const forwarded = {
      remoteAddress: visitor.remoteAddress,
      host: checked.hostText,
      port: this.#options.publicPort,
    }
    const upgrade = switching && checked.upgrade
    const headers = requestHeaders(request.rawHeaders, forwarded, checked.framing, upgrade)
    const { method = 'GET' } = request
    const options = { method, path: checked.target, headers, maxHeaderSize: headerBytes }
    let outgoing: ClientRequest
    try {
      outgoing = pool.request(options, { route, visitor }, this.#isFresh)
    } catch {
      this.#fail(edgeErrors.badRequest) // a path or a value that node:http does not send
      return
    }
    this.#outgoing = outgoing
    outgoing.on('socket', (stream) => {
      if (outgoing.reusedSocket) stream.once('data', () => (this.#hasHeardBytes = true))
    })
    outgoing.once('continue', () => this.#passContinue())
    outgoing.on('information', (info) => this.#passEarlyHints(info))
    outgoing.on('response', (incoming) => this.#answer(incoming))
    outgoing.on('error', (error) => this.#upstreamFailed(outgoing, error))
    outgoing.on('upgrade', (incoming, stream, head) => this.#switch(incoming, stream, head))
    this.#upload(outgoing)
  }

  #upload(outgoing: ClientRequest): void {
    const { request } = this.#options
    if (!hasUpload(request)) {
      outgoing.end()
      return
    }
    outgoing.flushHeaders() // the target may want to refuse before it has all
    request.pipe(outgoing, { end: false })
    request.once('end', () => {
      const trailers = trailerPairs(request.rawTrailers)
      if (trailers.length > 0) outgoing.addTrailers(trailers)
      outgoing.end()
    })
  }

  #upstreamFailed(outgoing: ClientRequest, error: NodeJS.ErrnoException): void {
    if (outgoing !== this.#outgoing || this.#isOver) return
    if (this.#incoming !== undefined) {
      // Node takes a lost connection for the end of a body that has no other end.
      if (!this.#incoming.complete || this.#isCloseDelimited) this.#break()
    } else if (this.#mayRetry(outgoing)) {
      this.#isFresh = true
      this.#send()
    } else this.#fail(upstreamErrorOf(error))
  }

  /** A kept stream may have been closed at its other end while our request was on its way (RFC 9112 §9.3.1). */
  #mayRetry(outgoing: ClientRequest): boolean {
    const { request } = this.#options
    const isRepeatable =
      idempotent.has(request.method ?? '') && this.#options.checked.framing === 'none'
    return isRepeatable && outgoing.reusedSocket && !this.#hasHeardBytes && !this.#isFresh
  }

  // ── towards the visitor ──

  #answer(incoming: IncomingMessage): void {
    if (this.#isOver) return
    const { request, response } = this.#options
    const framing = responseFraming(incoming, request.method)
    this.#incoming = incoming
    this.#isCloseDelimited = framing === 'close'
    // HTTP/1.0 visitors get no chunks, and so no trailers.
    const hasTrailers = framing === 'chunked' && response.useChunkedEncodingByDefault
    try {
      if (framing === 'unknown') throw new TypeError('a transfer coding that we cannot undo')
      const headers = responseHeaders(incoming.rawHeaders, { hasTrailers })
      response.writeHead(incoming.statusCode ?? 0, incoming.statusMessage, headers)
    } catch {
      this.#fail(edgeErrors.targetBroken)
      return
    }
    incoming.on('error', () => this.#break())
    incoming.once('end', () => this.#finish(incoming, hasTrailers))
    incoming.pipe(response, { end: false })
    // The header goes with the first of the body, if that is there already; else alone, at once.
    process.nextTick(() => {
      if (!incoming.readableDidRead && !response.writableEnded) response.flushHeaders()
    })
  }

  #finish(incoming: IncomingMessage, hasTrailers: boolean): void {
    if (this.#isOver) return
    if (this.#isCloseDelimited && !incoming.socket.readableEnded) {
      this.#break()
      return
    }
    const { request, response } = this.#options
    if (hasUpload(request)) request.unpipe()
    if (hasTrailers) response.addTrailers(trailerPairs(incoming.rawTrailers))
    endGently(request, response)
  }

  #switch(incoming: IncomingMessage, stream: Duplex, head: Buffer): void {
    const { response, switching, checked } = this.#options
    if (this.#isOver || switching === undefined) {
      stream.destroy()
      this.#fail(edgeErrors.targetBroken) // a switch that nobody asked for
      return
    }
    this.#outcome = 'switched'
    const { socket, head: visitorHead } = switching
    response.detachSocket(socket)
    socket.setTimeout(0) // from here on silence is the two ends' own matter
    const upgrade = incoming.headers.upgrade ?? checked.upgrade ?? ''
    const lines = responseHeaders(incoming.rawHeaders, { upgrade })
    socket.write(headText('101 Switching Protocols', lines), 'latin1')
    if (head.length > 0) stream.unshift(head)
    if (visitorHead.length > 0) socket.unshift(visitorHead)
    void splice(socket, stream).then(() => this.#done())
  }

  #passContinue(): void {
    const { request, response } = this.#options
    const isAsked = request.headers.expect !== undefined && request.httpVersion === '1.1'
    if (isAsked && !response.headersSent && !this.#isOver) response.writeContinue()
  }

  #passEarlyHints(info: InformationEvent): void {
    const { request, response } = this.#options
    this.#earlyHints += 1
    if (info.statusCode !== 103 || this.#earlyHints > maxEarlyHints || this.#isOver) return
    if (request.httpVersion !== '1.1' || response.headersSent) return
    try {
      response.writeEarlyHints({ link: valuesOf(info.rawHeaders, 'link') })
    } catch {
      // Node sends none but well-formed links; the response itself is still to come.
    }
  }

  // ── ends ──

  get #isOver(): boolean {
    return this.#isDone || this.#outcome !== 'whole'
  }

  /** An error page, where the visitor has seen nothing yet. */
  #fail(error: EdgeError): void {
    if (this.#isOver) return
    const { request, response } = this.#options
    if (response.headersSent) {
      this.#break()
      return
    }
    this.#outcome = 'refused'
    request.unpipe()
    this.#outgoing?.destroy()
    // Whether the body comes or not, after a final response in place of the 100, only the visitor knows.
    if (request.headers.expect !== undefined) response.shouldKeepAlive = false
    sendError(request, response, error)
  }

  /** The visitor has part of a response, and gets to know that it is only a part. */
  #break(): void {
    if (this.#isOver) return
    this.#outcome = 'broken'
    this.#outgoing?.destroy()
    const { request, response } = this.#options
    reset(request.socket, new Error('the response could not be finished'))
    response.destroy()
  }

  #responseClosed(): void {
    if (this.#outcome === 'switched') return
    if (this.#outcome === 'whole' && !this.#options.response.writableFinished) {
      this.#outcome = 'aborted'
    }
    this.#outgoing?.destroy() // does nothing once the pool has the stream back
    this.#done()
  }

  #done(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#options.onDone(this.#outcome)
  }
}

/** How often the target may let the idle time of its connection pass in mid-response: an hour of 2 min. */
const maxSilences = 30
const maxEarlyHints = 8

// RFC 9110 §9.2.2
const idempotent: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PUT',
  'DELETE',
])
