import type { SessionStatus } from '../status.ts'
import { RecentRequests, type RequestRecord } from './recent-requests.ts'
import { SessionHistories } from './session-histories.ts'
import { TimeSeries } from './time-series.ts'
import { type Ended, isFault, TotalTraffic } from './traffic.ts'
import { TrafficByName } from './traffic-by-name.ts'

/** How often the gateway is looked at, and for how long that is remembered. */
export const sampleIntervalMs = 5_000
const sampleCount = 720 // an hour
const rttCount = 120 // ten minutes

export const historyColumns = [
  'requestsPerSec',
  'errorsPerSec',
  'bytesInPerSec',
  'bytesOutPerSec',
  'connections',
  'agents',
] as const
export type HistoryColumn = (typeof historyColumns)[number]

/** What can only be looked at. */
export interface Gauges {
  /** Visitors' connections that are open. */
  readonly connections: number
  readonly sessions: readonly SessionStatus[]
}

/** A request that is over. */
export interface RequestReport extends Omit<RequestRecord, 'id'>, Ended {}

/**
 * What the gateway remembers of what it did, all of it bounded. The edge tells what begins and ends;
 * the rest is looked at every few seconds. Nothing is done about it before somebody asks.
 */
export class Telemetry {
  readonly total = new TotalTraffic()
  readonly names = new TrafficByName()
  readonly requests = new RecentRequests()
  readonly history = new TimeSeries(historyColumns, sampleCount)
  readonly sessions = new SessionHistories(rttCount)
  /** Through the tunnels, with the multiplexer's own bytes: from agents, and to them. */
  readonly moved = { in: 0, out: 0 }
  /** Told of each request that is over. */
  onRequest: ((request: Omit<RequestRecord, 'id'>) => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #before = { requests: 0, errors: 0, in: 0, out: 0, atMs: 0 }
  #errors = 0

  /** Begins to look. */
  start(gauges: () => Gauges): void {
    this.#before.atMs = performance.now()
    this.#timer = setInterval(() => this.sample(gauges()), sampleIntervalMs).unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  beginRequest(): void {
    this.total.openRequests += 1
    this.total.requests += 1
  }

  /** Its target was found. */
  routeRequest(name: string): void {
    const traffic = this.names.of(name)
    traffic.openRequests += 1
    traffic.requests += 1
  }

  /** `name`: that of its route, if `routeRequest` was called for it. */
  endRequest(request: RequestReport, name: string | undefined): void {
    const nowMs = performance.now()
    if (request.error !== undefined && isFault(request.error)) this.#errors += 1
    this.total.end(request, nowMs)
    if (name !== undefined) this.names.of(name).end(request, nowMs)
    this.requests.add(request)
    this.onRequest?.(request)
  }

  beginConnection(name: string): void {
    for (const traffic of [this.total, this.names.of(name)]) {
      traffic.openConnections += 1
      traffic.connections += 1
    }
  }

  endConnection(ended: Ended, name: string): void {
    if (ended.error !== undefined && isFault(ended.error)) this.#errors += 1
    for (const traffic of [this.total, this.names.of(name)]) traffic.endConnection(ended)
  }

  /** One row of the history: rates since the last one. */
  sample({ connections, sessions }: Gauges): void {
    const atMs = performance.now()
    const { in: movedIn, out: movedOut } = this.sessions.sample(sessions, atMs)
    this.moved.in += movedIn
    this.moved.out += movedOut
    const now = { requests: this.total.requests, errors: this.#errors, ...this.moved, atMs }
    const { requests, errors, in: before, out, atMs: beforeMs } = this.#before
    const seconds = Math.max(0.001, (atMs - beforeMs) / 1000)
    this.#before = now
    this.history.add(
      {
        requestsPerSec: (now.requests - requests) / seconds,
        errorsPerSec: (now.errors - errors) / seconds,
        bytesInPerSec: (now.in - before) / seconds,
        bytesOutPerSec: (now.out - out) / seconds,
        connections,
        agents: sessions.length,
      },
      Date.now(),
    )
  }
}
