import { Histogram, type LatencyQuantiles, RecentLatency } from './latency.ts'

/** What went through one public name, or through all of them. The hot path only adds to numbers. */
export class Traffic {
  openRequests = 0
  requests = 0
  /** By the first digit of the status; 0: the visitor left before there was any. */
  readonly requestsByClass: StatusClasses = [0, 0, 0, 0, 0, 0]
  /** In tcp and tls mode. */
  openConnections = 0
  connections = 0
  /** What we had to refuse or to break off. */
  failedRequests = 0
  failedConnections = 0
  bytesIn = 0
  bytesOut = 0
  lastError: TrafficError | undefined
  readonly #latency = new RecentLatency()

  /** A request is over that was counted as open. */
  end(request: Ended, nowMs: number): void {
    const statusClass = Math.trunc(request.status / 100)
    this.openRequests -= 1
    this.requestsByClass[statusClass] = (this.requestsByClass[statusClass] ?? 0) + 1
    if (request.error?.isOurs) this.failedRequests += 1
    this.#account(request)
    // A WebSocket may last for hours, and was answered at once.
    if (request.status !== 101) this.#latency.add(request.durationMs, nowMs)
  }

  endConnection(connection: Ended): void {
    this.openConnections -= 1
    if (connection.error?.isOurs) this.failedConnections += 1
    this.#account(connection)
  }

  /** What another one has counted; of the two errors the later one is kept. */
  add(other: Traffic): void {
    this.openRequests += other.openRequests
    this.requests += other.requests
    for (const [index, count] of other.requestsByClass.entries()) {
      this.requestsByClass[index] = (this.requestsByClass[index] ?? 0) + count
    }
    this.openConnections += other.openConnections
    this.connections += other.connections
    this.failedRequests += other.failedRequests
    this.failedConnections += other.failedConnections
    this.bytesIn += other.bytesIn
    this.bytesOut += other.bytesOut
    const { lastError } = other
    if (lastError && lastError.atMs > (this.lastError?.atMs ?? 0)) this.lastError = lastError
  }

  latency(nowMs: number): LatencyQuantiles | undefined {
    return this.#latency.quantiles(nowMs)
  }

  #account({ bytesIn, bytesOut, error }: Ended): void {
    this.bytesIn += bytesIn
    this.bytesOut += bytesOut
    if (error !== undefined) this.lastError = error
  }
}

/** What the edge says of a request or a connection that is over. */
export interface Ended {
  /** Of the response; 0: there was none. */
  readonly status: number
  readonly durationMs: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly error: TrafficError | undefined
}

export interface TrafficError {
  readonly atMs: number
  /** Ours, if we know it; else there is only the target's status. */
  readonly code: string | undefined
  /** 0 where there was no response. */
  readonly status: number
  /** Refused or broken off by us; else the target answered with a 5xx. */
  readonly isOurs: boolean
}

/** Whether something is wrong behind it: visitors ask for what is not there all day. */
export function isFault({ status }: TrafficError): boolean {
  return status < 400 || status >= 500
}

export type StatusClasses = [number, number, number, number, number, number]

/** Of all names together, also what Prometheus wants. */
export class TotalTraffic extends Traffic {
  readonly durations = new Histogram()

  override end(request: Ended, nowMs: number): void {
    super.end(request, nowMs)
    if (request.status !== 101) this.durations.add(request.durationMs)
  }
}
