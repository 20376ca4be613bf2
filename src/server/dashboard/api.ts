/** What programs ask for, as JSON. docs/openapi.yaml describes it, and a test holds the two together. */
import { maskedHeaders } from '../telemetry/masked-headers.ts'
import type { RecentRequests } from '../telemetry/recent-requests.ts'
import { historyColumns, sampleIntervalMs, type Telemetry } from '../telemetry/telemetry.ts'
import { type Answer, json, jsonError } from './exchange.ts'
import type { Snapshot } from './source.ts'

export function statusAnswer({ status }: Snapshot): Answer {
  return json(status)
}

export function sessionsAnswer({ status }: Snapshot): Answer {
  return json({ sessions: status.sessions })
}

export function tunnelsAnswer({ tunnels }: Snapshot): Answer {
  return json({ tunnels })
}

export function certificatesAnswer({ status: { certificates, issuance } }: Snapshot): Answer {
  return json({ certificates, issuance })
}

/** The last hour, oldest first, one value an interval. */
export function historyAnswer({ history }: Telemetry): Answer {
  const series = Object.fromEntries(historyColumns.map((name) => [name, history.values(name)]))
  return json({ intervalMs: sampleIntervalMs, lastAtMs: history.lastAtMs, series })
}

/** The newest first. */
export function requestsAnswer(requests: RecentRequests, query: URLSearchParams): Answer {
  const wanted = query.get('limit') ?? '100'
  const limit = /^\d{1,4}$/.test(wanted) ? Number(wanted) : 0
  if (limit < 1 || limit > 1_000) return jsonError(400, `limit=${wanted} is not 1 to 1000`)
  const filter = filterOf(query)
  if (filter === undefined) return jsonError(400, 'status must be such as 404 or 5xx')
  return json({ requests: requests.matching(filter, limit) })
}

export function requestAnswer(requests: RecentRequests, id: string): Answer {
  const record = requests.find(Number(id))
  if (record === undefined) return jsonError(404, 'this request is not, or no longer, remembered')
  const { rawRequestHeaders, rawResponseHeaders, ...summary } = record
  return json({
    ...summary,
    requestHeaders: maskedHeaders(rawRequestHeaders),
    responseHeaders: maskedHeaders(rawResponseHeaders),
  })
}

export function disconnectAnswer(isDone: boolean): Answer {
  return isDone ? json({ disconnected: true }) : jsonError(404, 'there is no session of that id')
}

/** What a query asks for of the requests; undefined where it is none. */
export function filterOf(query: URLSearchParams) {
  const status = query.get('status') || undefined
  if (status !== undefined && !/^[0-5](\d\d|xx)$/i.test(status)) return undefined
  return {
    status,
    host: query.get('host')?.trim().toLowerCase() || undefined,
    text: query.get('text')?.trim() || undefined,
  }
}
