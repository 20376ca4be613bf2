import type { EventEmitter } from 'node:events'

/** A holder's hold on one public name. */
export interface Claim<Holder> {
  /** Canonical: lower case, no port, no trailing dot (see `net/hostname.ts`). */
  readonly name: string
  readonly holder: Holder
}

export interface RegistryEvents<C> {
  /** A name got a holder. */
  claim: [claim: C]
  /** A name lost its holder. */
  release: [claim: C]
}

/**
 * Who holds which public name; one holder a name.
 *
 * Names compare by their canonical form, which callers give: the registry asks for no other.
 * Events are emitted after the change is complete, so a listener sees the registry as it is.
 */
export interface Registry<C extends Claim<unknown>> extends EventEmitter<RegistryEvents<C>> {
  /**
   * Takes all the names, or none of them.
   * @throws RegistryError REGISTRY_NAME_TAKEN, with the first name that another claim holds.
   */
  claim(claims: readonly C[]): void
  /** Gives up everything the holder has; a holder without names is no error. */
  release(holder: C['holder']): void
  lookup(name: string): C | undefined
  /** How many names are held. */
  readonly size: number
  [Symbol.iterator](): IterableIterator<C>
}
