import type { RequestNote, Requests } from '../protocol/messages.ts'

/** Often enough for eyes. */
const intervalMs = 500
const mostLatest = 20
const mostCounts = 200

/** What visitors ask for, told to an agent that shows it: seldom, and never more than a line holds. */
export class RequestNews {
  /** False: the agent does not read, and what there is waits. */
  readonly #send: (message: Requests) => boolean
  readonly #counts = new Map<string, number>()
  #latest: RequestNote[] = []
  readonly #changed = new Set<string>()
  #timer: NodeJS.Timeout | undefined

  constructor(send: (message: Requests) => boolean) {
    this.#send = send
  }

  add(note: RequestNote): void {
    const { hostname } = note
    this.#counts.set(hostname, (this.#counts.get(hostname) ?? 0) + 1)
    this.#changed.add(hostname)
    this.#latest.push(note)
    if (this.#latest.length > mostLatest) this.#latest.shift()
    this.#timer ??= setTimeout(() => this.#tell(), intervalMs)
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#changed.clear()
  }

  #tell(): void {
    const names = [...this.#changed].slice(0, mostCounts)
    const counts = new Map(names.map((name) => [name, this.#counts.get(name) ?? 0]))
    if (this.#send({ type: 'requests', latest: this.#latest, counts })) {
      this.#latest = []
      for (const name of names) this.#changed.delete(name)
    }
    this.#timer = this.#changed.size > 0 ? setTimeout(() => this.#tell(), intervalMs) : undefined
  }
}
