import type { KeyAndChain } from './issuer.ts'

/** Where issued certificates outlive the process. */
export interface Store {
  /** What was stored for the name; `undefined` where nothing usable is (what is broken was logged). */
  load(hostname: string): Promise<KeyAndChain | undefined>
  /** Stores it so that a crash at any moment leaves the old pair or the new one, never half of one. */
  save(hostname: string, pair: KeyAndChain): Promise<void>
}
