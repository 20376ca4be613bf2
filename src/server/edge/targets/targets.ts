import type { Route } from '../../upstream.ts'
import { Http1TargetRequest } from './http1-target.ts'
import { Http2Pool } from './http2-pool.ts'
import { Http2TargetRequest } from './http2-target.ts'
import type { TargetHead, TargetListener, TargetOptions, TargetRequest } from './target-request.ts'
import { UpstreamPool } from './upstream-pool.ts'

/** Requests to targets, in whatever they speak; with the streams that are kept for the next. */
export class Targets {
  readonly #http1 = new UpstreamPool()
  readonly #http2 = new Http2Pool()

  /** @throws TypeError about a path or a header line that cannot be sent; else why there is no stream. */
  request(head: TargetHead, options: TargetOptions, listener: TargetListener): TargetRequest {
    const { protocol } = options.route
    return protocol === undefined
      ? new Http1TargetRequest(this.#http1, head, options, listener)
      : new Http2TargetRequest(this.#http2, head, { ...options, protocol }, listener)
  }

  /** Lets go of the route's kept streams, and keeps no more: its agent leaves, and waits for them. */
  release(route: Route): void {
    this.#http1.release(route)
    this.#http2.release(route)
  }

  /** Lets go of the kept streams; those in use go on, and are not kept afterwards. */
  close(): void {
    this.#http1.close()
    this.#http2.close()
  }
}
