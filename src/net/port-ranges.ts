/** Ports from `min` to `max`, both among them. */
export interface PortRange {
  readonly min: number
  readonly max: number
}

/** The ports that agents may ask for. */
export class PortRanges {
  /** In rising order; no two touch. */
  readonly ranges: readonly PortRange[]

  constructor(ranges: readonly PortRange[]) {
    this.ranges = merged(ranges)
  }

  matches(port: number): boolean {
    return this.ranges.some(({ min, max }) => port >= min && port <= max)
  }

  /** The ports that are in both. */
  within(others: PortRanges): PortRanges {
    const both = this.ranges.flatMap((mine) =>
      others.ranges.map((other) => ({
        min: Math.max(mine.min, other.min),
        max: Math.min(mine.max, other.max),
      })),
    )
    return new PortRanges(both.filter(({ min, max }) => min <= max))
  }

  /** As one would type it. */
  toString(): string {
    return this.ranges.map(({ min, max }) => (min === max ? `${min}` : `${min}-${max}`)).join(',')
  }
}

/** `2222` or `30000-30999`; `undefined` for anything else, port 0 and a range the wrong way round. */
export function parsePortRange(text: string): PortRange | undefined {
  const parts = /^(\d{1,5})(?:\s*-\s*(\d{1,5}))?$/.exec(text)
  if (parts === null) return undefined
  const min = Number(parts[1])
  const max = Number(parts[2] ?? parts[1])
  return min >= 1 && min <= max && max <= 65_535 ? { min, max } : undefined
}

function merged(ranges: readonly PortRange[]): PortRange[] {
  const result: PortRange[] = []
  for (const { min, max } of [...ranges].sort((a, b) => a.min - b.min)) {
    const last = result.at(-1)
    if (last !== undefined && min <= last.max + 1) {
      result[result.length - 1] = { min: last.min, max: Math.max(last.max, max) }
    } else {
      result.push({ min, max })
    }
  }
  return result
}
