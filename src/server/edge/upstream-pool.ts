import { Agent, type ClientRequest, type RequestOptions, request } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Route, Visitor } from '../upstream.ts'
import type { TargetOptions } from './target-request.ts'

/** How long an upstream stream waits for the next request; targets commonly close sooner themselves. */
const idleLimitMs = 30_000
const sweepMs = 5_000
/** How long a kept stream is good for what cannot be repeated: few targets close sooner. */
const youngMs = 1_000
/** Streams kept for one route. */
const maxIdle = 256

export interface Destination {
  readonly route: Route
  /** Whose request opens the stream, if one must be opened. */
  readonly visitor: Visitor
}

type PoolOptions = RequestOptions & Destination

type ErrorListener = (error: Error) => void

interface Idle {
  readonly sinceMs: number
  /** Those that were there before Agent attached its own. */
  readonly errorListeners: readonly unknown[]
}

/**
 * HTTP/1.1 requests over upstream streams, which are kept for further requests of the same route.
 *
 * A stream is kept only while nothing comes from it: a byte that no request waits for would be the
 * beginning of the next visitor's response (CVE-2026-48931). It has one 'data' listener of ours as
 * long as it lives; being the only one means that nobody waits.
 */
export class UpstreamPool extends Agent {
  /** Of a route as this tunnel has it: the name held by another agent is another route. */
  readonly #names = new WeakMap<Route, string>()
  readonly #idle = new Map<Duplex, Idle>()
  readonly #routes = new WeakMap<Duplex, Route>()
  readonly #released = new WeakSet<Route>()
  readonly #sweep: NodeJS.Timeout
  #lastName = 0

  constructor() {
    super({ keepAlive: true, maxFreeSockets: maxIdle })
    this.#sweep = setInterval(() => this.#dropStale(), sweepMs).unref()
  }

  /**
   * A request over a kept stream, or a new one. With `isFresh`: over a new one, that is not kept.
   * @throws what node:http does about a path or a header line that cannot be sent.
   */
  request(options: RequestOptions, target: TargetOptions): ClientRequest {
    const { route, visitor } = target
    const pooled: PoolOptions = { ...options, agent: this, route, visitor }
    const isFresh = target.isFresh || (!target.isRepeatable && this.#wouldBeOld(pooled))
    const created = isFresh
      ? request({
          ...options,
          createConnection: (_options, onCreated) => openStream(target, onCreated),
        })
      : request(pooled)
    created.maxHeadersCount = 0 // Node's limit hides header lines instead of refusing them
    return created
  }

  /** Whether Agent would take a kept stream that its target may be about to close: it takes the youngest. */
  #wouldBeOld(options: PoolOptions): boolean {
    const youngest = this.freeSockets[this.getName(options)]?.at(-1)
    const { sinceMs } = (youngest && this.#idle.get(youngest)) ?? {}
    return sinceMs !== undefined && performance.now() - sinceMs > youngMs
  }

  override getName(options?: RequestOptions): string {
    const { route } = options as PoolOptions
    const known = this.#names.get(route)
    if (known !== undefined) return known
    this.#lastName += 1
    const name = `${route.name}#${this.#lastName}`
    this.#names.set(route, name)
    return name
  }

  override createConnection(options: RequestOptions, onCreated: OnCreated): Duplex | undefined {
    const stream = openStream(options as PoolOptions, onCreated)
    if (stream === undefined) return undefined
    this.#routes.set(stream, (options as PoolOptions).route)
    stream.on('data', () => {
      if (stream.listenerCount('data') === 1) stream.destroy()
    })
    stream.on('end', () => {
      if (this.#idle.has(stream)) stream.destroy()
    })
    stream.once('close', () => this.#idle.delete(stream))
    return stream
  }

  /** Agent asks when a response has ended. A Duplex has none of what the original method sets on a socket. */
  override keepSocketAlive(stream: Duplex): boolean {
    const route = this.#routes.get(stream)
    if (route === undefined || this.#released.has(route)) return false
    if (stream.readableEnded || stream.readableLength > 0) return false
    const sinceMs = performance.now()
    this.#idle.set(stream, { sinceMs, errorListeners: stream.listeners('error') })
    stream.resume() // the last response may have left it paused
    return true
  }

  override reuseSocket(stream: Duplex, created: ClientRequest): void {
    // What Agent has attached since; the original method knows it by name, we by its being new.
    const { errorListeners = [] } = this.#idle.get(stream) ?? {}
    for (const listener of stream.listeners('error') as ErrorListener[]) {
      if (!errorListeners.includes(listener)) stream.off('error', listener)
    }
    this.#idle.delete(stream)
    created.reusedSocket = true
    // Agent may hand out a stream in the tick of its end, and then nobody would hear of that.
    if (stream.destroyed) created.destroy(new Error('the kept stream has just ended'))
  }

  /** Lets go of the route's kept streams, and keeps no more: its agent leaves, and waits for them. */
  release(route: Route): void {
    this.#released.add(route)
    for (const stream of this.#idle.keys()) {
      if (this.#routes.get(stream) === route) stream.destroy()
    }
  }

  override destroy(): void {
    clearInterval(this.#sweep)
    super.destroy()
  }

  /** Lets go of the kept streams; those in use go on, and are not kept afterwards. */
  close(): void {
    clearInterval(this.#sweep)
    this.maxFreeSockets = 0
    for (const stream of this.#idle.keys()) stream.destroy()
  }

  #dropStale(): void {
    const oldestMs = performance.now() - idleLimitMs
    for (const [stream, { sinceMs }] of this.#idle) if (sinceMs <= oldestMs) stream.destroy()
  }
}

type OnCreated = (error: Error | null, stream: Duplex) => void

/** A stream, or word that there is none: one that has failed by now has no news for a request that comes later. */
function openStream({ route, visitor }: Destination, onCreated: OnCreated): Duplex | undefined {
  const stream = route.holder.open(route, visitor)
  stream.on('error', () => {}) // the request on it is told; without one, nobody needs to be
  if (!stream.destroyed) return stream
  onCreated(stream.errored ?? new Error('the upstream gave no stream'), stream)
  return undefined
}
