/*
 * How long things took, as counts in buckets that grow by 2^(1/4): a quantile is right to within a
 * fifth, and adding a value costs a logarithm.
 */

const bucketsPerOctave = 4
/** From 1 ms to 17 min; what is beyond counts as these. */
const octaves = 20
const bucketCount = octaves * bucketsPerOctave + 1

/** Counts that only grow, as Prometheus wants them. */
export class Histogram {
  readonly #counts = new Uint32Array(bucketCount)
  count = 0
  sumMs = 0

  add(ms: number): void {
    const index = bucketOf(ms)
    this.#counts[index] = (this.#counts[index] as number) + 1
    this.count += 1
    this.sumMs += ms
  }

  clear(): void {
    this.#counts.fill(0)
    this.count = 0
    this.sumMs = 0
  }

  countOf(index: number): number {
    return this.#counts[index] as number
  }

  /** How many took no longer, for each whole octave: upper bounds of 1 ms, 2 ms, 4 ms and so on. */
  *cumulative(): Generator<{ readonly upToMs: number; readonly count: number }> {
    let count = 0
    for (let index = 0; index < bucketCount; index += 1) {
      count += this.countOf(index)
      if (index % bucketsPerOctave === 0) yield { upToMs: boundOf(index), count }
    }
  }
}

/** What holds for the last while: of values from the last 5 to 10 minutes. */
export class RecentLatency {
  #current: Histogram | undefined
  #previous: Histogram | undefined
  #currentSinceMs = 0
  /** Of what there is, until something is added: most names are idle when they are looked at. */
  #quantiles: LatencyQuantiles | undefined

  /** `nowMs` is monotonic. */
  add(ms: number, nowMs: number): void {
    this.#turn(nowMs)
    this.#quantiles = undefined
    this.#current ??= new Histogram()
    this.#current.add(ms)
  }

  /** In milliseconds; undefined where there was nothing lately. */
  quantiles(nowMs: number): LatencyQuantiles | undefined {
    this.#turn(nowMs)
    this.#quantiles ??= quantilesOf([this.#current, this.#previous])
    return this.#quantiles
  }

  #turn(nowMs: number): void {
    const ageMs = nowMs - this.#currentSinceMs
    if (ageMs < generationMs) return
    this.#currentSinceMs = nowMs
    this.#quantiles = undefined
    if (ageMs >= 2 * generationMs) this.#current?.clear()
    const oldest = this.#previous
    this.#previous = this.#current
    oldest?.clear()
    this.#current = oldest
  }
}

export interface LatencyQuantiles {
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
}

const generationMs = 300_000

function quantilesOf(histograms: readonly (Histogram | undefined)[]): LatencyQuantiles | undefined {
  const parts = histograms.filter((part) => part !== undefined)
  const count = parts.reduce((sum, part) => sum + part.count, 0)
  if (count === 0) return undefined
  const [p50Ms = 0, p95Ms = 0, p99Ms = 0] = valuesAt([0.5, 0.95, 0.99], count, parts)
  return { p50Ms, p95Ms, p99Ms }
}

/** For each of the shares, which rise, the upper bound of the bucket that it is reached in. */
function valuesAt(shares: readonly number[], count: number, parts: readonly Histogram[]): number[] {
  const values: number[] = []
  let seen = 0
  for (let index = 0; index < bucketCount && values.length < shares.length; index += 1) {
    for (const part of parts) seen += part.countOf(index)
    while (values.length < shares.length && seen >= (shares[values.length] as number) * count) {
      values.push(boundOf(index))
    }
  }
  return values
}

function bucketOf(ms: number): number {
  if (!(ms > 1)) return 0
  return Math.min(bucketCount - 1, Math.ceil(Math.log2(ms) * bucketsPerOctave - 1e-9))
}

function boundOf(index: number): number {
  return 2 ** (index / bucketsPerOctave)
}
