import fc from 'fast-check'
import t from 'tap'
import { canonicalHostname, matchesHostname } from '../../src/net/hostname.ts'
import { accepted, printable, refused } from './hostname-forms.ts'

t.test('a name has one canonical form', async (t) => {
  for (const [name, forms] of Object.entries(accepted)) {
    for (const form of forms) t.equal(canonicalHostname(form), name, form)
  }
})

t.test('what is not the name of a host has none', async (t) => {
  for (const [why, forms] of Object.entries(refused)) {
    for (const form of forms) {
      t.equal(canonicalHostname(form), undefined, `${why}: ${printable(form)}`)
    }
  }
})

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom(...'aAzZ09-._:*[]@/% \0\u212aé') }),
  fc.domain().map((name) => name.toUpperCase()),
)

t.test('canonical is idempotent, and only ever plain labels', async () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const name = canonicalHostname(text)
      if (name === undefined) return
      if (!/^[a-z0-9.-]{1,253}$/.test(name) || /^\.|\.$|\.\./.test(name)) throw new Error(name)
      if (canonicalHostname(name) !== name) throw new Error(`${name} is not its own form`)
    }),
    { numRuns: 20_000 },
  )
})

t.test('case, a port and the trailing dot make no difference', async (t) => {
  fc.assert(
    fc.property(fc.domain(), fc.nat(65_535), (name, port) => {
      const canonical = canonicalHostname(name)
      if (canonical === undefined) return // a last label such as `0xa`
      t.equal(canonical, name.toLowerCase())
      for (const form of [name.toUpperCase(), `${name}.`, `${name}:${port}`, `${name}.:${port}`]) {
        t.equal(canonicalHostname(form), canonical)
      }
    }),
  )
})

t.test('a pattern is a name, or stands for exactly one label more', async (t) => {
  const cases: [pattern: string, name: string, matches: boolean][] = [
    ['app.example.com', 'app.example.com', true],
    ['APP.example.com.', 'app.EXAMPLE.com:443', true],
    ['app.example.com', 'example.com', false],
    ['app.example.com', 'xapp.example.com', false],
    ['example.com', 'app.example.com', false],
    ['*.example.com', 'app.example.com', true],
    ['*.Example.COM', 'APP.example.com', true],
    ['*.example.com', 'app.example.com.:443', true],
    ['*.example.com', 'example.com', false],
    ['*.example.com', 'a.b.example.com', false],
    ['*.example.com', 'appexample.com', false],
    ['*.example.com', '.example.com', false],
    ['*.example.com', 'app.example.com.evil.com', false],
    ['*.example.com', 'app.example.org', false],
    ['*.example.com', '*.example.com', false],
    ['*.com', 'example.com', true],
    ['*', 'example', false],
    ['*.', 'example', false],
    ['*', '*', false],
    ['*.*.com', 'a.b.com', false],
    ['a*.example.com', 'app.example.com', false],
    ['app.*.com', 'app.example.com', false],
    ['**.example.com', 'app.example.com', false],
    ['', '', false],
    ['*.0.0.1', '127.0.0.1', false],
    ['127.0.0.1', '127.0.0.1', false],
  ]
  for (const [pattern, name, expected] of cases) {
    t.equal(matchesHostname(pattern, name), expected, `${pattern} and ${name}`)
  }
})
