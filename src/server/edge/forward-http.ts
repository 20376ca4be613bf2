import type { Duplex } from 'node:stream'
import { splice } from '../../net/splice.ts'
import type { Route, Visitor } from '../upstream.ts'
import type { Answer, Outcome } from './access-log.ts'
import { type EdgeError, edgeErrors, sendError } from './error-page.ts'
import { requestHeaders, responseHeaders, trailerPairs, valuesOf } from './headers.ts'
import { targetFor } from './paths.ts'
import { forwardedLines, type Provenance } from './provenance.ts'
import type { CheckedRequest } from './request-guard.ts'
import { watchUpload } from './slow-upload.ts'
import type {
  AnswerHead,
  Repeatability,
  TargetAnswer,
  TargetListener,
  TargetRequest,
} from './targets/target-request.ts'
import type { Targets } from './targets/targets.ts'
import { upstreamErrorOf } from './upstream-error.ts'
import type { Visit, VisitHandler } from './visits/visit.ts'

export interface ExchangeOptions {
  readonly visit: Visit
  readonly checked: CheckedRequest
  readonly route: Route
  readonly visitor: Visitor
  readonly from: Provenance
  readonly requestId: string
  /** Who has logged in at the gateway. */
  readonly user: string | undefined
  /** The port that visitors reach us at. */
  readonly publicPort: number
  readonly headerBytes: number
  /** Bytes a second that an upload must have. */
  readonly minUploadRate: number
  /** For the answer to begin, once the target has the whole request; 0: as long as it takes. */
  readonly responseTimeoutMs: number
  readonly targets: Targets
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
export class HttpExchange implements TargetListener, VisitHandler {
  readonly #options: ExchangeOptions
  #request: TargetRequest | undefined
  /** Which ends in trailers, if the target sends any. */
  #hasTrailers = false
  #answered: Answer | undefined
  #outcome: Outcome = 'whole'
  #error: EdgeError | undefined
  #isDone = false
  #isFresh: boolean
  #hasBegunUpload = false
  #hasSentAll = false
  /** The target has the whole request, and we none of its answer. */
  #isAwaiting = false
  #deadline: NodeJS.Timeout | undefined
  #stopWatching: (() => void) | undefined
  #earlyHints = 0
  #silences = 0

  constructor(options: ExchangeOptions) {
    this.#options = options
    this.#isFresh = options.visit.canSwitch
  }

  /** What came from the target, once something did. */
  get answered(): Answer | undefined {
    return this.#answered
  }

  start(): void {
    this.#options.visit.handler = this
    this.#send()
  }

  onIdle(): void {
    const { visit } = this.#options
    if (this.#isOver)
      visit.break() // nor does a page of ours get read
    else if (this.#isAwaiting)
      visit.restartIdle() // that has a time of its own
    else if (this.#answered === undefined) {
      const isVisitors = visit.hasUpload && !this.#request?.isHeldUp
      this.#fail(isVisitors ? edgeErrors.requestTimeout : edgeErrors.targetTimeout)
    } else if (visit.isHeldUp) {
      this.#break() // the visitor does not read
    } else if (++this.#silences < maxSilences) {
      visit.restartIdle() // a stream of events may be silent
    } else this.#break()
  }

  // ── towards the target ──

  #send(): void {
    const { visit, checked, route, visitor, headerBytes } = this.#options
    const { from, requestId, publicPort } = this.#options
    const { method, rawHeaders } = visit.head
    const added = forwardedLines(from, checked.hostText, publicPort)
    added.push('X-Request-Id', requestId)
    this.#addLinesOfRoute(added)
    const lines = requestHeaders(rawHeaders, {
      added,
      framing: checked.framing,
      rules: route.rules,
      upgrade: this.#upgrade,
    })
    const path = targetFor(route, checked.target)
    const head = { method, path, lines, hasUpload: visit.hasUpload }
    const isRepeatable = idempotent.has(method) && !visit.hasUpload
    const destination = { route, visitor, headerBytes, isRepeatable, isFresh: this.#isFresh }
    try {
      this.#request = this.#options.targets.request(head, destination, this)
    } catch (error) {
      const isVisitors = error instanceof TypeError // a path or a value that cannot be sent
      this.#fail(
        isVisitors ? edgeErrors.badRequest : upstreamErrorOf(error as NodeJS.ErrnoException),
      )
      return
    }
    this.#request.start()
  }

  /** The protocol that the target may switch to. */
  get #upgrade(): string | undefined {
    const { visit, route, checked } = this.#options
    return visit.canSwitch && route.protocol === undefined ? checked.upgrade : undefined
  }

  #addLinesOfRoute(lines: string[]): void {
    const { user, route } = this.#options
    if (user !== undefined) lines.push('X-Forwarded-User', user)
    if (route.rules?.stripPrefix && route.path) lines.push('X-Forwarded-Prefix', route.path)
  }

