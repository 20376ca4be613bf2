import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import * as fc from 'fast-check'
import t from 'tap'
import { AuthError } from '../../src/auth/errors.ts'
import { isExpired } from '../../src/auth/identity.ts'
import { signToken, verifyToken } from '../../src/auth/jwt.ts'

// Tokens are built here by hand, so that nothing is verified by what made it.

const secret = '4a63e3f8b1d94d1c9e0f2a7b6c5d8e91'
const otherSecret = '0f1e2d3c4b5a69788796a5b4c3d2e1f0'
const nowSec = 1_760_000_000
const good = { iss: 'agent', iat: nowSec, exp: nowSec + 3600 }
const hs256 = { alg: 'HS256', typ: 'JWT' }

interface Case {
  readonly name: string
  readonly token: string
  /** Part of the message; `its algorithm` and the like. */
  readonly says?: string
  readonly code?: string
}

function base64url(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return Buffer.from(text).toString('base64url')
}

function mac(input: string, key: string, hash = 'sha256'): string {
  return createHmac(hash, key).update(input).digest('base64url')
}

/** A token signed with HMAC; header and payload as objects, or as the text they shall decode to. */
function forge(header: unknown, payload: unknown, key = secret, hash = 'sha256'): string {
  const input = `${base64url(header)}.${base64url(payload)}`
  return `${input}.${mac(input, key, hash)}`
}

const token = forge(hs256, good)
const [head = '', body = '', signature = ''] = token.split('.')
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })

t.test('a good token gives an identity', async (t) => {
  t.strictSame(verifyToken(token, [secret], nowSec), {
    issuer: 'agent',
    issuedAtSec: nowSec,
    expiresAtSec: nowSec + 3600,
  })
  const identity = { issuer: 'agent', issuedAtSec: nowSec, expiresAtSec: nowSec + 3600 }
  const cases: [string, unknown, unknown, object][] = [
    ['no typ', { alg: 'HS256' }, good, identity],
    ['no exp', hs256, { iss: 'agent', iat: nowSec }, { issuer: 'agent', issuedAtSec: nowSec }],
    ['nothing at all', hs256, {}, {}],
    ['sub and jti', hs256, { sub: 'nas', jti: '7' }, { subject: 'nas', tokenId: '7' }],
    ['fractions of a second', hs256, { exp: nowSec + 0.5 }, { expiresAtSec: nowSec + 0.5 }],
    ['iat in the future', hs256, { iat: nowSec + 9999 }, { issuedAtSec: nowSec + 9999 }],
    ['nbf in the past', hs256, { nbf: nowSec - 1 }, {}],
    ['a kid that we do not ask', { ...hs256, kid: '../../etc/passwd' }, {}, {}],
    ['a jwk that we do not ask', { ...hs256, jwk: { kty: 'oct', k: 'AAAA' } }, {}, {}],
    ['claims of others', hs256, { scope: ['a.test'], __proto: { iss: 'x' } }, {}],
    ['a __proto__ of its own', hs256, '{"__proto__":{"iss":"x"}}', {}],
    ['white space in its JSON', '{ "alg" : "HS256" }', ' {\n"iss":"a" } ', { issuer: 'a' }],
  ]
  for (const [name, header, payload, identity] of cases) {
    t.strictSame(verifyToken(forge(header, payload), [secret], nowSec), identity, name)
  }
})

t.test('a token that is forged, broken or meant for others is refused', async (t) => {
  const cases: Case[] = [...algorithms(), ...signatures(), ...shapes(), ...headers(), ...payloads()]
  t.ok(cases.length >= 60, `${cases.length} cases`)
  for (const { name, token, says = '', code = 'AUTH_TOKEN_INVALID' } of cases) {
    try {
      verifyToken(token, [secret], nowSec)
      t.fail(name)
    } catch (error) {
      if (!(error instanceof AuthError)) throw error
      t.match(error, { code }, `${name}: ${error.message}`)
      t.ok(error.message.includes(says), `${name}: says ${says}`)
      t.notOk(quotes(error, token), `${name}: keeps the token to itself`)
    }
  }
})

