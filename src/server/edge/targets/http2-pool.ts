import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2'
import type { Duplex } from 'node:stream'
import { ignoreErrors } from '../../../net/ignore-errors.ts'
import type { TargetProtocol } from '../../../protocol/messages.ts'
import type { Route } from '../../upstream.ts'
import type { TargetOptions } from './target-request.ts'

export interface Http2Target extends TargetOptions {
  /** In clear text, or inside the TLS that the agent makes. */
  readonly protocol: TargetProtocol
}

/** How long a session is kept without a request. */
const idleLimitMs = 30_000
/** Requests at once on one session, where the target allows them: a session is one stream of the tunnel, with its one window. */
const maxRequests = 100
/** What a target may send ahead of who reads it: of one request, and of all in a session. */
const streamWindowBytes = 256 * 1024
const sessionWindowBytes = 1024 * 1024
/** Header lines of an answer; their bytes have a limit as well. */
const maxPairs = 1_000

/** HTTP/2 sessions with targets, each over one upstream stream; requests share them. */
export class Http2Pool {
  readonly #sessions = new Map<Route, Set<Session>>()
  #isClosed = false

  /** A place for one request. @throws why there is no stream for it. */
  lease(target: Http2Target): Lease {
    const { route, isFresh } = target
    const sessions = this.#sessions.get(route) ?? new Set()
    const found = isFresh ? undefined : [...sessions].find((each) => each.hasRoom)
    const session = found ?? new Session(target)
    if (found === undefined) {
      this.#sessions.set(route, sessions.add(session))
      session.http2.once('close', () => {
        sessions.delete(session)
        if (sessions.size === 0) this.#sessions.delete(route)
      })
    }
    if (this.#isClosed) session.isLast = true
    return session.lease()
  }

  /** Lets the route's sessions end with the requests they have. */
  release(route: Route): void {
    for (const { http2 } of this.#sessions.get(route) ?? []) http2.close()
  }

  /** Lets all sessions end like that. */
  close(): void {
    this.#isClosed = true
    for (const route of this.#sessions.keys()) this.release(route)
  }
}

/** A place for one request in a session. */
export interface Lease {
  readonly session: ClientHttp2Session
  /** Whether there were requests before this one. */
  readonly isReused: boolean
  /** What has ended the session, if it failed. */
  readonly error: Error | undefined
  /** Takes the place, until the stream closes. */
  use(stream: ClientHttp2Stream): void
}

class Session {
  readonly http2: ClientHttp2Session
  /** Not to be kept for other requests. */
  isLast = false
  readonly #stream: Duplex
  #requests = 0
  #isUsed = false
  #error: Error | undefined
  #idle: NodeJS.Timeout | undefined

  constructor({ route, visitor, headerBytes }: Http2Target) {
    const stream = route.holder.open(route, visitor)
    ignoreErrors(stream) // the requests on it are told
    if (stream.destroyed) throw stream.errored ?? new Error('the upstream gave no stream')
    this.#stream = stream
    this.http2 = connect('http://target', {
      createConnection: () => stream,
      maxHeaderListPairs: maxPairs,
      settings: {
        enablePush: false,
        initialWindowSize: streamWindowBytes,
        maxHeaderListSize: headerBytes,
      },
    })
    this.http2.once('connect', () => this.http2.setLocalWindowSize(sessionWindowBytes))
    this.http2.on('error', (error: Error) => (this.#error = error))
    this.http2.once('close', () => clearTimeout(this.#idle))
  }

  get hasRoom(): boolean {
    const { closed, destroyed, remoteSettings } = this.http2
    const { maxConcurrentStreams = maxRequests } = remoteSettings ?? {}
    return !closed && !destroyed && this.#requests < Math.min(maxRequests, maxConcurrentStreams)
  }

  lease(): Lease {
    const isReused = this.#isUsed
    this.#isUsed = true
    const errorOf = () => this.#stream.errored ?? this.#error
    return {
      session: this.http2,
      isReused,
      get error() {
        return errorOf()
      },
      use: (stream) => this.#use(stream),
    }
  }

  #use(stream: ClientHttp2Stream): void {
    clearTimeout(this.#idle)
    this.#requests += 1
    stream.once('close', () => {
      this.#requests -= 1
      if (this.#requests === 0) this.#rest()
    })
  }

  #rest(): void {
    if (this.http2.closed) return
    if (this.isLast) this.http2.close()
    else this.#idle = setTimeout(() => this.http2.close(), idleLimitMs).unref()
  }
}
