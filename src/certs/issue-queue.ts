import { CertificateError } from './errors.ts'

export interface IssueQueueOptions {
  /** How many tasks run at once. */
  readonly atOnce: number
  /** How many more may wait for their turn. */
  readonly maxWaiting: number
}

/** Runs tasks in the order they came, a few at once; a short line of them waits, more are refused. */
export class IssueQueue {
  readonly #options: IssueQueueOptions
  readonly #waiting: { start: () => void; refuse: (error: Error) => void }[] = []
  #running = 0

  constructor(options: IssueQueueOptions) {
    this.#options = options
  }

  /** What the task gives. @throws CertificateError CERT_BUSY at once, when the line is full. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#options.atOnce) {
      if (this.#waiting.length >= this.#options.maxWaiting) {
        const waiting = `${this.#waiting.length} names wait for a certificate already`
        throw new CertificateError('CERT_BUSY', waiting)
      }
      // Whoever ends starts us, and leaves us its place: #running stays as it is.
      await new Promise<void>((start, refuse) => this.#waiting.push({ start, refuse }))
    } else {
      this.#running += 1
    }
    try {
      return await task()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#running -= 1
      else next.start()
    }
  }

  /** Fails the tasks that still wait; the running ones are their owner's matter. */
  refuseWaiting(error: Error): void {
    for (const { refuse } of this.#waiting.splice(0)) refuse(error)
  }
}
