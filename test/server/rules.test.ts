import { scryptSync } from 'node:crypto'
import { posix, win32 } from 'node:path'
import t from 'tap'
import { type PasswordHash, parsePasswordHash } from '../../src/auth/password.ts'
import { edgeErrors } from '../../src/server/edge/error-page.ts'
import { requestHeaders, responseHeaders, trailerPairs } from '../../src/server/edge/headers.ts'
import { Logins } from '../../src/server/edge/logins.ts'
import { routeFor, targetFor } from '../../src/server/edge/paths.ts'
import { admits, parseRouteRules } from '../../src/server/rules.ts'
import type { Route, Upstream } from '../../src/server/upstream.ts'

// A tunnel's rules without their gateway. What they do to requests of real programs: e2e/tunnel-options.

const holder = { id: 'tunnel' } as Upstream
const none = parseRouteRules({})

function shared(...paths: string[]): { claim: Route; at(path: string): string | undefined } {
  const common = { name: 'a.test', mode: 'http', target: '', holder } as const
  const routes = paths.map((path): Route => ({ ...common, key: `a.test${path}`, path }))
  const byPath = new Map(routes.map((route) => [route.path ?? '', route]))
  const claim = { ...(routes[0] as Route), routes: byPath }
  const at = (path: string) => {
    const route = routeFor(claim, path)
    return typeof route === 'object' ? route.path : route
  }
  return { claim, at }
}

t.test('the longest path wins, by whole segments', async (t) => {
  const { at } = shared('/a', '', '/a/b')
  for (const [target, path] of [
    ['/', ''],
    ['/a', '/a'],
    ['/a?b', '/a'],
    ['/a/', '/a'],
    ['/ab', ''],
    ['/a/b/c', '/a/b'],
    ['/a/bc', '/a'],
    ['/x?/a/../b', ''],
    ['*', ''],
    ['/%e0%a4%a8%f0%9f%98%80', ''],
    ['/caf%C3%A9%20au/lait;1//x.', ''],
    ['/a/100%/x%zz', '/a'],
  ] as const) {
    t.equal(at(target), path, target)
  }
  t.equal(shared('/a').at('/b'), undefined)
  t.equal(shared('/a').at('/A'), undefined, 'none of ours, however it is read')
  t.equal(shared('/a').at('*'), undefined)
})

t.test('what two readers take for two paths is ambiguous', async (t) => {
  const { at } = shared('', '/a', '/a/open')
  for (const target of [
    '/A',
    '//a',
    '//x/a',
    '/%61',
    '/%u0061',
    '/%2561',
    '/x/../a',
    '/x/..%2Fa',
    '/a/..%2f',
    '/a/open/..;/x',
    '/a%2fopen',
    '/a;x/open',
    '/a./x',
    '/a%20',
    '/a%00x',
    '/%09a',
    '/..\\a',
    '/%c0%af',
    '/x%E0%80%AFa',
    '/%f0%80%81%a1',
    `/%${'25'.repeat(9)}61`,
    `/${'x'.repeat(20_000)}%20`,
  ]) {
    t.equal(at(target), 'ambiguous', target)
  }
  t.equal(at(`/${'x'.repeat(50_000)}`), '', 'length alone is no reason')
})

t.test('what passes leads no server elsewhere', async (t) => {
  const { at } = shared('', '/a', '/a/open', '/b')
  const decoded = (path: string) => {
    try {
      return decodeURIComponent(path)
    } catch {
      return path
    }
  }
  const readers: ((path: string) => string)[] = [
    decoded,
    (path) => new URL(path, 'http://host').pathname, // as many programs for Node do
    (path) => decoded(new URL(`http://host${path}`).pathname),
    (path) => posix.normalize(decoded(path.replace(/;[^/]*/g, '')).replace(/\\/g, '/')),
    (path) => posix.normalize(decoded(decoded(path))),
    (path) =>
      win32
        .normalize(decoded(path))
        .replaceAll('\\', '/')
        .replace(/[. ]+(?=\/|$)/g, ''),
    (path) => posix.normalize(decoded(path).replace(/\0.*/s, '')),
  ]
  const parts =
    '/ / / a a A open b . .. %2e %2E%2e %2f %5c \\ ; x ;x %61 %2561 %252f %00 %20 x'.split(' ')
  let state = 1
  const random = () => (state = (state * 48_271) % 0x7fffffff) / 0x7fffffff
  for (let round = 0; round < 10_000; round += 1) {
    const count = 1 + Math.floor(random() * 8)
    const path = `/${Array.from({ length: count }, () => parts[Math.floor(random() * parts.length)]).join('')}`
    const route = at(path)
    if (route === 'ambiguous') continue
    for (const [index, read] of readers.entries()) {
      let reading = path
      try {
        reading = read(path).toLowerCase()
      } catch {
        continue // no URL
      }
      const other = ['/a/open', '/a', '/b'].find((each) => `${reading}/`.startsWith(`${each}/`))
      if ((other ?? '') !== route) t.fail(`${path} is ${reading} to reader ${index}`)
    }
  }
})

t.test('the most laborious path takes no time to speak of', async (t) => {
  const { at } = shared('', '/a')
  const laborious = '/%252e./;x\\%5c%20.'.repeat(227)
  const startMs = performance.now()
  at(laborious)
  t.ok(performance.now() - startMs < 5_000, `${performance.now() - startMs} ms`)
})

t.test('a path is taken off, and something is left', async (t) => {
  const route = (stripPrefix: boolean) => ({
    ...shared('/a').claim,
    rules: { ...none, stripPrefix },
  })
  t.equal(targetFor(route(false), '/a/b'), '/a/b')
  t.equal(targetFor(route(true), '/a/b?c'), '/b?c')
  t.equal(targetFor(route(true), '/a?c'), '/?c')
  t.equal(targetFor(route(true), '/a'), '/')
  t.equal(targetFor(route(true), '*'), '*')
})

