import type { ClientRequest, IncomingMessage, InformationEvent } from 'node:http'
import type { Duplex } from 'node:stream'
import { responseFraming, valuesOf } from './headers.ts'
import type {
  TargetAnswer,
  TargetHead,
  TargetListener,
  TargetOptions,
  TargetRequest,
} from './target-request.ts'
import type { UpstreamPool } from './upstream-pool.ts'

/** A request to a target that speaks HTTP/1.1. */
export class Http1TargetRequest implements TargetRequest {
  readonly body: ClientRequest
  readonly #listener: TargetListener
  readonly #method: string
  #answer: Http1Answer | undefined
  #isGivenUp = false
  #isSent = false
  #hasHeardBytes = false

  /** @throws what node:http does about a path or a header line that cannot be sent. */
  constructor(
    pool: UpstreamPool,
    head: TargetHead,
    options: TargetOptions,
    listener: TargetListener,
  ) {
    const { method, path, lines: headers } = head
    this.#listener = listener
    this.#method = method
    const { headerBytes: maxHeaderSize } = options
    const request = pool.request({ method, path, headers, maxHeaderSize }, options)
    this.body = request
    request.on('socket', (stream) => this.#begin(stream, head.hasUpload))
    request.once('continue', () => this.#ifWanted(() => listener.onContinue()))
    request.on('information', (info) => this.#inform(info))
    request.on('response', (response) => this.#ifWanted(() => this.#receive(response)))
    request.on('upgrade', (response, stream, rest) => this.#switch(response, stream, rest))
    request.on('error', (error) => this.#ifWanted(() => this.#fail(error)))
  }

  end(trailers: readonly [string, string][]): void {
    if (trailers.length > 0) this.body.addTrailers(trailers)
    this.body.end()
  }

  destroy(): void {
    this.#isGivenUp = true
    this.body.destroy() // does nothing once the pool has the stream back
  }

  #begin(stream: Duplex, hasUpload: boolean): void {
    if (this.#isGivenUp || stream.destroyed) return
    this.#isSent = true
    if (this.body.reusedSocket) stream.once('data', () => (this.#hasHeardBytes = true))
    if (hasUpload) this.body.flushHeaders() // the target may want to refuse before it has all
    this.#listener.onReady()
  }

  #inform({ statusCode, rawHeaders }: InformationEvent): void {
    if (statusCode === 103)
      this.#ifWanted(() => this.#listener.onHints(valuesOf(rawHeaders, 'link')))
  }

  #receive(response: IncomingMessage): void {
    const framing = responseFraming(response, this.#method)
    if (framing === 'unknown') {
      const code = 'HPE_INVALID_TRANSFER_ENCODING' // as the parser says of those it does not know
      const error = new Error('the answer has a transfer coding that we cannot undo')
      this.#listener.onFailure(Object.assign(error, { code }), 'final')
      return
    }
    this.#answer = new Http1Answer(response, framing)
    this.#listener.onAnswer(this.#answer)
  }

  #switch(response: IncomingMessage, stream: Duplex, rest: Buffer): void {
    if (this.#isGivenUp) {
      stream.destroy()
      return
    }
    if (rest.length > 0) stream.unshift(rest)
    const { statusCode: status = 0, rawHeaders } = response
    this.#listener.onSwitch({ status, rawHeaders }, stream)
  }

  #fail(error: Error): void {
    if (this.#answer?.isWhole) return
    const isKept = this.body.reusedSocket && this.#answer === undefined && !this.#hasHeardBytes
    const what = !isKept ? 'final' : this.#isSent ? 'unheard' : 'unsent'
    this.#listener.onFailure(error, what)
  }

  #ifWanted(tell: () => void): void {
    if (!this.#isGivenUp) tell()
  }
}

class Http1Answer implements TargetAnswer {
  readonly isAll = false
  readonly body: IncomingMessage
  readonly status: number
  readonly message: string | undefined
  readonly rawHeaders: readonly string[]
  readonly mayHaveTrailers: boolean
  readonly #isCloseDelimited: boolean

  constructor(response: IncomingMessage, framing: 'none' | 'length' | 'chunked' | 'close') {
    this.body = response
    this.status = response.statusCode ?? 0
    this.message = response.statusMessage
    this.rawHeaders = response.rawHeaders
    this.mayHaveTrailers = framing === 'chunked'
    this.#isCloseDelimited = framing === 'close'
  }

  /** Node takes a lost connection for the end of a body that has no other end. */
  get isWhole(): boolean {
    const { complete, socket } = this.body
    return complete && (!this.#isCloseDelimited || socket.readableEnded)
  }

  get rawTrailers(): readonly string[] {
    return this.body.rawTrailers
  }
}
