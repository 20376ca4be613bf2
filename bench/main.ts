// npm run bench -- --help
import { accessSync, constants, writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { dirname } from 'node:path'
import { type Arguments, parseArguments, usage } from './arguments.ts'
import type { Result, Suite } from './measure.ts'
import { muxSuite } from './mux/mux.ts'
import { programsSuite } from './programs.ts'
import { registrySuite } from './registry.ts'
import { compareReports, type Report, readReport } from './report/comparison.ts'
import { plot } from './report/plot.ts'
import { heading, row } from './report/table.ts'
import { tunnelSuite } from './tunnel/tunnel.ts'
import { UsageError } from './usage-error.ts'

const suites: Readonly<Record<string, Suite>> = {
  tunnel: tunnelSuite,
  programs: programsSuite,
  registry: registrySuite,
  mux: muxSuite,
}

try {
  const asked = parseArguments(process.argv.slice(2), suites)
  if (asked === 'help') console.log(usage(suites))
  else process.exitCode = await bench(asked)
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(`error: ${error.message}\n\n${usage(suites)}`)
  process.exitCode = 2
}
process.exit() // what a peer may still hold open is not waited for

/** Gives the exit code. */
async function bench({ cases, rounds, ...files }: Arguments): Promise<number> {
  for (const file of [files.json, files.plot]) if (file !== undefined) checkWritable(file)
  const before = files.compare === undefined ? undefined : readReport(files.compare)
  const results: Record<string, Result[]> = {}
  for (const [name, some] of cases) {
    results[name] = await printed((suites[name] as Suite).run(some, rounds))
  }
  const report: Report = { machine: describeMachine(), suites: results }
  console.log(`\n${report.machine}`)
  if (files.json) writeFileSync(files.json, `${JSON.stringify(report, undefined, 2)}\n`)
  if (files.plot) {
    const title = 'gotunnel, and what it is compared to'
    writeFileSync(files.plot, plot(title, results.tunnel ?? []))
  }
  if (before === undefined) return 0
  const { worse, isNew } = compareReports(before, report)
  for (const what of isNew) console.log(`not compared, as ${files.compare} has none: ${what}`)
  console.log(worse.join('\n') || 'no ratio that was compared is worse than before')
  return worse.length > 0 ? 1 : 0
}

/** Now, not after half an hour. @throws UsageError */
function checkWritable(file: string): void {
  try {
    accessSync(dirname(file), constants.W_OK)
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

async function printed(coming: AsyncIterable<Result>): Promise<Result[]> {
  const results: Result[] = []
  let names: string[] = []
  for await (const result of coming) {
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
