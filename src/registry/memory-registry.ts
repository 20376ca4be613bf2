import { EventEmitter } from 'node:events'
import { RegistryError } from './errors.ts'
import { isSameAgent } from './owner.ts'
import type { Claim, Registry, RegistryEvents } from './registry.ts'
import { Reservations } from './reservations.ts'

/**
 * The registry of one gateway, in its memory. Lookup is one step whatever the number of names,
 * release one step a name that the holder has. Invariant: both maps hold the same claims.
 *
 * A holder that claims a name it already has replaces its claim, and so does the later of two claims to
 * one name in one call; of that call's earlier claim no event tells.
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
    for (const claim of this.#allowed(claims).values()) this.#take(claim)
    this.#tell()
  }

  replace(holder: C['holder'], claims: readonly C[]): void {
    const wanted = this.#allowed(claims)
    for (const claim of this.#byHolder.get(holder)?.values() ?? []) {
      if (!wanted.has(claim.name)) this.#drop(claim)
    }
    for (const claim of wanted.values()) this.#take(claim)
    this.#tell()
  }

  release(holder: C['holder']): void {
    for (const claim of this.#byHolder.get(holder)?.values() ?? []) this.#drop(claim)
    this.#byHolder.delete(holder)
    this.#tell()
  }

  reserve(holder: C['holder']): void {
    const nowMs = performance.now()
    for (const claim of this.#byHolder.get(holder)?.values() ?? []) {
      this.#reserved.add(claim.name, claim.owner, nowMs)
    }
    this.release(holder)
  }

  lookup(name: string): C | undefined {
    return this.#byName.get(name)
  }

  [Symbol.iterator](): IterableIterator<C> {
    return this.#byName.values()
  }

  /** By name, the last of each; nothing fails with them from here on. @throws RegistryError */
  #allowed(claims: readonly C[]): Map<string, C> {
    const allowed = new Map<string, C>()
    for (const claim of claims) {
      if (!this.#isOpenTo(claim, allowed.get(claim.name))) throw nameTaken(claim.name)
      allowed.set(claim.name, claim)
    }
    return allowed
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
    if (held !== undefined) this.#drop(held)
    this.#reserved.delete(claim.name)
    this.#byName.set(claim.name, claim)
    this.#claimsOf(claim.holder).set(claim.name, claim)
    this.#untold.push(['claim', claim])
  }

  #drop(claim: C): void {
    this.#byName.delete(claim.name)
    this.#byHolder.get(claim.holder)?.delete(claim.name)
    this.#untold.push(['release', claim])
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
