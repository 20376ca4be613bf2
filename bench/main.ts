// npm run bench -- CASE [--rounds N]   runs one case; without a name, all of them.
import { parseArgs } from 'node:util'
import { benchMux } from './mux/mux.ts'

const cases: Record<string, (options: { rounds: number }) => Promise<void>> = { mux: benchMux }

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '5' } },
})
const names = positionals.length > 0 ? positionals : Object.keys(cases)
for (const name of names) {
  const run = cases[name]
  if (run === undefined) {
    console.error(`no case '${name}'; there are: ${Object.keys(cases).join(', ')}`)
    process.exit(2)
  }
  await run({ rounds: Number(values.rounds) })
}
process.exit(0)
