import { readFileSync } from 'node:fs'
import type { Figure, Result } from '../measure.ts'
import { UsageError } from '../usage-error.ts'

/** What was measured, as it is kept in a file. */
export interface Report {
  readonly machine: string
  readonly suites: Readonly<Record<string, readonly Result[]>>
}

/** @throws UsageError where there is none. */
export function readReport(file: string): Report {
  const text = contentsOf(file)
  try {
    const report = JSON.parse(text)
    if (Object.values(report.suites).every(Array.isArray)) return report
  } catch {
    // said below
  }
  throw new UsageError(`${file} is no report of npm run bench --json`)
}

function contentsOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

export interface Comparison {
  /** Ratios, to the first contestant, that are worse by more than what both runs' spreads explain: a line each. */
  readonly worse: readonly string[]
  /** What was not measured before. */
  readonly isNew: readonly string[]
}

/** Of ratios, since machines differ. */
export function compareReports(before: Report, now: Report): Comparison {
  const isNew: string[] = []
  const regressed = Object.entries(now.suites).flatMap(([suite, results]) =>
    results.flatMap((result) => {
      const what = `${suite}: ${result.name}`
      const old = before.suites[suite]?.find(({ name }) => name === result.name)
      if (old === undefined) isNew.push(what)
      return old === undefined ? [] : worse(what, old, result)
    }),
  )
  return { worse: regressed, isNew }
}

function worse(what: string, before: Result, now: Result): string[] {
  const [first = '', ...others] = Object.keys(now.figures)
  return others.flatMap((name) => {
    const [was, is] = [ratio(before, name, first), ratio(now, name, first)]
    if (was === undefined || is === undefined) return []
    const change = now.better === 'more' ? was.median / is.median : is.median / was.median
    if (change <= 1 + was.spread + is.spread) return []
    const [from, to] = [was.median.toFixed(2), is.median.toFixed(2)]
    return [`${what}, ${name}: ${from} of ${first} before, ${to} now`]
  })
}

function ratio({ figures }: Result, name: string, first: string): Figure | undefined {
  const [one, base] = [figures[name], figures[first]]
  if (one === undefined || base === undefined || base.median === 0) return undefined
  return { median: one.median / base.median, spread: one.spread + base.spread }
}
