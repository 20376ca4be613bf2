import type { Logger } from '../../log.ts'
import { AccountFile } from './account-file.ts'
import { runIsolated } from './isolated.ts'
import type { AccountKey } from './jws.ts'
import { type CaOptions, caOf } from './task.ts'

export interface AccountOptions extends CaOptions {
  /** Where `account.json` is, or shall be. */
  readonly directory: string
  readonly email?: string | undefined
  /** Ties a new account to one at the CA: its id, and the key in base64url. */
  readonly externalAccount?: { readonly kid: string; readonly hmac: string } | undefined
  /** The engine's worker, where it is not beside this code: tests run from the source. */
  readonly workerFile?: URL | undefined
  readonly log: Logger
}

export interface RegisteredAccount {
  readonly key: AccountKey
  /** Its URL at the CA. */
  readonly kid: string
}

/** Our account at a CA: made when it is first needed, once, and kept. */
export class Account {
  readonly #options: AccountOptions
  readonly #file: AccountFile
  #registered: Promise<RegisteredAccount> | undefined

  constructor(options: AccountOptions) {
    this.#options = options
    this.#file = new AccountFile(options)
  }

  /** Everyone who asks waits for the same. @throws AcmeError. */
  registered(): Promise<RegisteredAccount> {
    this.#registered ??= this.#load().catch((error) => {
      this.#registered = undefined
      throw error
    })
    return this.#registered
  }

  /** The CA does not know it any more: the same key is registered anew when it is needed next. */
  async forget({ key, kid }: RegisteredAccount): Promise<void> {
    const current = await this.#registered?.catch(() => undefined)
    if (current?.kid !== kid) return // another order has found out before
    this.#options.log.warn('the CA has lost our account, registering it again', { account: kid })
    this.#registered = this.#register(key)
    await this.#registered.catch(() => (this.#registered = undefined))
  }

  async #load(): Promise<RegisteredAccount> {
    const { key, kid } = await this.#file.load()
    return kid === undefined ? this.#register(key) : { key, kid }
  }

  async #register(key: AccountKey): Promise<RegisteredAccount> {
    const { email, externalAccount, workerFile, log } = this.#options
    // Not of the order that asked first: others wait for it too.
    const signal = AbortSignal.timeout(REGISTER_MS)
    const kid = await runIsolated(
      { kind: 'register', ...caOf(this.#options), key, email, externalAccount },
      { signal, workerFile },
    )
    const account = { key, kid }
    await this.#file.save(account)
    log.info('ACME account registered; its use agrees to the terms of the CA', { account: kid })
    return account
  }
}

const REGISTER_MS = 60_000
