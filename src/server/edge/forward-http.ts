import type { ClientRequest, IncomingMessage, InformationEvent } from 'node:http'
import type { Duplex } from 'node:stream'
import { splice } from '../../net/splice.ts'
import type { Route, Visitor } from '../upstream.ts'
import type { Outcome } from './access-log.ts'
import { type EdgeError, edgeErrors, sendError } from './error-page.ts'
import {
  requestHeaders,
  responseFraming,
  responseHeaders,
  trailerPairs,
  valuesOf,
} from './headers.ts'
import { forwardedLines, type Provenance } from './provenance.ts'
import type { CheckedRequest } from './request-guard.ts'
import { watchUpload } from './slow-upload.ts'
import { upstreamErrorOf } from './upstream-error.ts'
import type { UpstreamPool } from './upstream-pool.ts'
import type { Visit } from './visit.ts'

export interface ExchangeOptions {
  readonly visit: Visit
  readonly checked: CheckedRequest
  readonly route: Route
  readonly visitor: Visitor
  readonly from: Provenance
  readonly requestId: string
  /** The port that visitors reach us at. */
  readonly publicPort: number
  readonly headerBytes: number
  /** Bytes a second that an upload must have. */
  readonly minUploadRate: number
  readonly pool: UpstreamPool
  /** Called once, when nothing more happens; with the error that the visitor was shown, if any. */
  readonly onDone: (outcome: Outcome, error?: EdgeError) => void
}

/**
 * One request to an upstream, and its response back. Both stream, each at the pace of its reader.
 *
 *     sending ──response──► answering ──end──► done
 *        │ └──101──► switched ──both ends closed──► done
 *        ├── failed: once more on a fresh stream, or an error page
 *        └── visitor gone at any time: the stream is reset
 *
 * A response that began and cannot be finished is visibly broken (`Visit.break`).
 */
export class HttpExchange {
  readonly #options: ExchangeOptions
  #outgoing: ClientRequest | undefined
  #incoming: IncomingMessage | undefined
  #outcome: Outcome = 'whole'
  #error: EdgeError | undefined
  #isDone = false
  #isFresh: boolean
  #hasHeardBytes = false
  #isCloseDelimited = false
  #earlyHints = 0
  #silences = 0

  constructor(options: ExchangeOptions) {
    this.#options = options
    this.#isFresh = options.visit.canSwitch
  }

  start(): void {
    const { visit } = this.#options
    visit.onIdle = () => this.#idle()
    visit.response.once('close', () => this.#responseClosed())
    this.#send()
  }

  #idle(): void {
    const { visit } = this.#options
    if (this.#incoming === undefined) {
      const isVisitors = visit.hasUpload && !this.#outgoing?.writableNeedDrain
      this.#fail(isVisitors ? edgeErrors.requestTimeout : edgeErrors.targetTimeout)
    } else if (visit.response.writableNeedDrain) {
      this.#break() // the visitor does not read
    } else if (++this.#silences < maxSilences) {
      visit.restartIdle() // a stream of events may be silent
    } else this.#break()
  }

  // ── towards the target ──

