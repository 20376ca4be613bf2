import type { Logger } from '../log.ts'
import { type Certificate, readCertificateOf } from './certificate.ts'
import type { KeyAndChain } from './issuer.ts'
import type { Store } from './store.ts'

/** The store, as far as what is in it can be served: what is broken is logged and passed over. */
export class StoredCertificates {
  readonly #store: Store | undefined
  readonly #log: Logger
  readonly #saving = new Set<Promise<void>>()

  constructor({ store, log }: { store: Store | undefined; log: Logger }) {
    this.#store = store
    this.#log = log
  }

  /**
   * The last one for the name, which may be over.
   * @throws CertificateError CERT_FILE_FAILED while no file can be opened: there may be one, and a CA that
   * was asked for another would count it.
   */
  async load(name: string): Promise<Certificate | undefined> {
    try {
      const pair = await this.#store?.load(name)
      return pair && readCertificateOf(name, pair)
    } catch (error) {
      if (isForWantOfDescriptors(error)) throw error
      this.#log.warn('stored certificate ignored', { hostname: name, error: text(error) })
      return undefined
    }
  }

  /** By name. Never rejects. */
  async all(): Promise<Map<string, Certificate>> {
    const all = new Map<string, Certificate>()
    for (const name of await this.names()) {
      const certificate = await this.load(name).catch(() => undefined)
      if (certificate !== undefined) all.set(name, certificate)
    }
    return all
  }

  /** Never rejects. */
  async names(): Promise<readonly string[]> {
    try {
      return (await this.#store?.list()) ?? []
    } catch (error) {
      this.#log.warn('stored certificates are not looked through', { error: text(error) })
      return []
    }
  }

  /** Behind the handshake: a slow disk delays no visitor, and a full one takes no certificate away. */
  save(name: string, pair: KeyAndChain): void {
    const saving = (async () => {
      try {
        await this.#store?.save(name, pair)
      } catch (error) {
        const fields = { hostname: name, error: text(error) }
        this.#log.error('certificate not saved, served from memory', fields)
      }
    })().finally(() => this.#saving.delete(saving))
    this.#saving.add(saving)
  }

  /** Waits for what is being saved. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#saving)
  }
}

function isForWantOfDescriptors(error: unknown): boolean {
  const { cause } = error as { cause?: NodeJS.ErrnoException }
  return cause?.code === 'EMFILE' || cause?.code === 'ENFILE'
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
