import type { Duplex } from 'node:stream'

/** A request's first line and header, in HTTP/1.1's form, whatever form it came in. */
export interface RequestHead {
  readonly method: string
  readonly url: string
  readonly httpVersion: string
  /** A flat list, name before value. */
  readonly rawHeaders: readonly string[]
}

export interface ResponseHead {
  readonly status: number
  readonly message?: string | undefined
  /** End-to-end lines, a flat list; how the body is framed is the visit's matter. */
  readonly lines: readonly string[]
  /** Trailers may follow the body. Only where `takesTrailers`. */
  readonly hasTrailers?: boolean
  /** Nothing follows the head; gRPC tells that from a body without bytes. */
  readonly isAll?: boolean
  /** The connection takes no further request. */
  readonly isLast?: boolean
}

/** Who serves a visit, and is told of what happens to it. */
export interface VisitHandler {
  /** Of the request's body, after `readBody`. */
  onUpload?(piece: Buffer): void
  onUploadEnd?(rawTrailers: readonly string[]): void
  /** The body breaks the rules of its own framing: nothing more of it comes. */
  onUploadBroken?(): void
  /** The visitor's connection takes more of the response again. */
  onVisitorDrain?(): void
  /** Not a byte went either way for as long as may be. Without this, the connection is cut. */
  onIdle?(): void
  /** Once, in every case but that of `switch`: the response has gone, or the visitor has (`isAnswered`). */
  onClose?(): void
}

/**
 * One request of a visitor, and the way to answer it: HTTP/1.1 and HTTP/2 alike.
 *
 *     asked ──respond──► answering ──end, and the last byte has gone──► closed
 *       ├── switch ──► a Duplex, for whatever follows
 *       └── the visitor leaves, or `break`, at any time ──► closed
 *
 * Bodies go through it piece by piece and not as streams of Node's: the hot path has two of them a
 * request. (`VisitStream` is for those who like one.)
 */
export interface Visit {
  readonly head: RequestHead
  /** As the access log has it: `1.1` or `2`, say. */
  readonly protocol: string
  /** Whether there is a body to the request. */
  readonly hasUpload: boolean
  /** Whether the request is one that `switch` can answer. */
  readonly canSwitch: boolean
  /** Whether trailers reach the visitor. */
  readonly takesTrailers: boolean
  handler: VisitHandler

  /** Lets the request's body come; until then it is held back. */
  readBody(): void
  /** No more of the body, but for what is there already, until `resumeBody`. */
  pauseBody(): void
  resumeBody(): void

  readonly hasResponded: boolean
  /** Whether nothing can be answered any more. */
  readonly isClosed: boolean
  /** Whether the visitor's connection has taken all of the response. */
  readonly isAnswered: boolean
  /** Whether the visitor is behind with reading. */
  readonly isHeldUp: boolean
  /** That of the response; 0 before there is one. */
  readonly status: number
  /** Of the request's body and of the response, on the visitor's connection. */
  readonly bytesIn: number
  readonly bytesOut: number

  /** Lets the same time pass once more before `onIdle` is called again. */
  restartIdle(): void

  /** "Go on, send the body", to those who asked (`Expect`). */
  sendContinue(): void
  /** Values of Link that the final response will probably have. */
  sendHints(links: string[]): void
  /** @throws TypeError about a line that cannot be sent; another head may be tried then. */
  respond(head: ResponseHead): void
  /** Of the response's body, after `respond`. False: better no more before `onVisitorDrain`. */
  write(piece: Buffer): boolean
  /** Nothing more of the response to come. What is left of the request's body is no longer wanted. */
  end(trailers?: readonly [string, string][]): void
  /** Ends it so that the visitor knows: what it has is not all. */
  break(): void
  /** Agrees to the protocol that was asked for; what speaks it from here on is the caller's. */
  switch(lines: readonly string[]): Duplex
  /** Nothing more will be done about this one. */
  done(): void
}
