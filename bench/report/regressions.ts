import { readFileSync } from 'node:fs'
import type { Figure, Result } from '../measure.ts'

/** What was measured, as it is kept in a file. */
export interface Report {
  readonly machine: string
  readonly suites: Readonly<Record<string, readonly Result[]>>
}

/** @throws Error, when the file is none of ours. */
export function readReport(file: string): Report {
  const report = JSON.parse(readFileSync(file, 'utf8'))
  if (typeof report?.suites !== 'object') throw new Error(`${file} is no report of npm run bench`)
  return report
}

/**
 * Ratios, to the first contestant, that are worse than they were by more than what both runs' spreads
 * explain: a line each. Ratios, since machines differ.
 */
export function regressions(before: Report, now: Report): string[] {
  return Object.entries(now.suites).flatMap(([suite, results]) =>
    results.flatMap((result) => {
      const old = before.suites[suite]?.find(({ name }) => name === result.name)
      return old === undefined ? [] : worse(`${suite}: ${result.name}`, old, result)
    }),
  )
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
