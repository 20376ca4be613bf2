import { Traffic } from './traffic.ts'

export interface TrafficByNameOptions {
  /** How many names are remembered. */
  readonly limit?: number
  /** How many of them may be labels of metrics. */
  readonly labelLimit?: number
}

/**
 * The traffic of each public name, in the order they were first used. Names are claimed by agents, which may
 * come back under others for ever, so those are forgotten that nobody uses while others come.
 */
export class TrafficByName {
  readonly #byName = new Map<string, Traffic>()
  readonly #limit: number
  readonly #labelLimit: number

  constructor({ limit = 20_000, labelLimit = 1_000 }: TrafficByNameOptions = {}) {
    this.#limit = limit
    this.#labelLimit = labelLimit
  }

  /** Makes one where there is none yet. */
  of(name: string): Traffic {
    const known = this.#byName.get(name)
    if (known !== undefined) return known
    if (this.#byName.size >= this.#limit) this.#forgetOne()
    const traffic = new Traffic()
    this.#byName.set(name, traffic)
    return traffic
  }

  find(name: string): Traffic | undefined {
    return this.#byName.get(name)
  }

  get size(): number {
    return this.#byName.size
  }

  /** As many names as a scraper should be given. */
  *labelled(): Generator<readonly [name: string, traffic: Traffic]> {
    let count = 0
    for (const entry of this.#byName) {
      if (count >= this.#labelLimit) return
      count += 1
      yield entry
    }
  }

  /** The oldest that is idle, of a few: what is looked at costs every newcomer. */
  #forgetOne(): void {
    let looked = 0
    for (const [name, traffic] of this.#byName) {
      if (traffic.openRequests + traffic.openConnections === 0) {
        this.#byName.delete(name)
        return
      }
      looked += 1
      if (looked >= 1_000) return
    }
  }
}
