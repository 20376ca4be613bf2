import { scryptSync } from 'node:crypto'
import t from 'tap'
import {
  hashPassword,
  isPassword,
  isPasswordHash,
  type PasswordHash,
  parsePasswordHash,
} from '../../src/auth/password.ts'

const hex = 'ab'.repeat(64)

t.test('a password is recognized by its hash, another is not', async (t) => {
  const text = await hashPassword('pass wörd')
  t.match(text, /^scrypt:32768:8:3\$[\w-]{22}\$[0-9a-f]{128}$/)
  t.not(await hashPassword('pass wörd'), text, 'each has a salt of its own')
  const hash = parsePasswordHash(text) as PasswordHash
  t.equal(await isPassword('pass wörd', hash), true)
  t.equal(await isPassword('pass word', hash), false)
  t.equal(await isPassword('', hash), false)
})

t.test('hashes of other programs are taken, as Werkzeug writes them', async (t) => {
  const derived = scryptSync('secret', 'SaltOf16Letters.', 64, { N: 1024, r: 8, p: 1 })
  const hash = parsePasswordHash(`scrypt:1024:8:1$SaltOf16Letters.$${derived.toString('hex')}`)
  t.equal(hash && (await isPassword('secret', hash)), true)
})

t.test('what is no hash, or costs too much to check, is refused', async (t) => {
  for (const text of [
    '',
    'secret',
    `scrypt:1000:8:1$12345678$${hex}`,
    `scrypt:1:8:1$12345678$${hex}`,
    `scrypt:131072:8:1$12345678$${hex}`,
    `scrypt:2:999:1$12345678$${hex}0`,
    `scrypt:1024:0:1$12345678$${hex}`,
    `scrypt:1024:8:129$12345678$${hex}`,
    `scrypt:65536:8:3$12345678$${hex}`,
    `scrypt:1024:8:1$short$${hex}`,
    `scrypt:1024:8:1$12345678$${hex.slice(2)}`,
    `scrypt:1024:8:1$12345678$${hex}\n`,
    '$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy',
  ]) {
    t.equal(isPasswordHash(text), false, text)
  }
})
