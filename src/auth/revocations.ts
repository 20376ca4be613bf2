import { EventEmitter } from 'node:events'
import { readFile, stat } from 'node:fs/promises'
import type { Logger } from '../log.ts'
import { AuthError } from './errors.ts'
import type { Identity } from './identity.ts'

export interface RevocationsOptions {
  readonly file: string
  readonly log: Logger
  readonly pollMs?: number
}

/**
 * The tokens that are taken no more: a file with an id (`jti`) or a name (`sub`) on each line; what follows
 * a `#` is a comment. Changes are taken up by themselves; while the file is missing or cannot be read, what
 * was read before holds.
 *
 * It is looked at four times a second rather than watched, for a watch says nothing on network filesystems, in
 * a container's bind mount, and once the file was replaced.
 */
export class Revocations extends EventEmitter<{ change: [] }> {
  readonly #file: string
  readonly #log: Logger
  #entries: ReadonlySet<string> = new Set()
  #signature: string | undefined
  #polling: NodeJS.Timeout | undefined
  #refreshing: Promise<void> | undefined
  #isUnreadable = false

  private constructor({ file, log }: RevocationsOptions) {
    super()
    this.#file = file
    this.#log = log
  }

  /** The file, read once and looked at from now on. @throws AuthError AUTH_REVOCATIONS_UNREADABLE */
  static async open(options: RevocationsOptions): Promise<Revocations> {
    const opened = new Revocations(options)
    try {
      await opened.#read()
    } catch (cause) {
      const text = `cannot read the revocations in ${options.file}; an empty file will do`
      throw new AuthError('AUTH_REVOCATIONS_UNREADABLE', text, { cause })
    }
    opened.#polling = setInterval(() => void opened.refresh(), options.pollMs ?? 250).unref()
    return opened
  }

  get size(): number {
    return this.#entries.size
  }

  isRevoked(identity: Identity): boolean {
    return isRevokedBy(this.#entries, identity)
  }

  /** Looks for a change now; never rejects. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async close(): Promise<void> {
    clearInterval(this.#polling)
    await this.#refreshing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #refresh(): Promise<void> {
    try {
      const isChanged = await this.#read()
      this.#isUnreadable = false
      if (!isChanged) return
      this.#log.info('revocations read', { file: this.#file, entries: this.size })
      this.emit('change')
    } catch (error) {
      if (this.#isUnreadable) return
      this.#isUnreadable = true
      const reason = error instanceof Error ? error.message : String(error)
      const fields = { file: this.#file, reason, kept: this.size }
      this.#log.error('revocations unreadable, keeping what was read before', fields)
    }
  }

  async #read(): Promise<boolean> {
    // Taken before reading: a file that changes under our eyes differs from it the next time.
    const { ino, size, mtimeNs, ctimeNs } = await stat(this.#file, { bigint: true })
    const signature = [ino, size, mtimeNs, ctimeNs].join(':')
    if (signature === this.#signature) return false
    if (size > limitBytes) throw new Error(`it is larger than ${limitBytes} bytes`)
    this.#entries = parseRevocations(await readFile(this.#file, 'utf8'))
    this.#signature = signature
    return true
  }
}

const limitBytes = 16 * 1024 * 1024 // a million ids; a log file named by mistake is not read whole

export function parseRevocations(text: string): Set<string> {
  const lines = text.replace(/^\ufeff/, '').split(/\r\n?|\n/)
  return new Set(lines.map((line) => line.replace(/#.*/, '').trim()).filter(Boolean))
}

/** By its id, or by the name that it was made for. */
export function isRevokedBy(entries: ReadonlySet<string>, { tokenId, subject }: Identity): boolean {
  return [tokenId, subject].some((text) => text !== undefined && entries.has(text))
}
