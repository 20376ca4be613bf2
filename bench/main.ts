// npm run bench -- [SUITE[/CASE] ...] [--rounds N] [--json FILE] [--plot FILE] [--compare FILE]
import { writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { parseArgs } from 'node:util'
import type { Result, SuiteOptions } from './measure.ts'
import { benchMux } from './mux/mux.ts'
import { benchPrograms } from './programs.ts'
import { benchRegistry } from './registry.ts'
import { plot } from './report/plot.ts'
import { type Report, readReport, regressions } from './report/regressions.ts'
import { heading, row } from './report/table.ts'
import { benchTunnel } from './tunnel/tunnel.ts'

/** Gives its results as they come. */
type Suite = (options: SuiteOptions) => AsyncIterable<Result>

const suites: Readonly<Record<string, Suite>> = {
  tunnel: benchTunnel,
  programs: benchPrograms,
  registry: benchRegistry,
  mux: benchMux,
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    json: { type: 'string' },
    plot: { type: 'string' },
    compare: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
const wanted = positionals.length > 0 ? positionals : Object.keys(suites)
const unknown = wanted.find((name) => !Object.hasOwn(suites, name.split('/')[0] ?? ''))
if (unknown !== undefined || !Number.isInteger(rounds) || rounds < 1) {
  console.error(
    `usage: npm run bench -- [${Object.keys(suites).join('|')}[/CASE] ...] [--rounds N]`,
  )
  process.exit(2)
}
const before = values.compare === undefined ? undefined : readReport(values.compare)

const report: Report = { machine: describeMachine(), suites: await runAll() }
console.log(`\n${report.machine}`)
if (values.json) writeFileSync(values.json, `${JSON.stringify(report, undefined, 2)}\n`)
if (values.plot) {
  const { tunnel = [] } = report.suites
  writeFileSync(values.plot, plot('gotunnel, and what it is compared to', tunnel))
}
const worse = before === undefined ? [] : regressions(before, report)
if (before !== undefined) console.log(worse.join('\n') || 'no ratio is worse than before')
process.exit(worse.length > 0 ? 1 : 0)

async function runAll(): Promise<Record<string, Result[]>> {
  const all: Record<string, Result[]> = {}
  for (const [name, suite] of Object.entries(suites)) {
    const cases = wanted.filter((each) => each === name || each.startsWith(`${name}/`))
    if (cases.length === 0) continue
    const wants = (one: string) => cases.includes(name) || cases.includes(`${name}/${one}`)
    all[name] = await run(suite, { rounds, wants })
  }
  return all
}

async function run(suite: Suite, options: SuiteOptions): Promise<Result[]> {
  const results: Result[] = []
  let names: string[] = []
  for await (const result of suite(options)) {
    const missing = Object.keys(result.figures).filter((name) => !names.includes(name))
    if (missing.length > 0) {
      names = [...names, ...missing]
      console.log(`\n${heading(names)}`)
    }
    console.log(row(result, names))
    results.push(result)
  }
  return results
}

function describeMachine(): string {
  const [cpu] = cpus()
  return `Node ${process.versions.node}, ${cpus().length} × ${cpu?.model.trim()}, ${process.platform} ${release()}`
}
