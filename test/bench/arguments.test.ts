import t from 'tap'
import { parseArguments, usage } from '../../bench/arguments.ts'
import { type Suite, suiteOf } from '../../bench/measure.ts'

const nothing = async function* () {}
const suites: Record<string, Suite> = {
  tunnel: suiteOf({ get: nothing, download: nothing }),
  mux: suiteOf({ send: nothing }),
}
const parse = (...args: string[]) => parseArguments(args, suites)

t.test('everything, some suites, or single cases, in the order of the suites', async (t) => {
  const all = { tunnel: ['get', 'download'], mux: ['send'] }
  for (const [args, cases] of [
    [[], all],
    [['mux'], { mux: ['send'] }],
    [['mux', 'tunnel/download'], { tunnel: ['download'], mux: ['send'] }],
    [['tunnel/download', 'tunnel/get', 'tunnel/get'], { tunnel: all.tunnel }],
    [['tunnel/get', 'tunnel'], { tunnel: all.tunnel }],
  ] as const) {
    const parsed = parse(...args)
    const found = parsed === 'help' ? [] : parsed.cases
    t.strictSame(Object.fromEntries(found), cases, args.join(' '))
  }
  t.match(parse('--rounds', '3', '--json', 'a', '--plot', 'b', '--compare', 'c'), {
    ...{ rounds: 3, json: 'a', plot: 'b', compare: 'c' },
  })
  t.match(parse(), { rounds: 5, json: undefined })
})

t.test('what there is not is told, and nothing is measured', async (t) => {
  for (const [args, message] of [
    [['nosuch'], /no suite or case nosuch/],
    [['tunnel', 'tunnel/send'], /no suite or case tunnel\/send/],
    [['toString'], /no suite or case toString/],
    [['--rounds', '0'], /--rounds 0: a whole number/],
    [['--rounds', '1.5'], /--rounds 1\.5: /],
    [['--round', '1'], /--round/],
    [['mux', '--plot', 'x.svg'], /--plot draws the suite tunnel/],
  ] as const) {
    t.throws(() => parse(...args), { name: 'UsageError', message })
  }
  t.equal(parse('--help', 'mux'), 'help')
  t.match(usage(suites), /^ {2}tunnel: get download\n {2}mux: send\n$/m)
})