function algorithms(): Case[] {
  const says = 'its algorithm is not HS256'
  const none = ['none', 'None', 'NONE', 'nOnE', ' none', 'none ', 'none\u0000', '']
  const names = ['hs256', 'Hs256', 'HS256 ', 'HS2566', 'SHA256', 'HMAC', '__proto__', 'constructor']
  const others = [null, 0, true, ['HS256'], { alg: 'HS256' }, ['none'], 256]
  return [
    ...none.flatMap((alg) => [
      { name: `alg ${JSON.stringify(alg)}, no signature`, token: unsigned({ alg, typ: 'JWT' }) },
      { name: `alg ${JSON.stringify(alg)}, signed`, token: forge({ alg, typ: 'JWT' }, good), says },
    ]),
    ...names.map((alg) => ({ name: `alg ${alg}`, token: forge({ alg }, good), says })),
    ...others.map((alg) => ({
      name: `alg ${JSON.stringify(alg)}`,
      token: forge({ alg }, good),
      says,
    })),
    { name: 'no alg', token: forge({ typ: 'JWT' }, good), says },
    { name: 'HS384', token: forge({ alg: 'HS384' }, good, secret, 'sha384'), says },
    { name: 'HS512', token: forge({ alg: 'HS512' }, good, secret, 'sha512'), says },
    { name: 'HS512 that says HS256', token: forge(hs256, good, secret, 'sha512') },
    { name: 'RS256, a key of its own', token: rs256({ alg: 'RS256' }), says },
    { name: 'RS256, the secret as key', token: forge({ alg: 'RS256' }, good), says },
    { name: 'RS256 that says HS256', token: rs256(hs256), says: 'its signature' },
    {
      name: 'HS256 with a public key as secret',
      token: forge(hs256, good, rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString()),
      says: 'its signature',
    },
    { name: 'ES256, a key of its own', token: es256({ alg: 'ES256' }), says },
    { name: 'ES256, a signature of zeros', token: zeros({ alg: 'ES256' }), says },
    ...['PS256', 'ES512', 'EdDSA', 'dir', 'A256GCMKW', 'PBES2-HS256+A128KW'].map((alg) => ({
      name: alg,
      token: forge({ alg }, good),
      says,
    })),
    {
      name: 'two algs, the last one none',
      token: forge('{"alg":"HS256","alg":"none"}', good),
      says,
    },
  ]
}

function signatures(): Case[] {
  const flipped = Buffer.from(signature, 'base64url')
  flipped[31] = (flipped[31] ?? 0) ^ 1
  const says = 'its signature is not made with our secret'
  const input = `${head}.${body}`
  return [
    { name: 'another secret', token: forge(hs256, good, otherSecret), says },
    { name: 'no secret', token: forge(hs256, good, ''), says },
    { name: 'the secret in upper case', token: forge(hs256, good, secret.toUpperCase()), says },
    { name: 'the secret and a line feed', token: forge(hs256, good, `${secret}\n`), says },
    { name: 'the secret as hex bytes', token: hexKeyed(), says },
    { name: 'one bit flipped', token: `${input}.${flipped.toString('base64url')}`, says },
    { name: 'spare bits of base64url set', token: `${input}.${spareBits(signature)}`, says },
    { name: 'one byte too few', token: `${input}.${cut(31)}`, says },
    { name: 'one byte of it', token: `${input}.${cut(1)}`, says },
    { name: 'one byte too many', token: `${input}.${cut(32, 'AA')}`, says },
    { name: 'zeros', token: zeros(hs256), says },
    { name: 'a digest without a key', token: zeros(hs256, mac(input, '')), says },
    {
      name: 'signature of another token',
      token: `${head}.${base64url({ iss: 'root' })}.${signature}`,
      says,
    },
    {
      name: 'header exchanged',
      token: `${base64url({ alg: 'HS256' })}.${body}.${signature}`,
      says,
    },
    {
      name: 'in hex',
      token: `${input}.${Buffer.from(signature, 'base64url').toString('hex')}`,
      says,
    },
  ]
}

function shapes(): Case[] {
  const says = 'it is not three parts of base64url'
  const broken: [string, string][] = [
    ['no signature', `${head}.${body}.`],
    ['no signature, no dot', `${head}.${body}`],
    ['no header', `.${body}.${signature}`],
    ['no payload', `${head}..${signature}`],
    ['dots', '..'],
    ['four parts', `${token}.${signature}`],
    ['five parts, as in JWE', `${token}.${body}.${body}`],
    ['a dot at the end', `${token}.`],
    ['a line feed at the end', `${token}\n`],
    ['a space at the end', `${token} `],
    ['a space before', ` ${token}`],
    ['Bearer before', `Bearer ${token}`],
    ['a null byte at the end', `${token}\u0000`],
    ['padding', `${token}=`],
    ['padding in the header', `${head}=.${body}.${signature}`],
    ['base64 and not base64url', `${head}.${body}.${signature.slice(0, -1)}+`],
    ['a slash', `${head}.${body}.${signature.slice(0, -1)}/`],
    ['a line feed inside', `${head}.\n${body}.${signature}`],
    ['two tokens', `${token},${token}`],
    ['letters of other alphabets', `${head}.${body}.${'\u0430'.repeat(43)}`],
    ['the JSON form', JSON.stringify({ protected: head, payload: body, signature })],
    ['JSON', JSON.stringify(good)],
  ]
  const long = forge(hs256, { ...good, sub: 'x'.repeat(4096) })
  return [
    { name: 'empty', token: '', says: 'there is none' },
    ...broken.map(([name, token]) => ({ name, token, says })),
    { name: 'longer than 4 KiB', token: long, says: 'it is longer than 4096 bytes' },
    { name: 'a megabyte of dots', token: '.'.repeat(1e6), says: 'it is longer than 4096 bytes' },
  ]
}

