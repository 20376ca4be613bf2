import { randomBytes } from 'node:crypto'

/** The size of the hash: HS256 asks for no less (RFC 7518 §3.2). */
const secretMinBytes = 32

/** 32 random hex digits have fewer than 8 different ones once in 25 million. */
const differentCharactersMin = 8

/**
 * Words of secrets that stand in examples, letters and digits only: of our own .env.example, the Go
 * program's (`supersecretjwtkey`), jwt.io (`your-256-bit-secret`), and what their readers make of
 * them to get 32 characters. Each is long enough not to turn up in a random text.
 */
const samples = [
  'changeme',
  'changethis',
  'changeit',
  'replaceme',
  'replacethis',
  'replacewith',
  'putyour',
  'insertyour',
  'yoursecret',
  'yourjwt',
  'yoursuper',
  'yourlong',
  'yourrandom',
  'your256bit',
  'yourown',
  'mysecret',
  'supersecret',
  'verysecret',
  'topsecret',
  'secretkey',
  'jwtsecret',
  'stringsecret',
  'bitsecret',
  'secretsecret',
  'password',
  'passphrase',
  'placeholder',
  'example',
  'opensslrand',
  'longrandom',
  'randomstring',
  'atleast32',
  'atleast256',
  'donotuse',
  'insecure',
  'loremipsum',
  '0123456789',
  '1234567890',
  'abcdefghij',
  'qwertyuiop',
  'deadbeef',
]

/** What is wrong with a secret that agents and gateway share, and what to do; `undefined` for a good one. */
export function checkSecret(text: string): string | undefined {
  const problem = problemOf(text)
  return problem && `${problem}; make a good one with "gotunnel-server secret"`
}

/** A new secret: 256 random bits, in hex so that every shell, .env and YAML file takes it as it is. */
export function generateSecret(): string {
  return randomBytes(secretMinBytes).toString('hex')
}

function problemOf(text: string): string | undefined {
  if (text === '') return 'the secret is empty'
  if (text.trim() !== text) return 'the secret begins or ends with white space'
  const bytes = Buffer.byteLength(text)
  if (bytes < secretMinBytes) {
    return `the secret has ${bytes} bytes, fewer than ${secretMinBytes}`
  }
  const words = text.toLowerCase().replace(/[^a-z0-9]/g, '')
  const sample = samples.find((word) => words.includes(word))
  if (sample) return `the secret looks like one out of an example (it has "${sample}" in it)`
  if (periodOf(text) <= text.length / 2) return 'the secret repeats itself'
  if (new Set(text).size < differentCharactersMin) {
    return `the secret has fewer than ${differentCharactersMin} different characters`
  }
  return undefined
}

/** How long the shortest text is that gives this one when repeated, cut anywhere at the end. */
function periodOf(text: string): number {
  let period = 1
  while (!text.startsWith(text.slice(period))) period++
  return period
}
