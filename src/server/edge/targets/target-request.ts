import type { Duplex } from 'node:stream'
import type { Route, Visitor } from '../../upstream.ts'

/** What a target is asked. */
export interface TargetHead {
  readonly method: string
  readonly path: string
  /** As for HTTP/1.1, a flat list. */
  readonly lines: readonly string[]
  readonly hasUpload: boolean
}

export interface Destination {
  readonly route: Route
  /** Whose request opens the stream, if one must be opened. */
  readonly visitor: Visitor
}

export interface TargetOptions extends Destination {
  /** Of the answer's header block. */
  readonly headerBytes: number
  /** Over a new stream, and that one for this request alone. */
  readonly isFresh: boolean
  /** Whether it may be repeated where its stream turns out to be closed (RFC 9110 §9.2.2). */
  readonly isRepeatable: boolean
}

/** A request on its way to a target: HTTP/1.1 and HTTP/2 alike. Its listener hears nothing before `start` and after `destroy`. */
export interface TargetRequest {
  start(): void
  /** Of the request's body, after `onReady`. False: better no more before `onTargetDrain`. */
  write(piece: Buffer): boolean
  /** Whether the target is behind with reading. */
  readonly isHeldUp: boolean
  /** Nothing more of the request to come. */
  end(trailers: readonly [string, string][]): void
  /** No more of the answer, but for what is there already, until `resume`. */
  pause(): void
  resume(): void
  /** Given up; also harmless once the answer is complete. */
  destroy(): void
}

export interface TargetListener {
  /** "Go on, send the body." */
  onContinue(): void
  /** Values of Link that the answer will probably have. */
  onHints(links: string[]): void
  /** The request's body may be sent. Not called where the stream failed before that. */
  onReady(): void
  /** The target takes more of the body again. */
  onTargetDrain(): void
  onAnswer(answer: TargetAnswer): void
  /** Of the answer's body. */
  onBody(piece: Buffer): void
  /** The answer has ended, and is whole. */
  onBodyEnd(rawTrailers: readonly string[]): void
  /** It agreed to the protocol that was asked for; the stream is the caller's, with all that came behind the head. */
  onSwitch(answer: AnswerHead, stream: Duplex): void
  /** There will be no answer; or, after one, no more of it. */
  onFailure(error: NodeJS.ErrnoException, what: Repeatability): void
}

/**
 * What is known of a request that failed before any answer. `unheard`: perhaps nobody read it, as the
 * stream had been kept from an earlier one. `unsent`: nobody did.
 */
export type Repeatability = 'final' | 'unheard' | 'unsent'

export interface AnswerHead {
  readonly status: number
  readonly message?: string | undefined
  readonly rawHeaders: readonly string[]
}

export interface TargetAnswer extends AnswerHead {
  /** Nothing follows the head, not even an empty body. */
  readonly isAll: boolean
  readonly mayHaveTrailers: boolean
}
