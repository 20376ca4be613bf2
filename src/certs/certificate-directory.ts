import { type FSWatcher, watch } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from '../log.ts'
import { type Certificate, isValidAt, readCertificate, splitPem } from './certificate.ts'
import { CertificateError } from './errors.ts'

export interface CertificateDirectoryOptions {
  readonly directory: string
  readonly log: Logger
  /** How often the files are looked at although the system told of no change (network filesystems). */
  readonly pollMs?: number
}

/**
 * The operator's own certificates: each `x.crt` or `x.pem` in a directory with its `x.key` beside
 * it (or inside the .pem), for the names of its subjectAltName, wildcards too. Changes are taken up
 * by themselves; while a changed pair is broken or half-written, the one read before stays in use.
 * Symbolic links are followed: certbot and Kubernetes both put links here.
 */
export class CertificateDirectory {
  readonly #directory: string
  readonly #log: Logger
  readonly #pairs = new Map<string, Pair>()
  /** Made of the pairs when it is asked for; undefined since they changed. */
  #byName: Map<string, Certificate[]> | undefined
  #watcher: FSWatcher | undefined
  #watchedInode: bigint | undefined
  #settling: NodeJS.Timeout | undefined
  #polling: NodeJS.Timeout | undefined
  #refreshing: Promise<void> | undefined
  #isStale = false
  #isClosed = false
  #isUnreadable = false

  private constructor({ directory, log }: CertificateDirectoryOptions) {
    this.#directory = directory
    this.#log = log
  }

  /** The directory, read once and watched from now on. @throws CertificateError CERT_FILE_FAILED. */
  static async open(options: CertificateDirectoryOptions): Promise<CertificateDirectory> {
    const opened = new CertificateDirectory(options)
    try {
      await opened.#read()
    } catch (error) {
      await opened.close()
      const text = `cannot read the certificates in ${options.directory}`
      throw new CertificateError('CERT_FILE_FAILED', text, { cause: error })
    }
    if (opened.list().length === 0) {
      options.log.warn('no usable certificate in the directory', { directory: options.directory })
    }
    opened.#polling = setInterval(() => void opened.refresh(), options.pollMs ?? 30_000).unref()
    return opened
  }

  /** The most specific certificate that is valid at the time; of several, the one that lasts longest. */
  find(hostname: string, nowMs: number): Certificate | undefined {
    const dot = hostname.indexOf('.')
    const wildcard = dot > 0 ? `*${hostname.slice(dot)}` : hostname
    this.#byName ??= byName(this.list())
    for (const name of [hostname, wildcard]) {
      const found = this.#byName.get(name)?.find((certificate) => isValidAt(certificate, nowMs))
      if (found !== undefined) return found
    }
    return undefined
  }

