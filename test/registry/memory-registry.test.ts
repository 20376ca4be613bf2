import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { RegistryError } from '../../src/registry/errors.ts'
import { MemoryRegistry } from '../../src/registry/memory-registry.ts'
import type { Claim } from '../../src/registry/registry.ts'

interface Holder {
  readonly id: string
}

interface Route extends Claim<Holder> {
  readonly target: string
}

const nas: Holder = { id: 'nas' }
const pi: Holder = { id: 'pi' }

function route(holder: Holder, name: string, target = ':80'): Route {
  return { name, holder, target }
}

const taken = (claimedName: string) => ({ code: 'REGISTRY_NAME_TAKEN', claimedName })

/** A registry, and what its listeners heard: `+name holder`, `-name holder`. */
function heardRegistry(): { registry: MemoryRegistry<Route>; heard: string[] } {
  const registry = new MemoryRegistry<Route>()
  const heard: string[] = []
  registry.on('claim', (claim) => heard.push(`+${claim.name} ${claim.holder.id}`))
  registry.on('release', (claim) => heard.push(`-${claim.name} ${claim.holder.id}`))
  return { registry, heard }
}

t.test('who claims a name holds it, until released', async (t) => {
  const { registry, heard } = heardRegistry()
  const claims = [route(nas, 'a.test'), route(nas, 'b.test')]
  registry.claim(claims)
  registry.claim([route(pi, 'c.test')])
  t.equal(registry.lookup('a.test'), claims[0])
  t.equal(registry.lookup('b.test'), claims[1])
  t.equal(registry.lookup('A.test'), undefined, 'names compare as they are')
  t.equal(registry.size, 3)
  t.strictSame(
    [...registry].map((claim) => claim.name),
    ['a.test', 'b.test', 'c.test'],
  )

  registry.release(nas)
  t.equal(registry.lookup('a.test'), undefined)
  t.equal(registry.lookup('c.test')?.holder, pi)
  t.equal(registry.size, 1)
  registry.release(nas)
  registry.release({ id: 'nobody' })
  t.strictSame(heard, ['+a.test nas', '+b.test nas', '+c.test pi', '-a.test nas', '-b.test nas'])
  registry.claim([route(pi, 'a.test')])
  t.equal(registry.lookup('a.test')?.holder, pi, 'free for the next')
})

t.test('takes all names or none', async (t) => {
  const { registry, heard } = heardRegistry()
  registry.claim([route(nas, 'b.test'), route(nas, 'd.test')])
  const names = ['a.test', 'b.test', 'c.test', 'd.test']
  try {
    registry.claim(names.map((name) => route(pi, name)))
    t.fail('took a name that is held')
  } catch (error) {
    t.type(error, RegistryError)
    t.match(error, {
      code: 'REGISTRY_NAME_TAKEN',
      claimedName: 'b.test',
      message: /^b.test is held by another agent, or was a moment ago; stop that agent or/,
    })
  }
  t.strictSame(
    names.map((name) => registry.lookup(name)?.holder),
    [undefined, nas, undefined, nas],
  )
  t.strictSame(heard, ['+b.test nas', '+d.test nas'])
  registry.release(pi)
  t.equal(registry.size, 2)
  registry.claim([])
  t.equal(registry.size, 2)
})

t.test('a holder may claim its own name again, and the later claim holds', async (t) => {
  const { registry, heard } = heardRegistry()
  registry.claim([route(nas, 'a.test', ':1')])
  registry.claim([route(nas, 'a.test', ':2'), route(nas, 'b.test')])
  t.equal(registry.lookup('a.test')?.target, ':2')
  t.equal(registry.size, 2)
  t.strictSame(heard, ['+a.test nas', '-a.test nas', '+a.test nas', '+b.test nas'])
  registry.release(nas)
  t.equal(registry.size, 0)
  t.strictSame(heard.slice(4), ['-a.test nas', '-b.test nas'])
})

t.test(
  'a name twice in one call is one claim, or two holders that cannot both have it',
  async (t) => {
    const { registry, heard } = heardRegistry()
    registry.claim([route(nas, 'a.test', ':1'), route(nas, 'a.test', ':2')])
    t.equal(registry.lookup('a.test')?.target, ':2')
    t.strictSame(heard, ['+a.test nas'])
    t.throws(() => registry.claim([route(nas, 'b.test'), route(pi, 'b.test')]), {
      code: 'REGISTRY_NAME_TAKEN',
      claimedName: 'b.test',
    })
    t.equal(registry.lookup('b.test'), undefined)
  },
)

