import { generateKeyPair } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Logger } from '../../log.ts'
import {
  createPrivateFile,
  makePrivateDirectory,
  readPrivateFile,
  writePrivateFile,
} from '../private-file.ts'
import type { AccountKey } from './jws.ts'

export interface StoredAccount {
  readonly key: AccountKey
  /** Its URL at the CA; undefined until it is registered. */
  readonly kid: string | undefined
}

/**
 * Our account at one CA, kept in `account.json`. Its key is on the disk before the CA hears of it, and
 * gateways that start at once in one directory get the same one: a key that is registered twice is one account.
 */
export class AccountFile {
  readonly #directory: string
  readonly #path: string
  readonly #log: Logger

  constructor({ directory, log }: { directory: string; log: Logger }) {
    this.#directory = directory
    this.#path = join(directory, 'account.json')
    this.#log = log
  }

  /** What is there, or a new key. Where that cannot be kept, it serves until the gateway ends. */
  async load(): Promise<StoredAccount> {
    const made: StoredAccount = { key: await newKey(), kid: undefined }
    try {
      return (await this.#read()) ?? (await this.#keep(made))
    } catch (error) {
      this.#log.error('ACME account not kept: every start will register another', {
        error: text(error),
      })
      return made
    }
  }

  async save(account: StoredAccount): Promise<void> {
    try {
      await writePrivateFile(this.#path, format(account))
    } catch (error) {
      this.#log.error('ACME account not saved', { error: text(error) })
    }
  }

  /** This one, unless another gateway was faster. */
  async #keep(made: StoredAccount): Promise<StoredAccount> {
    await makePrivateDirectory(this.#directory)
    if (await createPrivateFile(this.#path, format(made))) return made
    const found = await this.#read()
    if (found !== undefined) return found
    this.#log.warn('ACME account file is broken: a new account is made', { file: this.#path })
    await writePrivateFile(this.#path, format(made))
    return made
  }

  /** `undefined` where there is none, and where it is broken. */
  async #read(): Promise<StoredAccount | undefined> {
    return parse((await readPrivateFile(this.#path)) ?? '')
  }
}

async function newKey(): Promise<AccountKey> {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
  return privateKey.export({ format: 'jwk' }) as AccountKey
}

function format(account: StoredAccount): string {
  return `${JSON.stringify(account, null, 2)}\n`
}

function parse(written: string): StoredAccount | undefined {
  try {
    const { key, kid } = JSON.parse(written)
    const isKey = key.kty === 'EC' && key.crv === 'P-256'
    const isWhole = [key.x, key.y, key.d].every((part) => /^[\w-]{43}$/.test(part))
    return isKey && isWhole ? { key, kid: typeof kid === 'string' ? kid : undefined } : undefined
  } catch {
    return undefined
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
