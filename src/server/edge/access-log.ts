import type { Logger } from '../../log.ts'
import type { Telemetry } from '../telemetry/telemetry.ts'
import type { TrafficError } from '../telemetry/traffic.ts'

export interface AccessLogOptions {
  readonly telemetry: Telemetry
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
  readonly rawHeaders?: readonly string[]
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
  /** The public name it was sent to, if there was one: `Telemetry.routeRequest` was called with it. */
  readonly name?: string | undefined
  /** That of the target. */
  readonly answer?: Answer | undefined
}

export interface Answer {
  /** By `performance.now()`. */
  readonly beganMs: number
  readonly rawHeaders: readonly string[]
}

/** `refused`: answered by us. `broken`: the response could not be finished. `aborted`: the visitor left. */
export type Outcome = 'whole' | 'switched' | 'refused' | 'broken' | 'aborted'

/** One line a request, when it is over; and the same for the telemetry. */
export class AccessLog {
  readonly #options: AccessLogOptions

  constructor(options: AccessLogOptions) {
    this.#options = options
  }

  /** Counts and times a request; what it gives ends both, and makes its line. */
  begin(arrival: Arrival): (departure: Departure) => void {
    const startMs = performance.now()
    this.#options.telemetry.beginRequest()
    return (departure) => this.#end(arrival, departure, startMs)
  }

  /** For what was no request, and has been answered all the same. */
  refused(arrival: Arrival, status: number, code: string): void {
    const end = this.begin(arrival)
    end({ status, code, outcome: 'refused', bytesIn: 0, bytesOut: 0 })
  }

  #end(arrival: Arrival, departure: Departure, startMs: number): void {
    const { telemetry, log, hasQuery } = this.#options
    const { remoteAddress, host, http, method, target, requestId, rawHeaders = none } = arrival
    const { status, outcome, code, bytesIn, bytesOut, agent, session, answer } = departure
    const lastingMs = performance.now() - startMs
    const path = pathOf(target, hasQuery)
    const durationMs = Math.round(lastingMs)
    log.info('request', {
      remoteAddress,
      method,
      host,
      path,
      http,
      status,
      bytesIn,
      bytesOut,
      durationMs,
      agent,
      session,
      requestId,
      code,
      outcome: outcome === 'whole' ? undefined : outcome,
    })
    const atMs = Date.now() - lastingMs
    const firstByteMs = answer && answer.beganMs - startMs
    const rawResponseHeaders = answer?.rawHeaders ?? none
    const error = errorOf(departure, atMs)
    telemetry.endRequest(
      {
        requestId,
        atMs,
        remoteAddress,
        host,
        http,
        method,
        path,
        status,
        outcome,
        code,
        durationMs: lastingMs,
        firstByteMs,
        bytesIn,
        bytesOut,
        session,
        rawRequestHeaders: rawHeaders,
        rawResponseHeaders,
        error,
      },
      departure.name,
    )
  }
}

const none: readonly string[] = []

function errorOf({ outcome, status, code }: Departure, atMs: number): TrafficError | undefined {
  const isOurs = outcome === 'refused' || outcome === 'broken'
  return isOurs || status >= 500 ? { atMs, status, code, isOurs } : undefined
}

/** A visitor's text, of bounded length. */
const longestPath = 500

function pathOf(target: string | undefined, hasQuery: boolean): string | undefined {
  const shown = hasQuery ? target : target?.split('?', 1)[0]
  return shown?.slice(0, longestPath)
}