  /** The pairs in use, expired ones too. */
  list(): Certificate[] {
    return [...this.#pairs.values()].flatMap(({ certificate }) => certificate ?? [])
  }

  /** Looks for changes now; never rejects. What goes wrong is logged, once for each change. */
  async refresh(): Promise<void> {
    this.#isStale = true
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    await this.#refreshing
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearInterval(this.#polling)
    clearTimeout(this.#settling)
    this.#watcher?.close()
    await this.#refreshing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #refresh(): Promise<void> {
    while (this.#isStale && !this.#isClosed) {
      this.#isStale = false
      try {
        await this.#read()
        this.#isUnreadable = false
      } catch (error) {
        if (!this.#isUnreadable) {
          const fields = { directory: this.#directory, error: text(error) }
          this.#log.error('certificate directory unreadable, keeping what was read before', fields)
        }
        this.#isUnreadable = true
      }
    }
  }

  async #read(): Promise<void> {
    await this.#watch()
    const files = new Set(await readdir(this.#directory))
    const bases = new Set<string>()
    for (const file of files) {
      const [, base] = file.match(/^(?!\.)(.+)\.(?:crt|pem|key)$/) ?? []
      if (base !== undefined) bases.add(base)
    }
    for (const base of this.#pairs.keys()) {
      if (bases.has(base)) continue
      this.#pairs.delete(base)
      this.#byName = undefined
      this.#log.info('certificate removed', { directory: this.#directory, pair: base })
    }
    for (const base of [...bases].sort()) await this.#readPair(base, files)
  }

  async #readPair(base: string, files: ReadonlySet<string>): Promise<void> {
    const certificateFile = files.has(`${base}.crt`) ? `${base}.crt` : `${base}.pem`
    const keyFile = files.has(`${base}.key`) ? `${base}.key` : certificateFile
    const before = this.#pairs.get(base)
    // Taken before reading: a file that changes under our eyes differs from it the next time.
    const signature = await this.#signature([certificateFile, keyFile])
    if (signature === before?.signature) return
    const pair: Pair = { signature, certificate: before?.certificate }
    this.#pairs.set(base, pair)
    const fields = { directory: this.#directory, pair: base }
    try {
      pair.certificate = await this.#load(certificateFile, keyFile)
      this.#byName = undefined
    } catch (error) {
      const kept = pair.certificate !== undefined
      this.#log.warn('unusable certificate ignored', { ...fields, error: text(error), kept })
      return
    }
    const { names, notAfterMs } = pair.certificate
    const notAfter = new Date(notAfterMs).toISOString()
    if (notAfterMs <= Date.now()) this.#log.warn('certificate has expired', { ...fields, notAfter })
    else this.#log.info('certificate loaded', { ...fields, names, notAfter })
  }

  async #load(certificateFile: string, keyFile: string): Promise<Certificate> {
    const chain = await readFile(join(this.#directory, certificateFile), 'utf8')
    if (keyFile !== certificateFile) {
      return readCertificate({ key: await readFile(join(this.#directory, keyFile), 'utf8'), chain })
    }
    const pair = splitPem(chain)
    if (pair === undefined) throw new Error(`no private key beside ${certificateFile} or in it`)
    return readCertificate(pair)
  }

  async #signature(files: readonly string[]): Promise<string> {
    const facts = files.map(async (file) => {
      const found = await stat(join(this.#directory, file), { bigint: true }).catch(() => undefined)
      return found && [file, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(':')
    })
    return (await Promise.all(facts)).join(' ')
  }

  // A directory that was replaced has another inode, and its old watch stays silent for ever.
  async #watch(): Promise<void> {
    const { ino } = await stat(this.#directory, { bigint: true })
    if (ino === this.#watchedInode) return
    this.#watcher?.close()
    this.#watchedInode = ino
    const onlyPolled = (error: unknown) => {
      this.#log.warn('certificate directory is not watched, only polled', { error: text(error) })
    }
    try {
      this.#watcher = watch(this.#directory, { persistent: false }, () => this.#onChange())
      this.#watcher.on('error', onlyPolled)
    } catch (error) {
      onlyPolled(error) // ENOSPC: the user's inotify watches are used up
    }
  }

  // Whoever copies a pair writes two files: give the second one a moment.
  #onChange(): void {
    if (this.#isClosed) return
    this.#settling ??= setTimeout(() => {
      this.#settling = undefined
      void this.refresh()
    }, SETTLE_MS).unref()
  }
}

// A guess: `cp` of two files takes some milliseconds.
const SETTLE_MS = 200

interface Pair {
  /** Of the files as they were looked at last, usable or not. */
  readonly signature: string
  certificate: Certificate | undefined
}

function byName(certificates: readonly Certificate[]): Map<string, Certificate[]> {
  const index = new Map<string, Certificate[]>()
  for (const certificate of [...certificates].sort((a, b) => b.notAfterMs - a.notAfterMs)) {
    for (const name of certificate.names) {
      const same = index.get(name)
      if (same === undefined) index.set(name, [certificate])
      else same.push(certificate)
    }
  }
  return index
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
