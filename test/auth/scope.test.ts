import t from 'tap'
import { readToken } from '../../src/auth/compact-form.ts'
import { mintToken, signerOf, verifyToken } from '../../src/auth/jwt.ts'
import { allowsHost, type Scope, scopeOf } from '../../src/auth/scope.ts'
import { canonicalPattern } from '../../src/net/hostname.ts'
import { PortRanges } from '../../src/net/port-ranges.ts'

const secret = '4a63e3f8b1d94d1c9e0f2a7b6c5d8e91'
const otherSecret = '0f1e2d3c4b5a69788796a5b4c3d2e1f0'
const nowSec = 1_760_000_000
const nothing: Scope = { hosts: [], ports: new PortRanges([]), ssh: false }

t.test('hosts', async (t) => {
  const scope = scopeOf({ hosts: ['App.Example.com.', '*.alice.example.com'] })
  t.strictSame(scope?.hosts, ['app.example.com', '*.alice.example.com'], 'are canonical')
  const cases: [name: string, isAllowed: boolean][] = [
    ['app.example.com', true],
    ['APP.example.com.', true],
    ['nas.alice.example.com', true],
    ['a-1.alice.example.com', true],
    // A wildcard is one label: neither none nor two, and the dot is a real one.
    ['alice.example.com', false],
    ['b.nas.alice.example.com', false],
    ['nasalice.example.com', false],
    ['x-alice.example.com', false],
    ['*.alice.example.com', false],
    ['.alice.example.com', false],
    ['app.example.com.evil.test', false],
    ['xapp.example.com', false],
    ['b.app.example.com', false],
    ['example.com', false],
    ['', false],
  ]
  for (const [name, isAllowed] of cases) t.equal(allowsHost(scope, name), isAllowed, name)
  t.notOk(allowsHost(nothing, 'app.example.com'), 'an empty list allows nothing')
  t.ok(allowsHost(scopeOf({}), 'app.example.com'), 'no list has no limits')
})

t.test('patterns', async (t) => {
  t.equal(canonicalPattern('*.Example.COM.'), '*.example.com')
  t.equal(canonicalPattern('*.com'), '*.com')
  for (const text of ['*', '*.', '*x.test', 'x.*.test', '*.*.test', 'a.test:1', '', '*.a_b.test']) {
    t.equal(canonicalPattern(text), undefined, text)
  }
})

t.test('ports', async (t) => {
  const ports = (list: unknown[]) => String(scopeOf({ hosts: [], ports: list })?.ports)
  t.equal(ports([2222, '30000-30999', '80']), '80,2222,30000-30999')
  t.equal(String(scopeOf({ hosts: ['a.test'] })?.ports), '', 'none where there is no list')
})

t.test('a minted token says what it was minted with, and has an id of its own', async (t) => {
  const scope = {
    hosts: ['app.example.com', '*.alice.example.com'],
    ports: new PortRanges([
      { min: 2222, max: 2222 },
      { min: 30_000, max: 30_999 },
    ]),
    ssh: true,
  }
  const mint = () =>
    mintToken({ secret, name: 'alice', scope, expireSec: 60, nowSec: nowSec + 0.7 })
  const identity = verifyToken(mint(), [otherSecret, secret], nowSec)
  t.match(identity, { subject: 'alice', issuedAtSec: nowSec, expiresAtSec: nowSec + 60 })
  t.match(identity.tokenId, /^[0-9a-f]{16}$/)
  t.strictSame(identity.scope, scope)
  t.not(verifyToken(mint(), [secret], nowSec).tokenId, identity.tokenId)
  const [, payload = ''] = mint().split('.')
  t.match(JSON.parse(Buffer.from(payload, 'base64url').toString()), {
    hosts: ['app.example.com', '*.alice.example.com'],
    ports: [2222, '30000-30999'],
    ssh: true,
  })
  const endless = mintToken({ secret, name: 'nas', scope: nothing })
  t.strictSame(verifyToken(endless, [secret]).scope, nothing, 'an empty scope is kept')
  t.equal(verifyToken(endless, [secret]).expiresAtSec, undefined)
})

t.test('a token that no gateway would read is not minted', async (t) => {
  const hosts = Array.from({ length: 200 }, (_, n) => `service-${n}.example.com`)
  t.throws(() => mintToken({ secret, name: 'alice', scope: { ...nothing, hosts } }), {
    code: 'AUTH_TOKEN_TOO_LONG',
    message: /would have \d{4} bytes, and gateways read 4096/,
  })
})

t.test('a token is read without the secret, and its signer found with one', async (t) => {
  const token = mintToken({ secret, name: 'alice', scope: nothing, expireSec: 1, nowSec })
  t.match(readToken(token), { subject: 'alice', expiresAtSec: nowSec + 1, scope: nothing })
  t.equal(signerOf(token, [secret]), 0, 'although it has expired')
  t.equal(signerOf(token, [otherSecret, secret]), 1)
  t.equal(signerOf(token, [otherSecret]), -1)
  t.equal(signerOf(token, []), -1)
  t.throws(() => readToken('nonsense'), { code: 'AUTH_TOKEN_INVALID' })
  t.throws(() => readToken(`${token}.x`), { code: 'AUTH_TOKEN_INVALID' })
})
