import { MemoryRegistry } from '../src/registry/memory-registry.ts'
import { compare, cpuSeconds, type Metric, type Result, type Suite, suiteOf } from './measure.ts'

const names = Array.from({ length: 100_000 }, (_, at) => `app-${at}.example.com`)
const metrics: readonly Metric[] = [
  { name: '100,000 names, one an agent: claimed', unit: 'claims/s', better: 'more' },
  { name: '100,000 names: looked up', unit: 'lookups/s', better: 'more' },
]

/** Claims and look-ups, beside a bare Map, which no registry can beat. */
export const registrySuite: Suite = suiteOf({ claims })

async function* claims(rounds: number): AsyncGenerator<Result> {
  yield* await compare(
    metrics,
    { 'a Map alone': async () => bareMap(), ours: async () => ours() },
    rounds,
  )
}

async function ours(): Promise<number[]> {
  const registry = new MemoryRegistry<{ name: string; holder: object }>()
  const claiming = await cpuSeconds(async () => {
    for (const name of names) registry.claim([{ name, holder: {} }])
  })
  return [names.length / claiming, await lookups((name) => registry.lookup(name))]
}

async function bareMap(): Promise<number[]> {
  const map = new Map<string, object>()
  const claiming = await cpuSeconds(async () => {
    for (const name of names) map.set(name, { name, holder: {} })
  })
  return [names.length / claiming, await lookups((name) => map.get(name))]
}

async function lookups(lookup: (name: string) => unknown): Promise<number> {
  let found = 0
  const seconds = await cpuSeconds(async () => {
    for (let turn = 0; turn < 10; turn++) {
      for (const name of names) if (lookup(name) !== undefined) found += 1
    }
  })
  return found / seconds
}
