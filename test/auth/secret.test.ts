import * as fc from 'fast-check'
import t from 'tap'
import { checkSecret, generateSecret } from '../../src/auth/secret.ts'

t.test('a secret we made is good, and no other is the same', async (t) => {
  const secrets = Array.from({ length: 200 }, generateSecret)
  for (const secret of secrets) {
    t.match(secret, /^[0-9a-f]{64}$/)
    t.equal(checkSecret(secret), undefined)
  }
  t.equal(new Set(secrets).size, secrets.length)
})

t.test('random secrets of other makers are good', async () => {
  const digits = '0123456789abcdef'
  const base64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  const from = (alphabet: string, length: number) =>
    fc
      .infiniteStream(fc.nat(alphabet.length - 1))
      .map((stream) => [...stream.take(length)].map((index) => alphabet[index]).join(''))
  fc.assert(
    fc.property(
      // fast-check likes small numbers, random secrets do not: only those with many characters.
      fc.oneof(from(digits, 32), from(digits, 64), from(base64, 43)).filter(isVaried),
      (secret) => checkSecret(secret) === undefined,
    ),
    { numRuns: 500 },
  )
})

t.test('words are no sample where nobody would take them for one', async (t) => {
  for (const secret of [
    'correct-horse-battery-staple-and-more',
    'k9F!vR2#mQ8zT4wY7pL1xC6bN3jH5gD0',
    'Ünïcödé-pässphräsé-ïs-fïné-tøø-ßut-lång',
    '😀😃😄😁😆😅😂🤣',
  ]) {
    t.equal(checkSecret(secret), undefined, secret)
  }
})

t.test('a weak secret is refused, and the problem says why and what to do', async (t) => {
  const cases: [string, RegExp][] = [
    ['', /^the secret is empty;/],
    ['supersecretjwtkey', /^the secret has 17 bytes, fewer than 32;/],
    ['7f3a9c1e5b8d2f4a6c0e9b7d5f3a1c8', /^the secret has 31 bytes/],
    [' 7f3a9c1e5b8d2f4a6c0e9b7d5f3a1c8e', /begins or ends with white space/],
    ['7f3a9c1e5b8d2f4a6c0e9b7d5f3a1c8e\n', /begins or ends with white space/],
    ['supersecretjwtkey-supersecretjwtkey', /looks like one out of an example/],
    ['change-me-to-a-long-random-string', /it has "changeme" in it/],
    ['CHANGE_ME_CHANGE_ME_CHANGE_ME_CHANGE_ME', /it has "changeme" in it/],
    ['please-change-this-secret-before-use', /example/],
    ['your-secret-key-your-secret-key-32', /example/],
    ['your-256-bit-secret-your-256-bit-secret', /example/],
    ['your-super-secret-jwt-token-with-at-least-32-characters-long', /example/],
    ['a-string-secret-at-least-256-bits-long', /example/],
    ['replace-with-output-of-openssl-rand-hex-32', /example/],
    ['my_super_secret_key_for_jwt_signing_123', /example/],
    ['use-at-least-32-bytes-of-random-data-here', /example/],
    ['PasswordPasswordPasswordPassword', /example/],
    ['this-is-an-example-and-nothing-more', /example/],
    ['0123456789abcdef0123456789abcdef', /example/],
    ['abcdefghijklmnopqrstuvwxyz012345', /example/],
    ['secretsecretsecretsecretsecretsecret', /example/],
    ['a'.repeat(32), /the secret repeats itself/],
    ['ab'.repeat(40), /the secret repeats itself/],
    ['x7Kq'.repeat(9), /the secret repeats itself/],
    ['k9F!vR2#mQ8zT4wY7pL1'.repeat(2), /the secret repeats itself/],
    [`${'a'.repeat(40)}b`, /fewer than 8 different characters/],
    ['01101001100101101001011001101001', /fewer than 8 different characters/],
  ]
  for (const [secret, problem] of cases) {
    const found = checkSecret(secret) ?? ''
    t.match(found, problem, secret)
    t.match(found, /make a good one with "gotunnel-server secret"$/)
    t.notOk(secret.length > 16 && found.includes(secret), 'keeps the secret to itself')
  }
})

function isVaried(secret: string): boolean {
  const counts = new Map<string, number>()
  for (const char of secret) counts.set(char, (counts.get(char) ?? 0) + 1)
  return counts.size >= 10 && Math.max(...counts.values()) <= secret.length / 3
}