function headers(): Case[] {
  const asks = 'its header asks for an extension'
  const noObject = 'its header is not a JSON object'
  const texts = ['null', '[]', '"HS256"', '{"alg":"HS256"', '{"alg":"HS256"}x', '\u0000']
  const jwk = rsa.publicKey.export({ format: 'jwk' })
  const own = { kty: 'oct', k: base64url(otherSecret), alg: 'HS256' }
  return [
    ...texts.map((text) => ({
      name: `header ${JSON.stringify(text)}`,
      token: forge(text, good),
      says: noObject,
    })),
    { name: 'nested deep', token: forge(`${'['.repeat(1000)}`, good), says: noObject },
    { name: 'crit', token: forge({ ...hs256, crit: ['exp'] }, good), says: asks },
    { name: 'crit, empty', token: forge({ ...hs256, crit: [] }, good), says: asks },
    { name: 'crit, null', token: forge({ ...hs256, crit: null }, good), says: asks },
    {
      name: 'crit and b64',
      token: forge({ ...hs256, crit: ['b64'], b64: false }, good),
      says: asks,
    },
    { name: 'b64 alone', token: forge({ ...hs256, b64: false }, good), says: asks },
    { name: 'an alg in its prototype', token: forge('{"__proto__":{"alg":"HS256"}}', good) },
    { name: 'its own key in jwk', token: forge({ ...hs256, jwk: own }, good, otherSecret) },
    { name: 'its own key as RSA jwk', token: rs256({ alg: 'RS256', jwk }) },
    { name: 'RSA jwk that says HS256', token: rs256({ ...hs256, jwk }) },
    {
      name: 'kid that names an empty file',
      token: forge({ ...hs256, kid: '/dev/null' }, good, '\0'),
    },
    { name: 'kid with SQL', token: forge({ ...hs256, kid: "' UNION SELECT 'x" }, good, 'x') },
    {
      name: 'kid that is the key',
      token: forge({ ...hs256, kid: otherSecret }, good, otherSecret),
    },
    { name: 'jku', token: forge({ ...hs256, jku: 'https://a.test/jwks' }, good, otherSecret) },
    { name: 'x5u', token: forge({ ...hs256, x5u: 'https://a.test/x' }, good, otherSecret) },
    { name: 'x5c', token: forge({ ...hs256, x5c: ['MIIB'] }, good, otherSecret) },
  ]
}

function payloads(): Case[] {
  const expired = { code: 'AUTH_TOKEN_EXPIRED' }
  const early = { code: 'AUTH_TOKEN_NOT_YET_VALID' }
  const texts = [
    'null',
    '[]',
    '[{"iss":"agent"}]',
    '"agent"',
    '7',
    'true',
    '{',
    '{"exp":1}x',
    'HIDDEN',
  ]
  const times = ['"1860000000"', 'null', 'true', '[]', '{}', '1e999', '""']
  return [
    ...texts.flatMap((text) => [
      { name: `payload ${text}`, token: forge(hs256, text) },
      { name: `payload ${text}, no typ`, token: forge({ alg: 'HS256' }, text) },
    ]),
    ...times.map((time) => ({ name: `exp ${time}`, token: forge(hs256, `{"exp":${time}}`) })),
    ...times
      .filter((time) => time !== '1e999')
      .map((time) => ({ name: `nbf ${time}`, token: forge(hs256, `{"nbf":${time}}`) })),
    { name: 'iat "now"', token: forge(hs256, { iat: 'now' }), says: 'its iat is not a time' },
    { name: 'expired', token: forge(hs256, { exp: nowSec - 60 }), ...expired, says: '60 s ago' },
    { name: 'expired in 1970', token: forge(hs256, { exp: 0 }), ...expired },
    { name: 'expired before 1970', token: forge(hs256, { exp: -1 }), ...expired },
    {
      name: 'expired before time',
      token: forge(hs256, '{"exp":-1e999}'),
      ...expired,
      says: 'more',
    },
    { name: 'not yet', token: forge(hs256, { nbf: nowSec + 60 }), ...early, says: 'in 60 s' },
    { name: 'never', token: forge(hs256, '{"nbf":1e999}'), ...early, says: 'more seconds' },
    { name: 'iss no text', token: forge(hs256, { iss: ['agent'] }), says: 'its iss is not text' },
    { name: 'iss null', token: forge(hs256, { iss: null }), says: 'its iss is not text' },
    {
      name: 'sub no text',
      token: forge(hs256, { sub: { admin: 1 } }),
      says: 'its sub is not text',
    },
    { name: 'jti no text', token: forge(hs256, { jti: 7 }), says: 'its jti is not text' },
    ...scopes(),
    { name: 'for others', token: forge(hs256, { aud: 'bank' }), says: 'another audience' },
    { name: 'for several', token: forge(hs256, { aud: ['a', 'b'] }), says: 'another audience' },
  ]
}

