import { isIPv6 } from 'node:net'

/** Slips of a person, and agents that were forgotten when a secret changed. */
const freeFailures = 10
const firstDelayMs = 250
/** An agent waits 10 s for its answer. */
const longestDelayMs = 5_000
/** Connections of agents on their way in at one time, from where more than the free ones have failed. */
const attemptLimit = 10
const forgetAfterMs = 600_000
/** Some 100 bytes each. Whoever has more addresses than this has no need to use one twice. */
const networkLimit = 10_000

/**
 * Who has presented bad tokens, by address. Beyond some that are free, each takes twice as long to be
 * answered as the one before, and few can be tried at one time. A good token is never kept waiting, so the
 * agents behind an address suffer from a bad neighbour no more than they must.
 */
export class FailedAttempts {
  /** In the order of the last failure. */
  readonly #failures = new Map<string, { count: number; lastMs: number }>()
  /** Only where there are any. */
  readonly #attempts = new Map<string, number>()

  /** An attempt begins, and lasts until `end`. False: there are too many from there, it must not. */
  begin(address: string): boolean {
    const network = networkOf(address)
    const attempts = this.#attempts.get(network) ?? 0
    if (attempts >= attemptLimit && this.#countOf(network) > freeFailures) return false
    this.#attempts.set(network, attempts + 1)
    return true
  }

  end(address: string): void {
    const network = networkOf(address)
    const left = (this.#attempts.get(network) ?? 1) - 1
    if (left > 0) this.#attempts.set(network, left)
    else this.#attempts.delete(network)
  }

  /** Counts a failure, and resolves when it may be answered. */
  async fail(address: string): Promise<void> {
    const network = networkOf(address)
    const count = this.#countOf(network) + 1
    this.#failures.delete(network)
    this.#failures.set(network, { count, lastMs: performance.now() })
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= networkLimit) break
      this.#failures.delete(oldest)
    }
    const delayMs = delayAfter(count)
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs).unref())
  }

  /** How many networks are remembered. */
  get size(): number {
    return this.#failures.size
  }

  #countOf(network: string): number {
    const { count, lastMs } = this.#failures.get(network) ?? { count: 0, lastMs: 0 }
    return performance.now() - lastMs > forgetAfterMs ? 0 : count
  }
}

/** How long the answer to the nth failure waits. */
export function delayAfter(failures: number): number {
  if (failures <= freeFailures) return 0
  return Math.min(longestDelayMs, firstDelayMs * 2 ** (failures - freeFailures - 1))
}

/** An IPv4 address; of an IPv6 one the half that a subscriber is given (RFC 6177): the rest is theirs to vary. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address
  const [head = '', tail = ''] = address.split('::')
  const [before, after] = [head, tail].map((part) => part.split(':').filter(Boolean))
  // What `::` stands for is only of interest where it begins in the first half.
  const groups = [...(before ?? []), ...(after ?? [])]
  if (address.includes('::')) {
    groups.splice(
      before?.length ?? 0,
      0,
      ...Array<string>(Math.max(0, 8 - groups.length)).fill('0'),
    )
  }
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')
}