t.test('the same agent takes a name over from its last holder', async (t) => {
  const { registry, heard } = heardRegistry()
  const owner = { bearer: 'secret', agentId: 'shed' }
  registry.claim([
    { ...route(nas, 'a.test'), owner },
    { ...route(nas, 'b.test'), owner },
  ])
  const others = [
    undefined,
    { bearer: 'secret', agentId: 'office' },
    { bearer: 'secret', agentId: undefined },
    { bearer: 'name:alice', agentId: 'shed' },
  ]
  for (const other of others) {
    const claims = [route(pi, 'c.test'), { ...route(pi, 'a.test'), owner: other }]
    t.throws(() => registry.claim(claims), taken('a.test'))
  }
  registry.claim([{ ...route(pi, 'a.test'), owner: { ...owner } }])
  t.equal(registry.lookup('a.test')?.holder, pi)
  t.equal(registry.lookup('b.test')?.holder, nas, 'which keeps what was not asked for')
  registry.release(nas)
  t.equal(registry.lookup('a.test')?.holder, pi)
  t.equal(registry.size, 1)
  t.strictSame(heard, ['+a.test nas', '+b.test nas', '-a.test nas', '+a.test pi', '-b.test nas'])
})

t.test('a holder replaces all that it has, or nothing', async (t) => {
  const { registry, heard } = heardRegistry()
  registry.claim([route(nas, 'a.test'), route(nas, 'b.test'), route(pi, 'c.test')])
  t.throws(
    () => registry.replace(nas, [route(nas, 'd.test'), route(nas, 'c.test')]),
    taken('c.test'),
  )
  t.equal(registry.size, 3)
  heard.length = 0
  registry.replace(nas, [route(nas, 'b.test', ':2'), route(nas, 'd.test')])
  t.strictSame(heard, ['-a.test nas', '-b.test nas', '+b.test nas', '+d.test nas'])
  t.equal(registry.lookup('a.test'), undefined)
  t.equal(registry.lookup('b.test')?.target, ':2')
  t.equal(registry.size, 3)
  registry.replace(nas, [])
  t.equal(registry.size, 1)
})

t.test('an owner that does not say which agent it is takes nothing over', async (t) => {
  const { registry } = heardRegistry()
  const owner = { bearer: 'secret', agentId: undefined }
  registry.claim([{ ...route(nas, 'a.test'), owner }])
  t.throws(() => registry.claim([{ ...route(pi, 'a.test'), owner }]), taken('a.test'))
})

t.test('names of a lost holder', async (t) => {
  const alice = { bearer: 'name:alice', agentId: 'shed' }
  const bob = { bearer: 'name:bob', agentId: 'shed' }
  const lose = (t: Test) => {
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const { registry, heard } = heardRegistry()
    registry.claim([{ ...route(nas, 'a.test'), owner: alice }])
    registry.reserve(nas)
    t.equal(registry.size, 0)
    t.strictSame(heard, ['+a.test nas', '-a.test nas'])
    return registry
  }

  t.test('wait a minute for whoever they were held for', async (t) => {
    const registry = lose(t)
    t.clock.advance(59_999)
    for (const owner of [bob, undefined]) {
      const claims = [route(pi, 'b.test'), { ...route(pi, 'a.test'), owner }]
      t.throws(() => registry.claim(claims), taken('a.test'))
    }
    registry.claim([{ ...route(pi, 'a.test'), owner: { ...alice, agentId: 'office' } }])
    registry.release(pi)
    registry.claim([{ ...route(pi, 'a.test'), owner: bob }])
    t.equal(registry.lookup('a.test')?.holder, pi, 'not after a release')
  })

  t.test('are free then', async (t) => {
    const registry = lose(t)
    t.clock.advance(60_000)
    registry.claim([{ ...route(pi, 'a.test'), owner: bob }])
    t.equal(registry.lookup('a.test')?.holder, pi)
  })

  t.test('are held for nobody who cannot be told from others', async (t) => {
    const { registry } = heardRegistry()
    registry.claim([route(nas, 'a.test')])
    registry.claim([{ ...route(nas, 'b.test'), owner: { ...alice, agentId: undefined } }])
    registry.reserve(nas)
    registry.claim([
      { ...route(pi, 'a.test'), owner: bob },
      { ...route(pi, 'b.test'), owner: bob },
    ])
    t.equal(registry.size, 2)
  })

  t.test('a thousand rivals get none of them', async (t) => {
    const registry = lose(t)
    for (let rival = 0; rival < 1_000; rival += 1) {
      t.clock.advance(59)
      const owner = { bearer: `name:${rival}`, agentId: 'shed' }
      t.throws(() => registry.claim([{ ...route(pi, 'a.test'), owner }]))
    }
  })
})

t.test('a name is only a name, even one that objects know', async (t) => {
  const { registry } = heardRegistry()
  for (const name of ['__proto__', 'constructor', 'toString', '']) {
    t.equal(registry.lookup(name), undefined)
    registry.claim([route(nas, name)])
    t.equal(registry.lookup(name)?.name, name)
  }
})

t.test('a listener sees the registry as it is after the change', async (t) => {
  const registry = new MemoryRegistry<Route>()
  const sizes: number[] = []
  registry.on('claim', () => sizes.push(registry.size))
  registry.on('release', () => sizes.push(registry.size))
  registry.claim([route(nas, 'a.test'), route(nas, 'b.test')])
  registry.release(nas)
  t.strictSame(sizes, [2, 2, 0, 0])
})

