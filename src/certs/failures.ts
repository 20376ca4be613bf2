import type { FailureKind } from './errors.ts'
import type { StateFile } from './state-file.ts'

export interface Failure {
  readonly kind: FailureKind
  /** How many of the kind there were in a row. */
  readonly count: number
  /** For people. */
  readonly reason: string
  readonly retryAtMs: number
  /** No name is to be tried before. */
  readonly isForAll: boolean
}

export interface NewFailure {
  readonly kind?: FailureKind | undefined
  readonly reason: string
  /** What the issuer asked for: never less than that. */
  readonly retryAfterMs?: number | undefined
  readonly isForAll?: boolean
}

/** When a name whose issuing failed may be tried again. Kept in a file, where there is one. */
export class Failures {
  readonly #file: StateFile | undefined
  readonly #byName = new Map<string, Failure>()
  #pausedUntilMs = 0

  constructor(file?: StateFile) {
    this.#file = file
  }

  /** With what the file has, as far as it makes sense. */
  static async load(file: StateFile, nowMs: number): Promise<Failures> {
    const failures = new Failures(file)
    failures.#restore(await file.read(), nowMs)
    return failures
  }

  /** How long to wait still, 0 when the name may be tried. */
  waitMs(name: string, nowMs: number): number {
    const retryAtMs = this.#byName.get(name)?.retryAtMs ?? 0
    return Math.max(0, retryAtMs - nowMs, this.#pausedUntilMs - nowMs)
  }

  /** The last one, for as long as nothing has succeeded since. */
  of(name: string): Failure | undefined {
    return this.#byName.get(name)
  }

  names(): IterableIterator<string> {
    return this.#byName.keys()
  }

  /** 0, or until when no name is tried. */
  get pausedUntilMs(): number {
    return this.#pausedUntilMs
  }

  /** Notes a failure, and gives the wait until the next try. */
  add(name: string, nowMs: number, failure: NewFailure): number {
    const { kind = 'unreachable', reason, retryAfterMs = 0, isForAll = false } = failure
    const before = this.#byName.get(name)
    const count = before?.kind === kind ? before.count + 1 : 1
    const { firstMs, longestMs } = WAITS[kind]
    const ownMs = Math.min(firstMs * 2 ** (count - 1), longestMs)
    // What the issuer says counts, but a header gone wild does not stop us for ever.
    const waitMs = Math.max(ownMs, Math.min(retryAfterMs, LONGEST_MS))
    this.#byName.delete(name)
    this.#note(name, { kind, count, reason, retryAtMs: nowMs + waitMs, isForAll })
    // The oldest is the most likely to be over. Names come through the gate, so there are few.
    for (const oldest of this.#byName.keys()) {
      if (this.#byName.size <= LIMIT) break
      this.#byName.delete(oldest)
    }
    this.#save()
    return waitMs
  }

  forget(name: string): void {
    if (!this.#byName.delete(name)) return
    const others = [...this.#byName.values()].filter(({ isForAll }) => isForAll)
    this.#pausedUntilMs = Math.max(0, ...others.map(({ retryAtMs }) => retryAtMs))
    this.#save()
  }

  async close(): Promise<void> {
    await this.#file?.close()
  }

  #note(name: string, failure: Failure): void {
    this.#byName.set(name, failure)
    if (failure.isForAll) this.#pausedUntilMs = Math.max(this.#pausedUntilMs, failure.retryAtMs)
  }

  #save(): void {
    this.#file?.write(() => ({
      // A configuration that was refused may have been corrected when the next gateway starts.
      failures: [...this.#byName].flatMap(([name, failure]) =>
        failure.kind === 'account' ? [] : [{ name, ...failure }],
      ),
    }))
  }

  #restore(state: unknown, nowMs: number): void {
    const { failures } = (state ?? {}) as { failures?: unknown }
    if (!Array.isArray(failures)) return
    for (const entry of failures.slice(0, LIMIT)) {
      const { name, kind, count, reason, retryAtMs, isForAll } = Object(entry)
      const isWhole = typeof name === 'string' && typeof reason === 'string'
      if (!isWhole || !Object.hasOwn(WAITS, kind) || !Number.isInteger(count)) continue
      if (!Number.isFinite(retryAtMs) || retryAtMs < nowMs - 24 * HOUR_MS) continue
      // The clock may have been set back meanwhile.
      const soonestMs = Math.min(retryAtMs, nowMs + LONGEST_MS)
      this.#note(name, { kind, count, reason, retryAtMs: soonestMs, isForAll: isForAll === true })
    }
  }
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** Twice as long each time, from the first to the longest. */
const WAITS: Readonly<Record<FailureKind, { firstMs: number; longestMs: number }>> = {
  unreachable: { firstMs: 5_000, longestMs: 5 * MINUTE_MS },
  // Let's Encrypt takes five failures an hour for a name.
  challenge: { firstMs: MINUTE_MS, longestMs: HOUR_MS },
  limited: { firstMs: MINUTE_MS, longestMs: HOUR_MS },
  rejected: { firstMs: 24 * HOUR_MS, longestMs: 24 * HOUR_MS },
  account: { firstMs: MINUTE_MS, longestMs: HOUR_MS },
}
const LONGEST_MS = 7 * 24 * HOUR_MS
const LIMIT = 10_000
