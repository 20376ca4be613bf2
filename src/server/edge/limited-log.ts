import type { LogFields, Logger } from '../../log.ts'

/** Lines in one second, of one kind; those beyond are counted, and told with the next that is written. */
const linesPerSecond = 5

/** One kind of log line that strangers can cause at will. */
export class LimitedLog {
  readonly #write: (fields: LogFields) => void
  #secondMs = Number.NEGATIVE_INFINITY
  #lines = 0
  #left = 0

  constructor(log: Logger, level: 'info' | 'warn', message: string) {
    this.#write = (fields) => log[level](message, fields)
  }

  write(fields: LogFields): void {
    const nowMs = performance.now()
    if (nowMs - this.#secondMs >= 1_000) {
      this.#secondMs = nowMs
      this.#lines = 0
    }
    this.#lines += 1
    if (this.#lines > linesPerSecond) {
      this.#left += 1
      return
    }
    this.#write(this.#left === 0 ? fields : { ...fields, othersNotLogged: this.#left })
    this.#left = 0
  }
}
