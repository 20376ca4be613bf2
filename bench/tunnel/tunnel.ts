import { installTools, pathOf } from '../../test/support/tools.js'
import { type Contestant, compare, type Result, type Suite } from '../measure.ts'
import { BenchScope, inScope } from '../scope.ts'
import { type Case, tunnelCases } from './cases.ts'
import { startWays, type Way } from './ways.ts'

const tools = ['curl', 'h2load', 'nginx', 'ssh', 'sshd', 'wrk']

/** Whole tunnels, as real processes under real load, beside nginx without one. */
export const tunnelSuite: Suite = {
  cases: Object.keys(tunnelCases),
  async *run(names, rounds) {
    if (tools.some((tool) => pathOf(tool) === undefined)) installTools()
    const lacking = tools.filter((tool) => pathOf(tool) === undefined)
    if (lacking.length > 0) {
      console.error(`tunnel: NOT measured, without ${lacking.join(', ')}`)
      return
    }
    const cases = names.flatMap((name) => tunnelCases[name] ?? [])
    for (const each of cases.filter(isAlone)) yield* await measureAlone(each, rounds)
    const others = cases.filter((each) => !isAlone(each))
    if (others.length > 0) yield* measureTogether(others, rounds)
  },
}

function isAlone({ isFresh, roundTripMs }: Case): boolean {
  return isFresh === true || roundTripMs !== undefined
}

/** With the same programs for all of them. */
async function* measureTogether(cases: readonly Case[], rounds: number): AsyncGenerator<Result> {
  const scope = new BenchScope()
  try {
    const ways = await startWays(scope)
    for (const each of cases) yield* await compare(each.metrics, contestantsOf(each, ways), rounds)
  } finally {
    await scope.end()
  }
}

/** With programs of its own. */
function measureAlone(each: Case, rounds: number): Promise<Result[]> {
  return inScope(async (scope) => {
    const contestants = contestantsOf(each, await startWays(scope, each.roundTripMs))
    return each.isFresh
      ? compare(each.metrics, contestants, 1, { warmUps: 0 })
      : compare(each.metrics, contestants, rounds)
  })
}

function contestantsOf({ run }: Case, ways: readonly Way[]): Record<string, Contestant> {
  return Object.fromEntries(ways.map((way) => [way.name, () => run(way)]))
}