function scopes(): Case[] {
  const hosts: [string, unknown][] = [
    ['text', 'a.test'],
    ['null', null],
    ['an object', { 0: 'a.test' }],
    ['a star alone', ['*']],
    ['two stars', ['*.*.test']],
    ['a star inside a label', ['a*.test']],
    ['a star behind', ['a.*']],
    ['a wildcard of nothing', ['*.']],
    ['a port', ['a.test:443']],
    ['an address', ['127.0.0.1']],
    ['a number', [7]],
    ['nothing', ['']],
    ['one that is none behind one that is', ['a.test', 'b_.test']],
  ]
  const ports: [string, unknown][] = [
    ['a number', 2222],
    ['0', [0]],
    ['a fraction', [2.5]],
    ['beyond the last', [65_536]],
    ['a range the wrong way round', ['3-2']],
    ['a list inside', [[2222]]],
    ['null', [null]],
  ]
  return [
    ...hosts.map(([name, hosts]) => ({
      name: `hosts: ${name}`,
      token: forge(hs256, { hosts }),
      says: 'its hosts',
    })),
    ...ports.map(([name, ports]) => ({
      name: `ports: ${name}`,
      token: forge(hs256, { hosts: [], ports }),
      says: 'its ports',
    })),
    { name: 'ports alone', token: forge(hs256, { ports: [1] }), says: 'ports but no hosts' },
    { name: 'ssh alone', token: forge(hs256, { ssh: true }), says: 'ports but no hosts' },
    { name: 'ssh as text', token: forge(hs256, { hosts: [], ssh: 'yes' }), says: 'its ssh' },
  ]
}

t.test('a token ends in its second, and may begin 30 s early by our clock', async (t) => {
  const at = (payload: object, seconds: number) => () =>
    verifyToken(forge(hs256, payload), [secret], nowSec + seconds)
  t.doesNotThrow(at({ exp: nowSec }, -0.001))
  for (const sec of [0, 29, 30]) {
    t.throws(at({ exp: nowSec }, sec), { code: 'AUTH_TOKEN_EXPIRED', message: `${sec} s ago` })
  }
  t.doesNotThrow(at({ nbf: nowSec }, -30))
  t.throws(at({ nbf: nowSec }, -31), { code: 'AUTH_TOKEN_NOT_YET_VALID' })
  t.notOk(isExpired({ expiresAtSec: nowSec }, nowSec - 0.001))
  t.ok(isExpired({ expiresAtSec: nowSec }, nowSec))
  t.notOk(isExpired({}, Number.MAX_VALUE))
})

t.test('any of the secrets will do, and there must be one', async (t) => {
  t.ok(verifyToken(token, [otherSecret, secret], nowSec))
  t.ok(verifyToken(token, [secret, otherSecret], nowSec))
  t.throws(() => verifyToken(token, [otherSecret, otherSecret], nowSec), {
    code: 'AUTH_TOKEN_INVALID',
    message: /JWT_SECRET/,
  })
  const expired = forge(hs256, { exp: 1 })
  t.throws(() => verifyToken(expired, [otherSecret, secret], nowSec), {
    code: 'AUTH_TOKEN_EXPIRED',
  })
  const noSecret = { code: 'AUTH_NO_SECRET' }
  t.throws(() => verifyToken(token, [], nowSec), noSecret)
  t.throws(() => verifyToken(forge(hs256, good, ''), [''], nowSec), noSecret)
  t.throws(() => verifyToken(forge(hs256, good, ''), [secret, ''], nowSec), noSecret)
  t.throws(() => signToken({ secret: '', issuer: 'a', expireSec: 1 }), noSecret)
})

