import { X509Certificate } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { folderOf } from '../../../src/certs/acme/directory.ts'
import { certificateId } from '../../../src/certs/acme/renewal-info.ts'
import { readCertificateFor } from '../../../src/certs/certificate.ts'
import type { KeyAndChain } from '../../../src/certs/issuer.ts'
import { closeServer } from '../../../src/net/listen.ts'
import { lacks } from '../../support/tools.js'
import { setUp, workerFile } from './fixture.ts'

const skip = lacks('pebble') || lacks('pebble-challtestsrv')
const soon = () => AbortSignal.timeout(60_000)

function isFor(hostname: string, pair: KeyAndChain): boolean {
  const { names } = readCertificateFor(hostname, pair, Date.now())
  return names.length === 1 && names[0] === hostname
}

t.test('a certificate', { skip }, async (t) => {
  const { issuer, challenges, doors, pebble, proxy, directory, open, log } = await setUp(t)

  t.test('comes by either challenge alone, P-256, with its chain', async (t) => {
    for (const type of ['http-01', 'tls-alpn-01'] as const) {
      challenges.types = [type]
      const hostname = `by-${type}.example.com`
      const pair = await issuer.issue(hostname, soon())
      t.ok(isFor(hostname, pair))
      t.match(new X509Certificate(pair.chain).publicKey.asymmetricKeyDetails, {
        namedCurve: 'prime256v1',
      })
      t.equal(pair.chain.match(/BEGIN CERTIFICATE/g)?.length, 2, 'with the intermediate')
      t.equal(challenges.tlsAnswer(hostname), undefined, 'and nothing is left of the challenge')
    }
    t.equal(proxy.orders(), 2)
    const registered = proxy.asked.filter(
      ({ path, status }) => path === '/sign-me-up' && status === 201,
    )
    t.equal(registered.length, 1, 'one account')
    challenges.types = ['http-01', 'tls-alpn-01']
  })

  t.test('comes without a connection to anybody but the CA', async (t) => {
    const [seen, spy] = [join(directory, 'seen'), join(directory, 'spy.mjs')]
    writeFileSync(
      spy,
      `import { appendFileSync } from 'node:fs'
      import net from 'node:net'
      const { connect } = net.Socket.prototype
      net.Socket.prototype.connect = function (...args) {
        const { host, port } = [args[0]].flat()[0]
        appendFileSync(${JSON.stringify(seen)}, host + ':' + port + '\\n')
        return connect.apply(this, args)
      }
      await import(${JSON.stringify(workerFile.href)})`,
    )
    const spied = await open({ workerFile: pathToFileURL(spy) })
    t.ok(isFor('spied.example.com', await spied.issue('spied.example.com', soon())))
    const lines = readFileSync(seen, 'utf8').trim().split('\n')
    t.strictSame([...new Set(lines)], [new URL(proxy.directoryUrl).host])
  })

  t.test('may be for a name longer than a common name', async (t) => {
    const hostname = `${'long-label.'.repeat(8)}example.com`
    t.ok(isFor(hostname, await issuer.issue(hostname, soon())))
  })

  t.test('comes again from a new issuer with the same account', async (t) => {
    const before = readFileSync(join(directory, 'account.json'), 'utf8')
    t.equal(statSync(join(directory, 'account.json')).mode & 0o777, 0o600)
    const again = await open()
    const registered = () => proxy.asked.filter(({ path }) => path === '/sign-me-up').length
    const count = registered()
    t.ok(isFor('again.example.com', await again.issue('again.example.com', soon())))
    t.equal(registered(), count)
    t.equal(readFileSync(join(directory, 'account.json'), 'utf8'), before)
  })

  t.test('is not ordered for a name that was given up', async (t) => {
    const orders = proxy.orders()
    const isWanted = () => false
    const gone = issuer.issue('gone.example.com', soon(), { isWanted })
    await t.rejects(gone, { code: 'CERT_NOT_WANTED' })
    t.equal(proxy.orders(), orders)
  })

  t.test('is not waited for longer than the caller wants', async (t) => {
    proxy.intercept = ({ path }) => (path === '/order-plz' ? 'silence' : undefined)
    const calling = new AbortController()
    const asked = issuer.issue('late.example.com', calling.signal)
    setTimeout(() => calling.abort(new Error('enough')), 300)
    await t.rejects(asked, { message: 'enough' })
    proxy.intercept = () => undefined
  })

  t.test('with the CA having lost the account, comes from the same key anew', async (t) => {
    const before = JSON.parse(readFileSync(join(directory, 'account.json'), 'utf8'))
    await pebble.stop()
    await t.rejects(issuer.issue('down.example.com', soon()), {
      code: 'CERT_ISSUE_FAILED',
      kind: 'unreachable',
    })
    await pebble.start()
    const names = ['lost-1.example.com', 'lost-2.example.com', 'lost-3.example.com']
    const pairs = await Promise.all(names.map((name) => issuer.issue(name, soon())))
    for (const [at, name] of names.entries()) t.ok(isFor(name, pairs[at] as KeyAndChain))
    const after = JSON.parse(readFileSync(join(directory, 'account.json'), 'utf8'))
    t.strictSame(after.key, before.key)
    t.equal(log.count('the CA has lost our account, registering it again'), 1)
  })

  t.test('with a broken account file, comes from a new account', async (t) => {
    const file = join(directory, 'account.json')
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, 40))
    const repaired = await open()
    t.ok(isFor('repaired.example.com', await repaired.issue('repaired.example.com', soon())))
    t.match(JSON.parse(readFileSync(file, 'utf8')), { key: { kty: 'EC' }, kid: /^https:/ })
    t.equal(log.count('ACME account file is broken: a new account is made'), 1)
  })

  t.test('comes by the second challenge where the first fails, and then by that one', async (t) => {
    await closeServer(doors.http)
    const orders = proxy.orders()
    t.ok(isFor('second.example.com', await issuer.issue('second.example.com', soon())))
    t.equal(proxy.orders(), orders + 2, 'a failed challenge costs its order')
    await closeServer(doors.tls)
    const failure = { code: 'CERT_ISSUE_FAILED', kind: 'challenge' }
    const both = { ...failure, message: /^http-01: .*; tls-alpn-01: .*/ }
    await t.rejects(issuer.issue('neither.example.com', soon()), both)
    const one = { ...failure, message: /^http-01: (?!.*tls-alpn-01)/ }
    await t.rejects(issuer.issue('neither.example.com', soon()), one, 'then one at a time')
    const other = { ...failure, message: /^tls-alpn-01: (?!.*http-01)/ }
    await t.rejects(issuer.issue('neither.example.com', soon()), other, 'in turn')
  })
})

