import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { ScaleResult } from './scale.ts'
import { readText } from './session-pair.ts'

// Many streams, and what floods cost in memory, measured after gc in a process that
// does nothing else. See scale.ts.

const MIB = 1024 * 1024
const script = fileURLToPath(new URL('./scale.ts', import.meta.url))

async function scale(t: Test, ...scenarios: string[]): Promise<ScaleResult[]> {
  const child = spawn(
    process.execPath,
    [...process.execArgv, '--expose-gc', script, ...scenarios],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  t.teardown(() => child.kill())
  const [output, [code]] = await Promise.all([readText(child.stdout), once(child, 'exit')])
  if (code !== 0) throw new Error(`scale.ts exits ${code}: ${output}`)
  const results = output.trim().split('\n')
  for (const line of results) t.comment(line)
  return results.map((line) => JSON.parse(line) as ScaleResult)
}

t.test('floods cost their session, and little memory', { timeout: 0 }, async (t) => {
  const [opens, pings, unread, crumbs] = await scale(
    t,
    ...['opens=100000', 'pings=1000000', 'unread=1000', 'crumbs=4'],
  )

  t.test('a peer that opens 100,000 streams is out, and its 20,000 are freed', async (t) => {
    t.equal(opens?.ended, 'MUX_FLOOD')
    t.ok((opens?.count ?? 0) < 60_000)
    t.ok((opens?.peakHeapBytes ?? MIB ** 2) < 64 * MIB)
    t.ok((opens?.keptBytes ?? MIB ** 2) < 5 * MIB)
  })

  t.test('a peer that sends a million pings is out, memory flat', async (t) => {
    t.equal(pings?.ended, 'MUX_FLOOD')
    t.ok((pings?.peakHeapBytes ?? MIB ** 2) < 2 * MIB)
  })

  t.test('250 MiB for readers that never read are held to the limit of 32', async (t) => {
    t.equal(unread?.ended, undefined)
    t.equal(unread?.errors, 1_000 - 128, 'streams reset')
    t.ok((unread?.peakHeapBytes ?? MIB ** 2) < 96 * MIB)
    t.ok((unread?.keptBytes ?? MIB ** 2) < 5 * MIB)
  })

  t.test('a MiB in frames of a byte costs little more than a MiB', async (t) => {
    t.same([crumbs?.ended, crumbs?.errors, crumbs?.count], [undefined, 0, 4 * 256 * 1024])
    t.ok((crumbs?.peakHeapBytes ?? MIB ** 2) < 4 * MIB)
  })
})

t.test('many streams, side by side and one after another', { timeout: 0 }, async (t) => {
  const [many, churn] = await scale(t, 'many=1000', 'churn=100000')

  t.test('1,000 streams at once all have their echo', async (t) => {
    t.same([many?.count, many?.errors], [1_000, 0])
    t.ok((many?.keptBytes ?? MIB ** 2) < 5 * MIB)
  })

  t.test('100,000 streams opened, used and closed leave the heap where it was', async (t) => {
    t.same([churn?.count, churn?.errors], [100_000, 0])
    t.ok((churn?.keptBytes ?? MIB ** 2) < 5 * MIB)
  })
})
