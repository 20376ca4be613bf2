import type { Logger } from '../log.ts'
import type { ClientError } from './errors.ts'
import type { Route } from './forward.ts'

/** One line a route and kind of failure in this time: a visitor can open streams faster than logs should grow. */
const quietMs = 10_000

/** Logs streams that could not be served: the first at once, those that follow as a number. */
export class FailureLog {
  readonly #log: Logger
  readonly #lines = new Map<string, { atMs: number; unsaid: number }>()

  constructor(log: Logger) {
    this.#log = log
  }

  add(error: ClientError, route: Route | undefined, nowMs: number = performance.now()): void {
    const key = `${error.code} ${route?.hostname ?? ''}` // all of them ours, so not many
    const line = this.#lines.get(key)
    if (line !== undefined && nowMs - line.atMs < quietMs) {
      line.unsaid += 1
      return
    }
    this.#lines.set(key, { atMs: nowMs, unsaid: 0 })
    this.#log.warn('a stream was not served', {
      ...(route !== undefined && { hostname: route.hostname, target: route.target.text }),
      code: error.code,
      reason: error.message,
      ...(line !== undefined && line.unsaid > 0 && { alsoSinceLastLine: line.unsaid }),
    })
  }
}