t.test('what a CA may answer', { skip }, async (t) => {
  const refusedNames = ['blocked.example.com']
  const { issuer, proxy, open } = await setUp(t, { refusedNames, reusedAuthorizations: 100 })
  const atOrder = (answer: { status: number; headers?: object; body?: object }) => {
    proxy.intercept = ({ path }) => (path === '/order-plz' ? (answer as never) : undefined)
  }
  t.afterEach(() => {
    proxy.intercept = () => undefined
    proxy.describe = (directory) => directory
  })

  t.test('that it does not issue for the name', async (t) => {
    const refused = {
      code: 'CERT_ISSUE_FAILED',
      kind: 'rejected',
      message: /blocked\.example\.com/,
    }
    await t.rejects(issuer.issue('blocked.example.com', soon()), refused)
  })

  t.test('that a limit is reached: until when, and whose', async (t) => {
    const type = 'urn:ietf:params:acme:error:rateLimited'
    const headers = { 'retry-after': '7200' }
    const body = { type, detail: 'too many certificates already issued for "example.com"' }
    atOrder({ status: 429, headers, body })
    const limited = {
      code: 'CERT_ISSUE_FAILED',
      kind: 'limited',
      retryAfterMs: 7_200_000,
      isForAll: false,
    }
    await t.rejects(issuer.issue('a.example.com', soon()), limited)
    const detail = 'too many new orders (300) from this account in the last 3h'
    atOrder({ status: 429, headers, body: { type, detail } })
    await t.rejects(issuer.issue('a.example.com', soon()), { ...limited, isForAll: true })
  })

  t.test('that it has a problem of its own, or nonsense', async (t) => {
    atOrder({ status: 503, headers: { 'retry-after': '30' } })
    const busy = {
      code: 'CERT_ISSUE_FAILED',
      kind: 'unreachable',
      retryAfterMs: 30_000,
      message: /503/,
    }
    await t.rejects(issuer.issue('a.example.com', soon()), busy)
    atOrder({ status: 200, body: { hello: 'world' } })
    await t.rejects(issuer.issue('a.example.com', soon()), { message: /no status/ })
    proxy.intercept = ({ path }) => (path === '/dir' ? { status: 200, body: {} } : undefined)
    const noDirectory = { message: /no ACME directory: check ACME_DIRECTORY_URL/ }
    await t.rejects(issuer.issue('a.example.com', soon()), noDirectory)
  })

  t.test('nothing at all', async (t) => {
    const hurried = await open({ timeoutMs: 500 })
    proxy.intercept = ({ path }) => (path === '/order-plz' ? 'silence' : undefined)
    const silent = {
      code: 'CERT_ISSUE_FAILED',
      kind: 'unreachable',
      message: /nothing within 0\.5 s/,
    }
    await t.rejects(hurried.issue('a.example.com', soon()), silent)
  })

  t.test('more than anybody needs', async (t) => {
    const flood = { status: 200, body: ' '.repeat(300 * 1024) }
    proxy.intercept = ({ path }) => (path === '/dir' ? flood : undefined)
    await t.rejects(issuer.issue('a.example.com', soon()), { message: /more than 262144 bytes/ })
  })

  t.test('a redirect, or a directory that names other hosts', async (t) => {
    const headers = { location: 'https://elsewhere.invalid/dir' }
    proxy.intercept = ({ path }) => (path === '/dir' ? { status: 302, headers } : undefined)
    await t.rejects(issuer.issue('a.example.com', soon()), { message: /no ACME directory/ })
    proxy.intercept = ({ path }) =>
      path === '/order-plz'
        ? {
            status: 201,
            headers: { location: `${proxy.directoryUrl}/order` },
            body: {
              status: 'pending',
              finalize: 'https://elsewhere.invalid/finalize',
              authorizations: ['https://elsewhere.invalid/authorization'],
            },
          }
        : undefined
    const refused = { cause: { code: 'ACME_HOST_REFUSED', message: /elsewhere\.invalid/ } }
    await t.rejects(issuer.issue('a.example.com', soon()), refused)
  })

  t.test('that the name is proven already, whichever way it was', async (t) => {
    t.ok(isFor('proven.example.com', await issuer.issue('proven.example.com', soon())))
    t.ok(isFor('proven.example.com', await issuer.issue('proven.example.com', soon())))
    const looked = proxy.asked.filter(({ path }) => path.startsWith('/chalZ/')).length
    t.ok(isFor('proven.example.com', await issuer.issue('proven.example.com', soon())))
    t.equal(proxy.asked.filter(({ path }) => path.startsWith('/chalZ/')).length, looked)
  })

  t.test('profiles, of which ours has to be one', async (t) => {
    const profiled = await open({ profile: 'shortlived' })
    const none = {
      code: 'CERT_ISSUE_FAILED',
      kind: 'account',
      message: /no profile "shortlived", it has none/,
    }
    await t.rejects(profiled.issue('a.example.com', soon()), none)
    const meta = { profiles: { shortlived: 'six days', classic: 'ninety' } }
    proxy.describe = (directory) => ({ ...directory, meta })
    t.ok(isFor('a.example.com', await profiled.issue('a.example.com', soon())))
    t.match(proxy.asked.filter(({ path }) => path === '/order-plz').at(-1), {
      payload: { profile: 'shortlived' },
    })
  })

  t.test('when to renew, and for what an order is', async (t) => {
    const old = await issuer.issue('ari.example.com', soon())
    const other = await open()
    t.equal(await other.renewalWindow(old.chain), undefined, 'nothing')
    const base = new URL('/renewal-info', proxy.directoryUrl).href
    proxy.describe = (directory) => ({ ...directory, renewalInfo: base })
    const window = { start: '2027-01-02T04:00:00Z', end: '2027-01-03T04:00:00Z' }
    proxy.intercept = ({ path }) =>
      path === `/renewal-info/${certificateId(old.chain)}`
        ? { status: 200, headers: { 'retry-after': '3600' }, body: { suggestedWindow: window } }
        : undefined
    const third = await open()
    const before = Date.now()
    const told = await third.renewalWindow(old.chain)
    t.match(told, { startMs: Date.parse(window.start), endMs: Date.parse(window.end) })
    const again = (told?.askAgainMs ?? 0) - before
    t.ok(again >= 3_600_000 && again < 3_660_000)
    await third.issue('ari.example.com', soon(), { replacing: old.chain })
    const order = () => proxy.asked.filter(({ path }) => path === '/order-plz').at(-1)
    t.match(order(), { payload: { replaces: certificateId(old.chain) } })

    for (const [status, type, what] of [
      [409, 'alreadyReplaced', 'was replaced already'],
      [403, 'unauthorized', 'another account got'],
      [404, 'malformed', 'the CA knows nothing of'],
    ] as const) {
      proxy.intercept = ({ path, payload }) =>
        path === '/order-plz' && payload?.replaces
          ? { status, body: { type: `urn:ietf:params:acme:error:${type}` } }
          : undefined
      await third.issue('ari.example.com', soon(), { replacing: old.chain })
      t.notOk(order()?.payload?.replaces, `what ${what} is a new one`)
    }
  })
})

