import { EventEmitter } from 'node:events'
import { RegistryError } from './errors.ts'
import type { Claim, Registry, RegistryEvents } from './registry.ts'

/**
 * The registry of one gateway, in its memory. Lookup is one step whatever the number of names,
 * release one step a name that the holder has. Invariant: both maps hold the same claims.
 *
 * A holder that claims a name it already has replaces its claim, and so does the later of two claims
 * to one name in one call. The first of the two is then nobody's, and as the name had its holder
 * all along (or gets it once), no event tells of it.
 *
 * Listeners hear of changes in the order they happened, also of those that a listener makes.
 * One that throws undoes nothing and keeps no other event back: its error is thrown where nobody is
 * in the way, and ends the process as an uncaught exception unless its owner decides otherwise.
 */
export class MemoryRegistry<C extends Claim<unknown>>
  extends EventEmitter<RegistryEvents<C>>
  implements Registry<C>
{
  readonly #byName = new Map<string, C>()
  readonly #byHolder = new Map<C['holder'], Map<string, C>>()
  readonly #untold: [event: 'claim' | 'release', claim: C][] = []
  #isTelling = false

  get size(): number {
    return this.#byName.size
  }

  claim(claims: readonly C[]): void {
    const wanted = new Map<string, C>()
    for (const claim of claims) {
      const held = wanted.get(claim.name) ?? this.#byName.get(claim.name)
      if (held !== undefined && held.holder !== claim.holder) throw nameTaken(claim.name)
      wanted.set(claim.name, claim)
    }
    // Nothing was touched so far, and nothing fails from here on.
    for (const claim of wanted.values()) {
      if (!this.#byName.has(claim.name)) this.#untold.push(['claim', claim])
      this.#byName.set(claim.name, claim)
      this.#claimsOf(claim.holder).set(claim.name, claim)
    }
    this.#tell()
  }

  release(holder: C['holder']): void {
    const claims = this.#byHolder.get(holder)
    if (claims === undefined) return
    this.#byHolder.delete(holder)
    for (const claim of claims.values()) {
      this.#byName.delete(claim.name)
      this.#untold.push(['release', claim])
    }
    this.#tell()
  }

  lookup(name: string): C | undefined {
    return this.#byName.get(name)
  }

  [Symbol.iterator](): IterableIterator<C> {
    return this.#byName.values()
  }

  #claimsOf(holder: C['holder']): Map<string, C> {
    let claims = this.#byHolder.get(holder)
    if (claims === undefined) this.#byHolder.set(holder, (claims = new Map()))
    return claims
  }

  /** A change made by a listener comes back here: its events wait for those already on their way. */
  #tell(): void {
    if (this.#isTelling) return
    this.#isTelling = true
    // Goes on with what is pushed while it runs.
    for (const [event, claim] of this.#untold) {
      try {
        // A conditional type of EventEmitter hides from here that the arguments are right.
        ;(this as EventEmitter).emit(event, claim)
      } catch (error) {
        queueMicrotask(() => {
          throw error
        })
      }
    }
    this.#untold.length = 0
    this.#isTelling = false
  }
}

function nameTaken(name: string): RegistryError {
  return new RegistryError(
    'REGISTRY_NAME_TAKEN',
    name,
    `${name} is held by another agent; stop that agent or choose another name`,
  )
}