t.test('a listener that changes the registry is heard in the order of the changes', async (t) => {
  const { registry, heard } = heardRegistry()
  registry.once('claim', () => {
    registry.release(nas)
    registry.claim([route(pi, 'b.test')])
  })
  registry.claim([route(nas, 'a.test'), route(nas, 'b.test')])
  t.strictSame(heard, ['+a.test nas', '+b.test nas', '-a.test nas', '-b.test nas', '+b.test pi'])
  t.equal(registry.lookup('b.test')?.holder, pi)
  t.equal(registry.size, 1)
})

t.test('a listener that throws undoes nothing, and its error is not lost', async (t) => {
  const { registry, heard } = heardRegistry()
  const bug = new Error('a bug in a listener')
  const thrownLater = t.capture(globalThis, 'queueMicrotask', () => {})
  registry.prependListener('claim', (claim) => {
    if (claim.name === 'a.test') throw bug
  })
  registry.prependListener('release', () => {
    throw bug
  })
  registry.claim([route(nas, 'a.test'), route(nas, 'b.test')])
  t.strictSame([...registry].length, 2)
  t.strictSame(heard, ['+b.test nas'], 'the other events are told')
  registry.release(nas)
  t.equal(registry.size, 0)
  registry.claim([route(pi, 'a.test')])
  t.equal(registry.lookup('a.test')?.holder, pi)

  const errors = thrownLater()
  t.equal(errors.length, 4)
  for (const { args } of errors) t.throws(args[0] as () => void, bug)
})

t.test('release takes as long as the holder has names, whatever others have', async (t) => {
  const registry = new MemoryRegistry<Route>()
  const many = Array.from({ length: 50_000 }, (_, n) => route(nas, `${n}.test`))
  registry.claim(many)
  const started = process.hrtime.bigint()
  for (let round = 0; round < 10_000; round++) {
    registry.claim([route(pi, 'pi.test')])
    registry.release(pi)
  }
  const tookMs = Number(process.hrtime.bigint() - started) / 1e6
  // Going through all names would be 5·10⁸ steps: many seconds. This takes some 10 ms.
  t.ok(tookMs < 2000, `10,000 rounds took ${tookMs.toFixed()} ms`)
  t.equal(registry.size, 50_000)
})

t.test('behaves as a plain list of names and holders does', async () => {
  const holders = ['h0', 'h1', 'h2'].map((id): Holder => ({ id }))
  const names = ['a', 'b', 'c', 'd', '__proto__']
  const holder = fc.constantFrom(...holders)
  const name = fc.constantFrom(...names)
  const change = fc.oneof(
    { weight: 3, arbitrary: fc.tuple(holder, fc.array(name, { maxLength: 4 })) },
    { weight: 1, arbitrary: fc.tuple(holder) },
    // Claims of several holders in one call are odd, and no exception to the rules.
    { weight: 1, arbitrary: fc.array(fc.tuple(holder, name), { maxLength: 4 }).map((x) => [x]) },
  )
  fc.assert(
    fc.property(fc.array(change as fc.Arbitrary<unknown[]>, { maxLength: 30 }), (changes) => {
      const { registry, heard } = heardRegistry()
      let model: Route[] = []
      for (const [first, list] of changes) {
        if (!Array.isArray(first) && list === undefined) {
          registry.release(first as Holder)
          model = model.filter((claim) => claim.holder !== first)
        } else {
          const claims = Array.isArray(first)
            ? (first as [Holder, string][]).map(([by, name]) => route(by, name))
            : (list as string[]).map((name) => route(first as Holder, name))
          const [taken, next] = claimInModel(model, claims)
          if (claimIn(registry, claims) !== taken) return false
          model = next
        }
        if (!agrees(registry, model, names) || !replays(heard, model)) return false
      }
      return true
    }),
    { numRuns: 3000 },
  )
})

/** The name that is in the way, and the claims as they are afterwards. */
function claimInModel(model: Route[], claims: Route[]): [string | undefined, Route[]] {
  const next = [...model]
  for (const claim of claims) {
    const index = next.findIndex((held) => held.name === claim.name)
    if (index < 0) next.push(claim)
    else if (next[index]?.holder === claim.holder) next[index] = claim
    else return [claim.name, model]
  }
  return [undefined, next]
}

function claimIn(registry: MemoryRegistry<Route>, claims: Route[]): string | undefined {
  try {
    registry.claim(claims)
    return undefined
  } catch (error) {
    if (error instanceof RegistryError) return error.claimedName
    throw error
  }
}

function agrees(registry: MemoryRegistry<Route>, model: Route[], names: string[]): boolean {
  return (
    registry.size === model.length &&
    isDeepStrictEqual(new Set(registry), new Set(model)) &&
    names.every((name) => registry.lookup(name) === model.find((claim) => claim.name === name))
  )
}

/** Whether who only listened knows the same. */
function replays(heard: string[], model: Route[]): boolean {
  const known = new Set<string>()
  for (const event of heard) {
    const changed = event[0] === '+' ? !known.has(event.slice(1)) : known.has(event.slice(1))
    if (!changed) return false
    if (event[0] === '+') known.add(event.slice(1))
    else known.delete(event.slice(1))
  }
  return isDeepStrictEqual(known, new Set(model.map((claim) => `${claim.name} ${claim.holder.id}`)))
}
