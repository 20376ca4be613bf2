import { installTools, pathOf } from '../../test/support/tools.js'
import { type Contestant, compare, type Result, type SuiteOptions } from '../measure.ts'
import { BenchScope } from '../scope.ts'
import { type Case, tunnelCases } from './cases.ts'
import { startWays, type Way } from './ways.ts'

const tools = ['curl', 'h2load', 'nginx', 'ssh', 'sshd', 'wrk']

/** Whole tunnels, as real processes under real load, beside nginx without one. */
export async function* benchTunnel({ rounds, wants }: SuiteOptions): AsyncGenerator<Result> {
  if (tools.some((tool) => pathOf(tool) === undefined)) installTools()
  const lacking = tools.filter((tool) => pathOf(tool) === undefined)
  if (lacking.length > 0) {
    console.error(`tunnel: NOT measured, without ${lacking.join(', ')}`)
    return
  }
  const scope = new BenchScope()
  try {
    const cases = Object.entries(tunnelCases(scope)).filter(([name]) => wants(name))
    const alone = cases.filter(([, each]) => each.isFresh || each.roundTripMs)
    for (const [, each] of alone) yield* await measureAlone(each, rounds)
    if (alone.length === cases.length) return
    const ways = await startWays(scope)
    for (const [, each] of cases.filter((one) => !alone.includes(one))) {
      yield* await compare(each.metrics, contestantsOf(each, ways), rounds)
    }
  } finally {
    await scope.end()
  }
}

/** With programs of its own. */
async function measureAlone(each: Case, rounds: number): Promise<Result[]> {
  const scope = new BenchScope()
  try {
    const contestants = contestantsOf(each, await startWays(scope, each.roundTripMs))
    return each.isFresh
      ? await compare(each.metrics, contestants, 1, { warmUps: 0 })
      : await compare(each.metrics, contestants, rounds)
  } finally {
    await scope.end()
  }
}

function contestantsOf({ run }: Case, ways: readonly Way[]): Record<string, Contestant> {
  return Object.fromEntries(ways.map((way) => [way.name, () => run(way)]))
}
