import { type JsonObject, readArray, readInteger, readMap, readObject, readText } from './json.ts'

/**
 * From the gateway, to agents with the capability `request-news`, every now and then: what visitors asked
 * for in http mode. Only to be looked at.
 */
export interface Requests {
  readonly type: 'requests'
  /** The latest, in the order in which they ended; not always all. */
  readonly latest: readonly RequestNote[]
  /** How many there have been in this session, by hostname; of those that have had some since the last time. */
  readonly counts: ReadonlyMap<string, number>
}

export interface RequestNote {
  /** Canonical. */
  readonly hostname: string
  readonly method: string
  /** Without its query. */
  readonly path: string
  /** 0: the visitor left before there was any. */
  readonly status: number
  readonly durationMs: number
}

/** @throws ProtocolError PROTOCOL_BAD_MESSAGE, naming the field that is wrong. */
export function parseRequests(message: JsonObject): Requests {
  const latest = readArray(message.latest, 'requests.latest') ?? []
  return {
    type: 'requests',
    latest: latest.map((value, at) => parseNote(value, `requests.latest[${at}]`)),
    counts: readMap(message.counts, 'requests.counts', readInteger),
  }
}

/** For JSON.stringify. */
export function plainRequests({ type, latest, counts }: Requests): JsonObject {
  return {
    type,
    latest: latest.map(({ durationMs: duration_ms, ...note }) => ({ ...note, duration_ms })),
    counts: Object.fromEntries(counts),
  }
}

function parseNote(value: unknown, field: string): RequestNote {
  const note = readObject(value, field) ?? {}
  return {
    hostname: readText(note.hostname, `${field}.hostname`),
    method: readText(note.method, `${field}.method`),
    path: readText(note.path, `${field}.path`),
    status: readInteger(note.status, `${field}.status`),
    durationMs: readInteger(note.duration_ms, `${field}.duration_ms`),
  }
}
