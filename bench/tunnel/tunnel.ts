import { installTools, pathOf } from '../../test/support/tools.js'
import type { SuiteOptions } from '../main.ts'
import { compare, type Result } from '../measure.ts'
import { BenchScope } from '../scope.ts'
import { tunnelCases } from './cases.ts'
import { startWays } from './ways.ts'

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
    const ways = await startWays(scope)
    for (const [name, each] of Object.entries(tunnelCases(scope))) {
      if (!wants(name)) continue
      const contestants = ways.map((way) => [way.name, () => each.run(way)] as const)
      yield* await compare(each.metrics, Object.fromEntries(contestants), each.rounds ?? rounds)
    }
  } finally {
    await scope.end()
  }
}