t.test('addresses', async (t) => {
  const rules = (allowIps?: string[], denyIps?: string[]) =>
    parseRouteRules({ ...(allowIps && { allowIps }), ...(denyIps && { denyIps }) })
  for (const [allow, deny, address, isAdmitted] of [
    [undefined, undefined, '', true],
    [['10.0.0.0/8'], undefined, '10.1.2.3', true],
    [['10.0.0.0/8'], undefined, '::ffff:10.1.2.3', true],
    [['10.0.0.0/8'], undefined, '11.0.0.1', false],
    [['2001:db8::/32'], undefined, '2001:db8::1', true],
    [['::/0'], undefined, '10.1.2.3', false],
    [['0.0.0.0/0'], ['10.0.0.1'], '10.0.0.1', false],
    [undefined, ['10.0.0.1'], '10.0.0.2', true],
    [undefined, ['10.0.0.1'], '', false],
    [undefined, ['::ffff:10.0.0.1'], '10.0.0.1', false],
    [[], undefined, '10.0.0.1', false],
    [undefined, [], '10.0.0.1', true],
  ] as const) {
    const is = admits(rules(allow && [...allow], deny && [...deny]), address)
    t.equal(is, isAdmitted, `${address}: ${allow} but ${deny}`)
  }
})

t.test('header lines, in any case and as often as they are there', async (t) => {
  const rules = parseRouteRules({
    hostHeader: 'origin:1',
    requestHeaders: { set: new Map([['X-Forwarded-For', '-']]), remove: ['cookie', 'X-A-B'] },
    responseHeaders: { set: new Map([['Server', 'ours']]), remove: ['X-Old'] },
    basicAuth: [],
  })
  const asked = [
    'HOST',
    'a.test',
    'Cookie',
    '1',
    'A',
    '1',
    'X_a-B',
    '3',
    'COOKIE',
    '2',
    'Authorization',
    'Basic x',
  ]
  const added = ['X-Forwarded-For', '192.0.2.1']
  t.same(requestHeaders(asked, { added, framing: 'empty', rules }), [
    ...['HOST', 'origin:1', 'A', '1', 'X-Forwarded-For', '-', 'Content-Length', '0'],
  ])
  const answered = ['server', 'a', 'x-old', '1', 'B', '2', 'X-OLD', '3']
  t.same(responseHeaders(answered, { status: 200, requestId: 'r', rules }), [
    ...['B', '2', 'Server', 'ours', 'X-Request-Id', 'r'],
  ])
  t.same(trailerPairs(['x-old', '1', 'C', '2'], rules.responseHeaders), [['C', '2']])
})

t.test('logins', async (t) => {
  const alive = setInterval(() => {}, 60_000) // a wait of the gateway keeps no process
  t.teardown(() => clearInterval(alive))
  const passwords = new Map([['alice', hashOf('wonderland')]])
  const ask = (logins: Logins, credentials: string, address = '192.0.2.1') => {
    const encoded = Buffer.from(credentials).toString('base64')
    return logins.userOf(passwords, ['Authorization', `Basic ${encoded}`], address)
  }

  t.test('many requests with one good password come in together', async (t) => {
    const logins = new Logins()
    const all = await Promise.all(
      Array.from({ length: 500 }, () => ask(logins, 'alice:wonderland')),
    )
    t.same(new Set(all), new Set(['alice']))
  })

  t.test('a known password of one user is not that of another', async (t) => {
    const logins = new Logins()
    await ask(logins, 'alice:wonderland')
    t.equal(await ask(logins, 'bob:wonderland'), edgeErrors.loginFailed)
    t.equal(await ask(logins, 'alice:'), edgeErrors.loginFailed)
    t.equal(
      await logins.userOf(new Map(), ['Authorization', 'Basic YTpi'], ''),
      edgeErrors.loginFailed,
    )
  })

  t.test('who guesses waits longer and longer, and others do not', async (t) => {
    const logins = new Logins()
    for (let guess = 0; guess < 10; guess += 1) await ask(logins, `alice:${guess}`)
    const startMs = performance.now()
    t.equal(await ask(logins, 'alice:guess'), edgeErrors.loginFailed)
    t.ok(performance.now() - startMs >= 249, 'a quarter of a second at first')
    const guesses = Array.from({ length: 30 }, (_, index) => ask(logins, `alice:no ${index}`))
    const refused = await Promise.race(guesses)
    t.equal(refused, edgeErrors.tooManyLogins, 'and few at one time')
    t.equal(await ask(logins, 'alice:wonderland', '192.0.2.2'), 'alice')
    t.equal(await ask(logins, 'alice:wonderland'), 'alice', 'known by now, so not even from there')
  })

  t.test('what waits is bounded', async (t) => {
    const logins = new Logins()
    const guesses = Array.from({ length: 1_000 }, (_, index) =>
      ask(logins, `alice:${index}`, `192.0.${index >> 8}.${index & 255}`),
    )
    const outcomes = await Promise.all(guesses)
    const count = (outcome: unknown) => outcomes.filter((each) => each === outcome).length
    t.equal(count(edgeErrors.loginFailed), 102)
    t.equal(count(edgeErrors.tooManyLogins), 898)
  })
})

/** That costs next to nothing to check. */
function hashOf(password: string): PasswordHash {
  const derived = scryptSync(password, '12345678', 64, { N: 2, r: 1, p: 1 }).toString('hex')
  return parsePasswordHash(`scrypt:2:1:1$12345678$${derived}`) as PasswordHash
}
