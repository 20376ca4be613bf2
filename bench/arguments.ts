import { parseArgs } from 'node:util'
import type { Suite } from './measure.ts'
import { UsageError } from './usage-error.ts'

/** What is to be run, and where to put what comes of it. */
export interface Arguments {
  /** The cases of each suite, in the suites' order. */
  readonly cases: ReadonlyMap<string, readonly string[]>
  readonly rounds: number
  readonly json: string | undefined
  readonly plot: string | undefined
  readonly compare: string | undefined
}

/** `help`: that was asked for. @throws UsageError about what there is not. */
export function parseArguments(
  args: readonly string[],
  suites: Readonly<Record<string, Suite>>,
): Arguments | 'help' {
  const { positionals, values } = parsed(args)
  if (values.help) return 'help'
  const { json, plot, compare } = values
  const rounds = Number(values.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new UsageError(`--rounds ${values.rounds}: a whole number from 1 is needed`)
  }
  const cases = casesOf(positionals.length > 0 ? positionals : Object.keys(suites), suites)
  if (plot !== undefined && !cases.has('tunnel')) {
    throw new UsageError('--plot draws the suite tunnel, which is not to be run')
  }
  return { cases, rounds, json, plot, compare }
}

export function usage(suites: Readonly<Record<string, Suite>>): string {
  const listed = Object.entries(suites).map(
    ([name, { cases }]) => `  ${name}: ${cases.join(' ')}\n`,
  )
  return `usage: npm run bench -- [SUITE | SUITE/CASE ...] [OPTIONS]

  --rounds N       how often everything takes its turn (5)
  --json FILE      writes the results there
  --plot FILE      draws those of the suite tunnel there, as SVG
  --compare FILE   says which ratios are worse than in an earlier --json, and exits with 1 then

Suites, and their cases:
${listed.join('')}`
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        rounds: { type: 'string', default: '5' },
        json: { type: 'string' },
        plot: { type: 'string' },
        compare: { type: 'string' },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function casesOf(
  wanted: readonly string[],
  suites: Readonly<Record<string, Suite>>,
): Map<string, readonly string[]> {
  const known = Object.entries(suites).flatMap(([name, { cases }]) => [
    name,
    ...cases.map((one) => `${name}/${one}`),
  ])
  const unknown = wanted.find((each) => !known.includes(each))
  if (unknown !== undefined) throw new UsageError(`there is no suite or case ${unknown}`)
  const found = Object.entries(suites).map(([name, { cases }]) => {
    const some = cases.filter((one) => wanted.includes(`${name}/${one}`))
    return [name, wanted.includes(name) ? cases : some] as const
  })
  return new Map(found.filter(([, cases]) => cases.length > 0))
}
