import type { Duplex, Readable, Writable } from 'node:stream'

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

/**
 * One request of a visitor, and the way to answer it: HTTP/1.1 and HTTP/2 alike.
 *
 *     asked ──respond──► answering ──end, and the last byte has gone──► closed
 *       ├── switch ──► a Duplex, for whatever follows
 *       └── the visitor leaves, or `break`, at any time ──► closed
 *
 * `response` emits 'close' once, in every case but that of `switch`; nobody needs to hear of its errors.
 */
export interface Visit {
  readonly head: RequestHead
  /** As the access log has it: `1.1` or `2`, say. */
  readonly protocol: string
  /** The request's body. */
  readonly body: Readable
  /** Whether there is any of the body still to come. */
  readonly hasUpload: boolean
  /** Those of the request, as they came; known at the end of `body`. */
  readonly rawTrailers: readonly string[]
  /** Whether the request is one that `switch` can answer. */
  readonly canSwitch: boolean
  /** Whether trailers reach the visitor. */
  readonly takesTrailers: boolean

  /** Where the response's body goes, after `respond`. */
  readonly response: Writable
  readonly hasResponded: boolean
  /** Whether the visitor's connection has taken all of the response. */
  readonly isAnswered: boolean
  /** That of the response; 0 before there is one. */
  readonly status: number
  /** On the visitor's connection, since the request began. */
  readonly bytesIn: number
  readonly bytesOut: number

  /** Called when not a byte went either way for as long as may be. */
  onIdle: (() => void) | undefined
  /** Lets the same time pass once more before `onIdle` is called again. */
  restartIdle(): void

  /** "Go on, send the body", to those who asked (`Expect`). */
  sendContinue(): void
  /** Values of Link that the final response will probably have. */
  sendHints(links: string[]): void
  /** @throws about a line that cannot be sent; another head may be tried then. */
  respond(head: ResponseHead): void
  /** Sends the head now, if it still waits for the first byte of the body. */
  flush(): void
  /** Nothing more of the response to come. What is left of the request's body is no longer wanted. */
  end(trailers?: readonly [string, string][]): void
  /** Ends it so that the visitor knows: what it has is not all. */
  break(): void
  /** Agrees to the protocol that was asked for; what speaks it from here on is the caller's. */
  switch(lines: readonly string[]): Duplex
  /** Nothing more will be done about this one. */
  done(): void
}
