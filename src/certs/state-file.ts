import { dirname } from 'node:path'
import type { Logger } from '../log.ts'
import { makePrivateDirectory, readPrivateFile, writePrivateFile } from './private-file.ts'

/**
 * A small JSON file that follows a state in memory: written behind it, the latest state each time. A
 * disk that is full or read-only costs the memory over restarts, and a log line.
 */
export class StateFile {
  readonly #path: string
  readonly #log: Logger
  #latest: (() => unknown) | undefined
  #writing: Promise<void> | undefined

  constructor({ path, log }: { path: string; log: Logger }) {
    this.#path = path
    this.#log = log
  }

  /** What was written last; undefined where there is nothing, or nothing that can be read. */
  async read(): Promise<unknown> {
    try {
      const text = await readPrivateFile(this.#path)
      return text === undefined ? undefined : JSON.parse(text)
    } catch (error) {
      this.#log.warn('state file ignored', { file: this.#path, error: message(error) })
      return undefined
    }
  }

  /** Asks for the state when it is written, which is soon. */
  write(state: () => unknown): void {
    this.#latest = state
    this.#writing ??= this.#writeLatest().finally(() => {
      this.#writing = undefined
    })
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.#writing
  }

  async #writeLatest(): Promise<void> {
    while (this.#latest !== undefined) {
      const state = this.#latest
      this.#latest = undefined
      try {
        await makePrivateDirectory(dirname(this.#path))
        await writePrivateFile(this.#path, `${JSON.stringify(state(), null, 2)}\n`)
      } catch (error) {
        this.#log.error('state file not written', { file: this.#path, error: message(error) })
      }
    }
  }
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
