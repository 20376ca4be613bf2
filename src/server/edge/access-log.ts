import type { Logger } from '../../log.ts'
import type { Counters } from './counters.ts'

export interface AccessLogOptions {
  readonly counters: Counters
  readonly log: Logger
  /** Whether the path is logged with its query, which may hold secrets. */
  readonly hasQuery: boolean
}

/** What is known of a request when it arrives. */
export interface Arrival {
  readonly requestId: string
  /** The visitor's. */
  readonly remoteAddress: string
  readonly host: string
  /** The version of HTTP. */
  readonly http?: string
  readonly method?: string
  readonly target?: string
}

/** What became of it. */
export interface Departure {
  readonly status: number
  readonly outcome: Outcome
  /** The code on the error page, if there was one. */
  readonly code?: string | undefined
  readonly bytesIn: number
  readonly bytesOut: number
  /** Who served it: the agent's name for itself, and the session's for the tunnel. */
  readonly agent?: string | undefined
  readonly session?: string | undefined
}

/** `refused`: answered by us. `broken`: the response could not be finished. `aborted`: the visitor left. */
export type Outcome = 'whole' | 'switched' | 'refused' | 'broken' | 'aborted'

/** One line a request, when it is over; and the counts of them. */
export class AccessLog {
  readonly #options: AccessLogOptions

  constructor(options: AccessLogOptions) {
    this.#options = options
  }

  /** Counts and times a request; what it gives ends both, and makes its line. */
  begin(arrival: Arrival): (departure: Departure) => void {
    const { counters } = this.#options
    const startMs = performance.now()
    counters.requests += 1
    counters.openRequests += 1
    return (departure) => {
      counters.openRequests -= 1
      this.#write(arrival, departure, Math.round(performance.now() - startMs))
    }
  }

  /** For what was no request, and has been answered all the same. */
  refused(arrival: Arrival, status: number, code: string): void {
    this.#options.counters.requests += 1
    this.#write(arrival, { status, code, outcome: 'refused', bytesIn: 0, bytesOut: 0 }, 0)
  }

  #write(arrival: Arrival, departure: Departure, durationMs: number): void {
    const { counters, log, hasQuery } = this.#options
    const { remoteAddress, host, http, method, target, requestId } = arrival
    const { status, outcome, code, bytesIn, bytesOut, agent, session } = departure
    if (outcome === 'refused' || outcome === 'broken') counters.failedRequests += 1
    log.info('request', {
      ...{ remoteAddress, method, host, path: pathOf(target, hasQuery), http, status },
      ...{ bytesIn, bytesOut, durationMs, agent, session, requestId, code },
      ...(outcome !== 'whole' && { outcome }),
    })
  }
}

/** A visitor's text, of bounded length. */
const longestPath = 500

function pathOf(target: string | undefined, hasQuery: boolean): string | undefined {
  const shown = hasQuery ? target : target?.split('?', 1)[0]
  return shown?.slice(0, longestPath)
}
