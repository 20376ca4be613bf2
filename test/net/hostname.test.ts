import fc from 'fast-check'
import t from 'tap'
import { canonicalHostname, matchesHostname } from '../../src/net/hostname.ts'

const label63 = 'a'.repeat(63)
const name253 = `${`${'a'.repeat(62)}.`.repeat(4)}b`

/** One name each, and every form in which it may come. */
const accepted: Record<string, string[]> = {
  'app.example.com': [
    'app.example.com',
    'APP.EXAMPLE.COM',
    'aPp.eXaMpLe.cOm',
    'app.example.com.',
    'APP.example.com.',
    'app.example.com:443',
    'app.example.com:0',
    'app.example.com:65535',
    'app.example.com:00443',
    'app.example.com.:443',
    'App.Example.Com.:8443',
  ],
  localhost: ['localhost', 'LOCALHOST', 'localhost.', 'localhost:8080', 'localhost.:8080'],
  'app.localhost': ['app.localhost', 'app.localhost:443'],
  a: ['a', 'A', 'a.', 'a:1'],
  'a.b': ['a.b', 'A.B.'],
  '1a.com': ['1a.com'],
  '127.example': ['127.example'],
  '1.2.3.4.example': ['1.2.3.4.example'],
  '1.2.3.4a': ['1.2.3.4a'],
  '0x7f.example': ['0x7f.example', '0X7F.example'],
  'a.0x7g': ['a.0x7g'],
  'a-b.example': ['a-b.example'],
  'a--b.example': ['a--b.example'],
  'xn--bcher-kva.example': ['xn--bcher-kva.example', 'XN--BCHER-KVA.example.'],
  'xn--n3h.xn--p1ai': ['xn--n3h.xn--p1ai'],
  dead: ['dead:123'],
  [`${label63}.com`]: [`${label63}.com`, `${label63.toUpperCase()}.com`],
  [name253]: [name253, `${name253}.`, `${name253}.:65535`],
}

const refused: Record<string, string[]> = {
  'empty, and nothing but marks': ['', '.', '..', ':', ':443', '.:443', '-', '*', '@', '/'],
  'empty labels': ['.app.example.com', 'app..example.com', 'app.example.com..', 'a..:443'],
  'hyphens at an end': ['-a.com', 'a-.com', 'a.-com', 'a.com-', 'a.com-:443', 'xn--'],
  underscores: ['_acme-challenge.example.com', 'my_service', 'a_b.example.com', '__proto__'],
  wildcards: ['*.example.com', '*.test', 'a.*.com', '*a.example.com', 'app.example.*', '**.a'],
  'ports that are none': [
    'a.com:',
    'a.com:-1',
    'a.com:+1',
    'a.com:65536',
    'a.com:99999',
    'a.com:000443',
    'a.com:https',
    'a.com:0x50',
    'a.com:4 4',
    'a.com:443:443',
    'a.com:443.',
    'a.com::443',
  ],
  'IPv4, in all its forms': [
    '127.0.0.1',
    '127.0.0.1.',
    '127.0.0.1:443',
    '1.2.3.400',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '0X7F',
    '0x',
    '0177.0.0.1',
    '1.2.3.08',
    'example.1',
    'example.0x1F',
    'a.0x',
  ],
  IPv6: [
    '::1',
    '::',
    '[::1]',
    '[::1]:443',
    '2001:db8::1',
    'fe80::1%eth0',
    '::ffff:127.0.0.1',
    '[v1.a]',
    'dead:beef',
    '[a.com]',
  ],
  'white space and control characters': [
    ' a.com',
    'a.com ',
    'a .com',
    'a.com\n',
    'a.com\r\n',
    '\ta.com',
    'a.com\0',
    'a.com\0.evil.com',
    'a\u00a0.com',
    'a.com\u2028',
    '\ufeffa.com',
    'a.com:443\n',
    'a.com\x7f',
    'a\x1b[2J.com',
  ],
  'what is no ASCII, even where it would become so': [
    'bücher.example',
    'bu\u0308cher.example',
    '\u212aelvin.com', // the Kelvin sign: 'k' once in lower case
    'example\u3002com', // the full stop of CJK, a dot to IDNA
    'ａpp.com',
    'app.com\uff0e',
    'İ.com',
    'a\u00adb.com',
    'a\u200db.com',
    'аpp.example.com', // its first letter is Cyrillic
    'a.com:٤٤٣',
    '💩.la',
    '\ud83d.com',
  ],
  'what only looks like a name to a hasty parser': [
    '../../etc/passwd',
    '..',
    '..\\..\\x',
    'a.test/../x',
    'a.test@b.test',
    'user:pass@b.test',
    'a.test b.test',
    'a.test,b.test',
    'a.test;b.test',
    'a.test#b',
    'a.test?b',
    'http://a.test',
    'a.test/',
    'a%2etest',
    '%00a.test',
    'a.test%0d%0a',
    "'; drop table",
    '<script>alert(1)</script>',
    '$(id).test',
    'a|b.test',
    '[a.test',
    'a.test]',
    '"a.test"',
    'a+b.test',
    'a=b.test',
    '~a.test',
  ],
  'too long': [
    `${label63}a.com`,
    `${name253}b`,
    `a.${name253}`,
    `${'a.'.repeat(127)}a`,
    'a'.repeat(64),
    'a'.repeat(100_000),
    '.'.repeat(100_000),
    'a.'.repeat(50_000),
    `a.com:${'0'.repeat(1000)}443`,
  ],
}

/** TAP's own marks and whatever is not plain ASCII would break the report. */
function printable(text: string): string {
  const odd = /[^\x20-\x7e]|[#\\]/g
  return text.slice(0, 60).replace(odd, (it) => `<${it.charCodeAt(0).toString(16)}>`)
}

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