t.test('certificates come from a CA that refuses a third of all nonces', { skip }, async (t) => {
  const { issuer, proxy } = await setUp(t, { refusedNonces: 35 })
  const names = Array.from({ length: 10 }, (_, at) => `nonce-${at}.example.com`)
  const pairs = await Promise.all(names.map((name) => issuer.issue(name, soon())))
  for (const [at, name] of names.entries()) t.ok(isFor(name, pairs[at] as KeyAndChain))
  const refused = proxy.asked.filter(({ method, status }) => method === 'POST' && status === 400)
  t.ok(refused.length > 10, `${refused.length} were sent again`)
  t.equal(proxy.orders(), 10)
})

t.test('an account that the CA knows from elsewhere', { skip }, async (t) => {
  const hmac = Buffer.from('a key that the CA gave to us by mail').toString('base64url')
  const { issuer, open } = await setUp(t, { externalAccounts: { 'kid-1': hmac } })
  await t.rejects(issuer.issue('a.example.com', soon()), {
    code: 'CERT_ISSUE_FAILED',
    kind: 'account',
    isForAll: true,
  })
  const wrong = await open({ externalAccount: { kid: 'kid-1', hmac: 'd3Jvbmc' } })
  await t.rejects(wrong.issue('a.example.com', soon()), {
    code: 'CERT_ISSUE_FAILED',
    kind: 'account',
  })
  const right = await open({ externalAccount: { kid: 'kid-1', hmac }, email: 'me@example.com' })
  t.ok(isFor('a.example.com', await right.issue('a.example.com', soon())))
})

t.test('the folder of a CA is its own', async (t) => {
  t.match(folderOf('cache', 'https://acme.test/dir'), /^cache.[0-9a-f]{16}$/)
  t.not(folderOf('', 'https://acme.test/dir'), folderOf('', 'https://staging.acme.test/dir'))
})