  #send(): void {
    const { visit, checked, route, visitor, pool, headerBytes } = this.#options
    const { from, requestId, publicPort } = this.#options
    const { method, rawHeaders } = visit.head
    const headers = requestHeaders(rawHeaders, {
      added: [
        ...forwardedLines(from, checked.hostText, publicPort),
        ...['X-Request-Id', requestId],
      ],
      framing: checked.framing,
      upgrade: visit.canSwitch ? checked.upgrade : undefined,
    })
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
    const { visit, checked, minUploadRate: minRate } = this.#options
    if (!visit.hasUpload) {
      outgoing.end()
      return
    }
    outgoing.flushHeaders() // the target may want to refuse before it has all
    visit.body.pipe(outgoing, { end: false })
    if (checked.framing === 'length') {
      const isHeldUp = () => outgoing.writableNeedDrain
      watchUpload(visit, { minRate, isHeldUp, onSlow: () => this.#fail(edgeErrors.requestTimeout) })
    }
    visit.body.once('end', () => {
      const trailers = trailerPairs(visit.rawTrailers)
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
    const { visit, checked } = this.#options
    const isRepeatable = idempotent.has(visit.head.method) && checked.framing === 'none'
    return isRepeatable && outgoing.reusedSocket && !this.#hasHeardBytes && !this.#isFresh
  }

  // ── towards the visitor ──

  #answer(incoming: IncomingMessage): void {
    if (this.#isOver) return
    const { visit, requestId } = this.#options
    const framing = responseFraming(incoming, visit.head.method)
    this.#incoming = incoming
    this.#isCloseDelimited = framing === 'close'
    const hasTrailers = framing === 'chunked' && visit.takesTrailers
    try {
      if (framing === 'unknown') throw new TypeError('a transfer coding that we cannot undo')
      const lines = responseHeaders(incoming.rawHeaders, { requestId, hasTrailers })
      const { statusCode: status = 0, statusMessage: message } = incoming
      visit.respond({ status, message, lines, hasTrailers })
    } catch {
      this.#fail(edgeErrors.targetBroken)
      return
    }
    incoming.on('error', () => this.#break())
    incoming.once('end', () => this.#finish(incoming, hasTrailers))
    incoming.pipe(visit.response, { end: false })
    // The header goes with the first of the body, if that is there already; else alone, at once.
    process.nextTick(() => {
      if (!incoming.readableDidRead) visit.flush()
    })
  }

  #finish(incoming: IncomingMessage, hasTrailers: boolean): void {
    if (this.#isOver) return
    if (this.#isCloseDelimited && !incoming.socket.readableEnded) {
      this.#break()
      return
    }
    this.#options.visit.end(hasTrailers ? trailerPairs(incoming.rawTrailers) : [])
  }

  #switch(incoming: IncomingMessage, stream: Duplex, head: Buffer): void {
    const { visit, checked, requestId } = this.#options
    if (this.#isOver || !visit.canSwitch) {
      stream.destroy()
      this.#fail(edgeErrors.targetBroken) // a switch that nobody asked for
      return
    }
    this.#outcome = 'switched'
    const upgrade = incoming.headers.upgrade ?? checked.upgrade ?? ''
    if (head.length > 0) stream.unshift(head)
    const visitor = visit.switch(responseHeaders(incoming.rawHeaders, { requestId, upgrade }))
    void splice(visitor, stream).then(() => this.#done())
  }

  #passContinue(): void {
    if (!this.#isOver) this.#options.visit.sendContinue()
  }

  #passEarlyHints(info: InformationEvent): void {
    this.#earlyHints += 1
    if (info.statusCode !== 103 || this.#earlyHints > maxEarlyHints || this.#isOver) return
    this.#options.visit.sendHints(valuesOf(info.rawHeaders, 'link'))
  }

  // ── ends ──

  get #isOver(): boolean {
    return this.#isDone || this.#outcome !== 'whole'
  }

  /** An error page, where the visitor has seen nothing yet. */
  #fail(error: EdgeError): void {
    if (this.#isOver) return
    const { visit } = this.#options
    if (visit.hasResponded) {
      this.#break()
      return
    }
    this.#outcome = 'refused'
    this.#error = error
    visit.body.unpipe()
    this.#outgoing?.destroy()
    sendError(visit, error, this.#options.requestId)
  }

  /** The visitor has part of a response, and gets to know that it is only a part. */
  #break(): void {
    if (this.#isOver) return
    this.#outcome = 'broken'
    this.#outgoing?.destroy()
    this.#options.visit.break()
  }

  #responseClosed(): void {
    if (this.#outcome === 'switched') return
    if (this.#outcome === 'whole' && !this.#options.visit.isAnswered) this.#outcome = 'aborted'
    this.#outgoing?.destroy() // does nothing once the pool has the stream back
    this.#done()
  }

  #done(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#options.onDone(this.#outcome, this.#error)
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