  onReady(): void {
    const { visit, checked, minUploadRate: minRate } = this.#options
    if (this.#isOver) return
    if (!visit.hasUpload) {
      this.#endRequest([])
      return
    }
    this.#hasBegunUpload = true
    if (checked.framing === 'length') {
      const isHeldUp = () => this.#request?.isHeldUp ?? false
      const onSlow = () => this.#fail(edgeErrors.requestTimeout)
      this.#stopWatching = watchUpload(visit, { minRate, isHeldUp, onSlow })
    }
    visit.readBody()
  }

  onUpload(piece: Buffer): void {
    if (this.#isOver || this.#request === undefined) return
    if (!this.#request.write(piece)) this.#options.visit.pauseBody()
  }

  onUploadEnd(rawTrailers: readonly string[]): void {
    this.#stopWatching?.()
    const { requestHeaders: changes } = this.#options.route.rules ?? {}
    this.#endRequest(trailerPairs(rawTrailers, changes))
  }

  onUploadBroken(): void {
    this.#fail(edgeErrors.badRequest)
  }

  onTargetDrain(): void {
    if (!this.#isOver) this.#options.visit.resumeBody()
  }

  #endRequest(trailers: readonly [string, string][]): void {
    if (this.#isOver || this.#request === undefined) return
    this.#hasSentAll = true
    this.#request.end(trailers)
    if (this.#answered !== undefined) return
    this.#isAwaiting = true
    const { responseTimeoutMs: limitMs } = this.#options
    clearTimeout(this.#deadline)
    if (limitMs === 0) return
    this.#deadline = setTimeout(() => this.#fail(edgeErrors.targetTimeout), limitMs)
  }

  onFailure(error: NodeJS.ErrnoException, what: Repeatability): void {
    if (this.#isOver) return
    if (this.#answered !== undefined) this.#break()
    else if (!this.#isFresh && this.#mayRepeat(what)) {
      this.#isFresh = true
      this.#send()
    } else this.#fail(upstreamErrorOf(error))
  }

  /** A kept stream may have been closed at its other end while our request was on its way (RFC 9112 §9.3.1). */
  #mayRepeat(what: Repeatability): boolean {
    if (this.#hasBegunUpload) return false // and what has gone of it is gone
    const isIdempotent = idempotent.has(this.#options.visit.head.method)
    return what === 'unsent' || (what === 'unheard' && isIdempotent)
  }

  // ── towards the visitor ──

  onAnswer({ status, message, rawHeaders, isAll, mayHaveTrailers }: TargetAnswer): void {
    if (this.#isOver) return
    const { visit, requestId, route } = this.#options
    this.#answered = { beganMs: performance.now(), rawHeaders }
    this.#isAwaiting = false
    clearTimeout(this.#deadline)
    const hasTrailers = mayHaveTrailers && !isAll && visit.takesTrailers
    this.#hasTrailers = hasTrailers
    try {
      const { rules } = route
      const lines = responseHeaders(rawHeaders, { status, requestId, hasTrailers, rules })
      visit.respond({ status, message, lines, hasTrailers, isAll })
    } catch {
      this.#fail(edgeErrors.targetBroken)
    }
  }

  onBody(piece: Buffer): void {
    if (!this.#isOver && !this.#options.visit.write(piece)) this.#request?.pause()
  }

  onVisitorDrain(): void {
    this.#request?.resume()
  }

  onBodyEnd(rawTrailers: readonly string[]): void {
    if (this.#isOver) return
    if (!this.#hasSentAll) this.#giveUpUpload()
    const { visit, route } = this.#options
    const { responseHeaders: changes } = route.rules ?? {}
    visit.end(this.#hasTrailers ? trailerPairs(rawTrailers, changes) : [])
  }

  /** The target has answered before its end. In another request's stream the rest would be that request. */
  #giveUpUpload(): void {
    this.#request?.destroy()
    this.#request = undefined
  }

  onSwitch({ status, rawHeaders }: AnswerHead, stream: Duplex): void {
    const { visit, checked, requestId, route } = this.#options
    if (this.#isOver || this.#upgrade === undefined) {
      stream.destroy()
      this.#fail(edgeErrors.targetBroken) // a switch that nobody asked for
      return
    }
    this.#outcome = 'switched'
    this.#answered = { beganMs: performance.now(), rawHeaders }
    clearTimeout(this.#deadline)
    const upgrade = valuesOf(rawHeaders, 'upgrade')[0] ?? checked.upgrade ?? ''
    const visitor = visit.switch(
      responseHeaders(rawHeaders, { status, requestId, upgrade, rules: route.rules }),
    )
    void splice(visitor, stream).then(() => this.#done())
  }

  onContinue(): void {
    if (!this.#isOver) this.#options.visit.sendContinue()
  }

  onHints(links: string[]): void {
    this.#earlyHints += 1
    if (this.#earlyHints <= maxEarlyHints && !this.#isOver) this.#options.visit.sendHints(links)
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
    this.#request?.destroy()
    sendError(visit, error, this.#options.requestId)
  }

  /** The visitor has part of a response, and gets to know that it is only a part. */
  #break(): void {
    if (this.#isOver) return
    this.#outcome = 'broken'
    this.#request?.destroy()
    this.#options.visit.break()
  }

  onClose(): void {
    if (this.#outcome === 'whole' && !this.#options.visit.isAnswered) this.#outcome = 'aborted'
    this.#request?.destroy()
    this.#done()
  }

  #done(): void {
    if (this.#isDone) return
    this.#isDone = true
    clearTimeout(this.#deadline)
    this.#stopWatching?.()
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
