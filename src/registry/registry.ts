import type { EventEmitter } from 'node:events'
import type { Owner } from './owner.ts'

/** A holder's hold on one public name. */
export interface Claim<Holder> {
  /** Canonical: lower case, no port, no trailing dot (see `net/hostname.ts`). */
  readonly name: string
  readonly holder: Holder
  /** For whom it is held. Without one there is nobody who could take it over, or whom to keep it for. */
  readonly owner?: Owner | undefined
}

export interface RegistryEvents<C> {
  /** A name got this holder. */
  claim: [claim: C]
  /** A name lost this holder; to nobody, or to one whose `claim` follows: another, or the same with another claim. */
  release: [claim: C]
}

/**
 * Who holds which public name; one holder a name.
 *
 * Who may claim a name is decided here alone. A name that nobody holds: everybody, unless it is reserved, and then
 * its last owner's bearer. One that is held: its holder, and another holder for the same agent
 * (`isSameAgent`), which takes it over.
 *
 * Names compare by their canonical form, which callers give: the registry asks for no other.
 * Events are emitted after the change is complete, so a listener sees the registry as it is.
 */
export interface Registry<C extends Claim<unknown>> extends EventEmitter<RegistryEvents<C>> {
  /**
   * Takes all the names, or none of them. What else a holder has from whom some were taken over is still its own.
   * @throws RegistryError REGISTRY_NAME_TAKEN, with the first name that is held by or reserved for another.
   */
  claim(claims: readonly C[]): void
  /** The same for one holder, and gives up what else it has. @throws as above; it keeps all it has then. */
  replace(holder: C['holder'], claims: readonly C[]): void
  /** Gives up everything the holder has, for anybody; a holder without names is no error. */
  release(holder: C['holder']): void
  /** The same for a holder that was lost: for a minute its names are reserved for the bearer they were held for. */
  reserve(holder: C['holder']): void
  lookup(name: string): C | undefined
  /** How many names are held. */
  readonly size: number
  [Symbol.iterator](): IterableIterator<C>
}
