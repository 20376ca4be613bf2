import { createHash } from 'node:crypto'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { canonicalHostname } from '../net/hostname.ts'
import { splitPem } from './certificate.ts'
import { CertificateError } from './errors.ts'
import type { KeyAndChain } from './issuer.ts'
import {
  makePrivateDirectory,
  readPrivateFile,
  TEMPORARY_PREFIX,
  writePrivateFile,
} from './private-file.ts'
import type { Store } from './store.ts'

/** Keeps each hostname's leaf, chain and key in one PEM file of its own, mode 0600, in a directory 0700. */
export class FileStore implements Store {
  readonly #directory: string
  #ready: Promise<void> | undefined

  constructor({ directory }: { directory: string }) {
    this.#directory = directory
  }

  async load(hostname: string): Promise<KeyAndChain | undefined> {
    const path = this.#path(hostname)
    const text = await readPrivateFile(path)
    if (text === undefined) return undefined
    const pair = splitPem(text)
    if (pair === undefined) {
      throw new CertificateError('CERT_UNUSABLE', `${path} does not hold a key and a certificate`)
    }
    return pair
  }

  async save(hostname: string, { key, chain }: KeyAndChain): Promise<void> {
    const path = this.#path(hostname)
    this.#ready ??= this.#prepare()
    try {
      await this.#ready
    } catch (error) {
      this.#ready = undefined
      throw error
    }
    // The key last: wherever the file is cut off, it is no pair any more.
    await writePrivateFile(path, `${chain.trim()}\n${key.trim()}\n`)
  }

  async list(): Promise<string[]> {
    let files: string[]
    try {
      files = await readdir(this.#directory)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      const text = `cannot list ${this.#directory}: ${(error as Error).message}`
      throw new CertificateError('CERT_FILE_FAILED', text, { cause: error })
    }
    // Names too long for a file are not found this way; they are renewed when a visitor comes.
    return files.flatMap((file) => {
      const name = file.endsWith('.pem') ? file.slice(0, -'.pem'.length) : ''
      return canonicalHostname(name) === name ? [name] : []
    })
  }

  // The second of two checks: whatever a caller forgot, no path is made of a name that could leave
  // the directory. A hostname may have 253 characters and a file name 255, so long ones are hashed;
  // no hostname starts with an underscore.
  #path(hostname: string): string {
    if (canonicalHostname(hostname) !== hostname || !/^[a-z0-9.-]+$/.test(hostname)) {
      const shown = hostname.slice(0, 80).replace(/[^!-~]/g, '?')
      throw new CertificateError('CERT_NAME_INVALID', `not a canonical hostname: '${shown}'`)
    }
    const name =
      hostname.length <= 200 ? hostname : `_${createHash('sha256').update(hostname).digest('hex')}`
    return join(this.#directory, `${name}.pem`)
  }

  // A crash between writing and renaming leaves a file that nobody would ever look at again. Young
  // ones may be another process at work.
  async #prepare(): Promise<void> {
    await makePrivateDirectory(this.#directory)
    for (const name of await readdir(this.#directory).catch(() => [])) {
      if (!name.startsWith(TEMPORARY_PREFIX)) continue
      const path = join(this.#directory, name)
      const age = await stat(path).then(
        (found) => Date.now() - found.mtimeMs,
        () => 0,
      )
      if (age > 60 * 60 * 1000) await rm(path, { force: true }).catch(() => {})
    }
  }
}