t.test('a secret that looks like a key is still a secret', async (t) => {
  const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  t.ok(verifyToken(forge(hs256, good, pem), [pem], nowSec))
  t.throws(() => verifyToken(rs256({ alg: 'RS256' }), [pem], nowSec), {
    code: 'AUTH_TOKEN_INVALID',
    message: /its algorithm is not HS256/,
  })
})

t.test('the longest token has 4096 bytes', async (t) => {
  const padded = (bytes: number) => forge({ alg: 'HS256' }, { sub: 'x'.repeat(bytes) })
  const fits = Array.from({ length: 40 }, (_, n) => padded(3000 - n)).find((x) => x.length <= 4096)
  t.ok(fits)
  const exact = `${'x'.repeat(4094)}..`
  t.throws(() => verifyToken(exact, [secret], nowSec), { message: /three parts/ })
  t.throws(() => verifyToken(`${exact}x`, [secret], nowSec), { message: /longer than 4096/ })
})

t.test('signs what a Go agent signs', async (t) => {
  const signed = signToken({ secret, issuer: 'agent', expireSec: 3600, nowSec: nowSec + 0.7 })
  const [header = '', payload = '', hash = ''] = signed.split('.')
  t.strictSame(JSON.parse(Buffer.from(header, 'base64url').toString()), hs256)
  t.strictSame(JSON.parse(Buffer.from(payload, 'base64url').toString()), good)
  t.equal(hash, mac(`${header}.${payload}`, secret))
  t.strictSame(verifyToken(signToken({ secret, issuer: 'a', expireSec: 60 }), [secret]).issuer, 'a')
})

t.test('random and mutated tokens are all refused, with an AuthError', async () => {
  const part = fc.uint8Array({ maxLength: 60 }).map((x) => Buffer.from(x).toString('base64url'))
  const random = fc.tuple(part, part, part).map((parts) => parts.join('.'))
  const signedByOthers = fc
    .tuple(fc.json(), fc.string({ minLength: 1 }))
    .map(([payload, key]) => forge(hs256, payload, `not ${key}`))
  const mutated = fc
    .array(fc.tuple(fc.nat(token.length - 1), fc.string({ maxLength: 2 })), { minLength: 1 })
    .map((changes) => {
      let text = token
      for (const [at, put] of changes) text = text.slice(0, at) + put + text.slice(at + 1)
      return text
    })
    .filter((text) => text !== token)
  fc.assert(
    fc.property(fc.oneof(random, signedByOthers, mutated, fc.string()), (text) => {
      try {
        verifyToken(text, [secret], nowSec)
        return false
      } catch (error) {
        return error instanceof AuthError && error.cause === undefined
      }
    }),
    { numRuns: 20_000 },
  )
})

/** Whether a piece of the token, or of what is in it, turns up in what a log would show. */
function quotes(error: AuthError, token: string): boolean {
  const shown = `${error.message} ${String(error.cause ?? '')} ${error.stack}`
  return [...token.split('.'), 'HIDDEN', secret].some(
    (part) => part.length > 5 && shown.includes(part),
  )
}

function unsigned(header: unknown): string {
  return `${base64url(header)}.${body}.`
}

function zeros(header: unknown, hash = Buffer.alloc(32).toString('base64url')): string {
  return `${base64url(header)}.${body}.${hash}`
}

function rs256(header: unknown): string {
  const input = `${base64url(header)}.${body}`
  return `${input}.${sign('sha256', Buffer.from(input), rsa.privateKey).toString('base64url')}`
}

function es256(header: unknown): string {
  const input = `${base64url(header)}.${body}`
  const key = { key: ec.privateKey, dsaEncoding: 'ieee-p1363' } as const
  return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`
}

function hexKeyed(): string {
  const hash = createHmac('sha256', Buffer.from(secret, 'hex')).update(`${head}.${body}`)
  return `${head}.${body}.${hash.digest('base64url')}`
}

function cut(bytes: number, more = ''): string {
  return Buffer.from(signature, 'base64url').subarray(0, bytes).toString('base64url') + more
}

/** The same bytes in another spelling: 43 characters hold 258 bits, and two are not used. */
function spareBits(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet[alphabet.indexOf(text.slice(-1)) ^ 1]
  return text.slice(0, -1) + last
}
