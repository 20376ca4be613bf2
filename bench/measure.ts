/** One figure of one contestant, over the rounds. */
export interface Figure {
  readonly median: number
  /** Half the distance between the quartiles, as a share of the median. */
  readonly spread: number
}

/** A contestant's part in a case: does the work once and says how much was done. */
export type Contestant = () => Promise<{ amount: number; seconds: number } | undefined>

/**
 * Runs the contestants in turn, round after round, so that drift of the machine hits all alike; gives
 * amount per second of each. One that answers `undefined` does not take part.
 */
export async function compare(
  contestants: Readonly<Record<string, Contestant>>,
  rounds: number,
): Promise<Record<string, Figure>> {
  const seen: Record<string, number[]> = {}
  for (let round = 0; round <= rounds; round++) {
    for (const [name, run] of Object.entries(contestants)) {
      const result = await run()
      // The first round warms up.
      if (result !== undefined && round > 0) {
        seen[name] = [...(seen[name] ?? []), result.amount / result.seconds]
      }
    }
  }
  return Object.fromEntries(Object.entries(seen).map(([name, values]) => [name, figure(values)]))
}

function figure(values: number[]): Figure {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] as number
  const median = at(0.5)
  return { median, spread: (at(0.75) - at(0.25)) / 2 / median }
}

/** CPU seconds of this process while the work runs. */
export async function cpuSeconds(work: () => Promise<void>): Promise<number> {
  const start = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1e6
}

/** A Markdown table row of all contestants, the first as 1. */
export function row(label: string, figures: Record<string, Figure>, unit: (n: number) => string) {
  const first = Object.values(figures)[0]?.median ?? 1
  const cells = Object.values(figures).map(
    ({ median, spread }) =>
      `${unit(median)} ±${Math.round(spread * 100)} % (${(median / first).toFixed(2)})`,
  )
  return `| ${[label, ...cells].join(' | ')} |`
}
