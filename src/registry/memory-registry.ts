import { EventEmitter } from 'node:events'
import { RegistryError } from './errors.ts'
import { isSameAgent } from './owner.ts'
import type { Claim, Registry, RegistryEvents } from './registry.ts'
import { Reservations } from './reservations.ts'

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
  readonly #reserved = new Reservations()
  readonly #untold: [event: 'claim' | 'release', claim: C][] = []
  #isTelling = false

  get size(): number {
    return this.#byName.size
  }

  claim(claims: readonly C[]): void {
    const wanted = new Map<string, C>()
    for (const claim of claims) {
      if (!this.#isOpenTo(claim, wanted.get(claim.name))) throw nameTaken(claim.name)
      wanted.set(claim.name, claim)
    }
    // Nothing was touched so far, and nothing fails from here on.
    for (const claim of wanted.values()) this.#take(claim)
    this.#tell()
  }

  release(holder: C['holder']): void {
    for (const claim of this.#drop(holder)) this.#untold.push(['release', claim])
    this.#tell()
  }

  reserve(holder: C['holder']): void {
    const nowMs = performance.now()
    for (const claim of this.#drop(holder)) {
      this.#reserved.add(claim.name, claim.owner, nowMs)
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

  /** `rival` is an earlier claim of the same call. */
  #isOpenTo(claim: C, rival: C | undefined): boolean {
    if (rival !== undefined) return rival.holder === claim.holder
    const held = this.#byName.get(claim.name)
    if (held === undefined) {
      return !this.#reserved.isClosedTo(claim.owner, claim.name, performance.now())
    }
    return held.holder === claim.holder || isSameAgent(held.owner, claim.owner)
  }

  #take(claim: C): void {
    const held = this.#byName.get(claim.name)
    this.#reserved.delete(claim.name)
    this.#byName.set(claim.name, claim)
    this.#claimsOf(claim.holder).set(claim.name, claim)
    if (held?.holder === claim.holder) return
    if (held !== undefined) {
      this.#byHolder.get(held.holder)?.delete(held.name)
      this.#untold.push(['release', held])
    }
    this.#untold.push(['claim', claim])
  }

  #drop(holder: C['holder']): Iterable<C> {
    const claims = this.#byHolder.get(holder)
    this.#byHolder.delete(holder)
    for (const name of claims?.keys() ?? []) this.#byName.delete(name)
    return claims?.values() ?? []
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
    `${name} is held by another agent, or was a moment ago; stop that agent or choose another name`,
  )
}
