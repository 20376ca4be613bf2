/** A request that is over, as the access log has it. */
export interface RequestSummary {
  /** Counts up from 1. */
  readonly id: number
  readonly requestId: string
  /** Unix time of its beginning. */
  readonly atMs: number
  readonly remoteAddress: string
  readonly host: string
  readonly http: string | undefined
  readonly method: string | undefined
  /** Without its query, unless the access log has that too. */
  readonly path: string | undefined
  /** 0: the visitor left before there was any. */
  readonly status: number
  readonly outcome: string
  readonly code: string | undefined
  readonly durationMs: number
  /** From the beginning until the target's answer began. */
  readonly firstByteMs: number | undefined
  readonly bytesIn: number
  readonly bytesOut: number
  readonly session: string | undefined
}

export interface RequestRecord extends RequestSummary {
  /** As they came, name before value: not to be shown before secrets are masked. */
  readonly rawRequestHeaders: readonly string[]
  readonly rawResponseHeaders: readonly string[]
}

export interface RequestFilter {
  readonly host?: string | undefined
  /** `404`, or a class of them: `5xx`. */
  readonly status?: string | undefined
  /** Part of the path, the visitor's address, the method, an id or a code; letters in any case. */
  readonly text?: string | undefined
}

/** The last requests, in a ring: at most `limit`, and of each at most so much header. */
export class RecentRequests {
  readonly #ring: RequestSummary[] = []
  readonly #requestHeaders: string[] = []
  readonly #responseHeaders: string[] = []
  readonly #limit: number
  #lastId = 0

  constructor(limit = 1_000) {
    this.#limit = limit
  }

  /** Field by field: every request comes here, and spreading takes several times as long. */
  add(record: Omit<RequestRecord, 'id'>): void {
    this.#lastId += 1
    const place = this.#lastId % this.#limit
    this.#requestHeaders[place] = packed(record.rawRequestHeaders)
    this.#responseHeaders[place] = packed(record.rawResponseHeaders)
    this.#ring[place] = {
      id: this.#lastId,
      requestId: record.requestId,
      atMs: record.atMs,
      remoteAddress: record.remoteAddress,
      host: record.host,
      http: record.http,
      method: record.method,
      path: record.path,
      status: record.status,
      outcome: record.outcome,
      code: record.code,
      durationMs: record.durationMs,
      firstByteMs: record.firstByteMs,
      bytesIn: record.bytesIn,
      bytesOut: record.bytesOut,
      session: record.session,
    }
  }

  /** Of the one added last; 0: none was. */
  get lastId(): number {
    return this.#lastId
  }

  find(id: number): RequestRecord | undefined {
    const place = id % this.#limit
    const summary = this.#ring[place]
    if (summary?.id !== id) return undefined
    const rawRequestHeaders = unpacked(this.#requestHeaders[place])
    const rawResponseHeaders = unpacked(this.#responseHeaders[place])
    return { ...summary, rawRequestHeaders, rawResponseHeaders }
  }

  /** The newest first. */
  *[Symbol.iterator](): Generator<RequestSummary> {
    const oldest = Math.max(1, this.#lastId - this.#limit + 1)
    for (let id = this.#lastId; id >= oldest; id -= 1) {
      yield this.#ring[id % this.#limit] as RequestSummary
    }
  }

  /** The newest first, `limit` at most. */
  matching(filter: RequestFilter, limit: number): RequestSummary[] {
    const found: RequestSummary[] = []
    for (const record of this) {
      if (found.length >= limit) break
      if (matches(record, filter)) found.push(record)
    }
    return found
  }
}

/** Of one request, names and values together. */
const longestHeader = 4_096

/**
 * Header lines as one text, which costs the collector of garbage a fraction of what many short ones do; and
 * parts of a head would keep all of it alive. No name or value has a line's end in it.
 */
function packed(lines: readonly string[]): string {
  return bounded(lines).join('\n')
}

function unpacked(text = ''): string[] {
  return text === '' ? [] : text.split('\n')
}

/** Usually all of it, and then no copy. */
function bounded(lines: readonly string[]): readonly string[] {
  let length = 0
  for (let index = 0; index < lines.length; index += 1) {
    length += (lines[index] as string).length
    if (length > longestHeader) return lines.slice(0, index - (index % 2))
  }
  return lines
}

function matches(record: RequestSummary, { host, status, text }: RequestFilter): boolean {
  if (host && record.host !== host) return false
  if (status && !matchesStatus(record.status, status)) return false
  if (!text) return true
  const { path, remoteAddress, method, requestId, code, host: name, session } = record
  const wanted = text.toLowerCase()
  return [path, remoteAddress, method, requestId, code, name, session].some((value) =>
    value?.toLowerCase().includes(wanted),
  )
}

function matchesStatus(status: number, wanted: string): boolean {
  if (/^[0-5]xx$/i.test(wanted)) return Math.trunc(status / 100) === Number(wanted[0])
  return String(status) === wanted
}
