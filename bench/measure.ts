/** What belongs together, and can also be had one by one. */
export interface Suite {
  /** The names that `npm run bench -- SUITE/NAME` takes. */
  readonly cases: readonly string[]
  /** Of these cases; gives the results as they come. */
  run(cases: readonly string[], rounds: number): AsyncIterable<Result>
}

/** A suite of cases that need nothing in common. */
export function suiteOf(
  cases: Readonly<Record<string, (rounds: number) => AsyncIterable<Result>>>,
): Suite {
  return {
    cases: Object.keys(cases),
    async *run(names, rounds) {
      for (const name of names) yield* cases[name]?.(rounds) ?? []
    },
  }
}

/** One figure of one contestant, over the rounds. */
export interface Figure {
  readonly median: number
  /** Half the distance between the quartiles, as a share of the median. */
  readonly spread: number
}

/** What a figure is called and which way is good. */
export interface Metric {
  readonly name: string
  readonly unit: string
  readonly better: 'more' | 'less'
}

/** One thing that is measured, for all contestants side by side; the first is what the others are compared to. */
export interface Result extends Metric {
  readonly figures: Readonly<Record<string, Figure>>
}

/** A contestant's part in a case: does the work once, and gives its metrics in their order; none: it takes no part. */
export type Contestant = () => Promise<readonly number[] | undefined>

/**
 * Runs the contestants in turn, round after round, so that drift of the machine hits all alike. What warms up
 * is not counted.
 */
export async function compare(
  metrics: readonly Metric[],
  contestants: Readonly<Record<string, Contestant>>,
  rounds: number,
  { warmUps = 1 } = {},
): Promise<Result[]> {
  const seen = new Map<string, (readonly number[])[]>()
  for (let round = -warmUps; round < rounds; round++) {
    for (const [name, run] of Object.entries(contestants)) {
      const values = await run()
      if (values === undefined || round < 0) continue
      seen.set(name, [...(seen.get(name) ?? []), values])
    }
  }
  return metrics.map((metric, at) => ({
    ...metric,
    figures: Object.fromEntries(
      [...seen].flatMap(([name, values]) => {
        const column = values.map((each) => each[at]).filter((value) => value !== undefined)
        return column.length === 0 ? [] : [[name, figure(column)]]
      }),
    ),
  }))
}

function figure(values: readonly number[]): Figure {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] as number
  const median = at(0.5)
  return { median, spread: median === 0 ? 0 : Math.abs((at(0.75) - at(0.25)) / 2 / median) }
}

/** CPU seconds of this process while the work runs. */
export async function cpuSeconds(work: () => Promise<void>): Promise<number> {
  const start = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1e6
}
