import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Result } from '../../bench/measure.ts'
import { compareReports, type Report, readReport } from '../../bench/report/comparison.ts'

/** Of one suite: medians by contestant, each with a spread of a twentieth. */
function report(
  medians: Record<string, Record<string, number>>,
  better: Result['better'] = 'more',
): Report {
  const results = Object.entries(medians).map(([name, of]) => {
    const figures = Object.entries(of).map(([who, median]) => [who, { median, spread: 0.05 }])
    return { name, unit: 'x', better, figures: Object.fromEntries(figures) }
  })
  return { machine: 'here', suites: { tunnel: results } }
}

t.test('a ratio is worse when it is so by more than the spreads', async (t) => {
  const before = report({ get: { nginx: 100, ours: 50 } })
  const worse = ({ worse }: { worse: readonly string[] }) => worse
  const now = (nginx: number, ours: number) => report({ get: { nginx, ours } })
  t.strictSame(worse(compareReports(before, now(100, 50))), [])
  t.strictSame(worse(compareReports(before, now(10, 5))), [], 'a slower machine')
  t.strictSame(worse(compareReports(before, now(100, 42))), [], 'within the spreads')
  t.strictSame(worse(compareReports(before, now(100, 90))), [], 'better')
  t.strictSame(worse(compareReports(before, now(100, 40))), [
    'tunnel: get, ours: 0.50 of nginx before, 0.40 now',
  ])
  t.strictSame(worse(compareReports(before, now(200, 50))).length, 1, 'nginx alone became faster')
  const time = (ours: number) => report({ cpu: { nginx: 10, ours } }, 'less')
  t.strictSame(worse(compareReports(time(20), time(10))), [], 'less is better here')
  t.strictSame(worse(compareReports(time(20), time(30))).length, 1)
})

t.test('what was not measured before is not passed over in silence', async (t) => {
  const before = report({ get: { nginx: 100, ours: 50 } })
  const now = report({ get: { nginx: 100, ours: 50, new: 1 }, put: { nginx: 100, ours: 1 } })
  t.strictSame(compareReports(before, now), { worse: [], isNew: ['tunnel: put'] })
  t.strictSame(compareReports({ machine: '', suites: {} }, before).isNew, ['tunnel: get'])
})

t.test('a report is read back, and nothing else is taken for one', async (t) => {
  const file = join(t.testdir(), 'report.json')
  const written = report({ get: { nginx: 100, ours: 50 } })
  writeFileSync(file, JSON.stringify(written))
  t.strictSame(readReport(file), written)
  for (const text of ['', 'null', '[]', '{}', '{"suites":{"tunnel":1}}']) {
    writeFileSync(file, text)
    t.throws(
      () => readReport(file),
      { message: /report\.json is no report of npm run bench/ },
      text,
    )
  }
  t.throws(() => readReport(join(file, 'x')), { message: /ENOTDIR/ })
})
