import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'

/**
 * A password's hash, as text: `scrypt:32768:8:3$<salt>$<hash>`, the numbers N, r and p of RFC 7914, the
 * salt as it is fed, the 64 bytes of the hash in hexadecimal. Werkzeug writes the same.
 */
export interface PasswordHash {
  readonly cost: number
  readonly blockSize: number
  readonly parallelism: number
  readonly salt: string
  readonly hash: Buffer
}

/** What OWASP recommends for 32 MiB of memory; a quarter of a second of one core. */
const ours = { cost: 2 ** 15, blockSize: 8, parallelism: 3 }
const hashBytes = 64

/** Whoever hands us a hash makes us do its work, at each attempt to log in: at most a little more than ours. */
const mostMemoryBytes = 64 * 1024 * 1024
const mostWorkBytes = 2 * mostMemoryBytes

/** The hash of a new password, with a salt of its own. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16).toString('base64url')
  const hash = await derive(password, { ...ours, salt })
  const { cost, blockSize, parallelism } = ours
  return `scrypt:${cost}:${blockSize}:${parallelism}$${salt}$${hash.toString('hex')}`
}

/** Undefined for what is no such hash, or one that costs too much to check. */
export function parsePasswordHash(text: string): PasswordHash | undefined {
  const [, n = '', r = '', p = '', salt = '', hash = ''] = form.exec(text) ?? []
  const [cost, blockSize, parallelism] = [Number(n), Number(r), Number(p)]
  const isPowerOfTwo = cost > 1 && Number.isInteger(Math.log2(cost))
  const bytes = memoryBytes(cost, blockSize)
  const isCheap = bytes <= mostMemoryBytes && bytes * parallelism <= mostWorkBytes
  if (hash === '' || !isPowerOfTwo || blockSize < 1 || parallelism < 1 || !isCheap) return undefined
  return { cost, blockSize, parallelism, salt, hash: Buffer.from(hash, 'hex') }
}

/** Whether it is a hash that we would check. */
export function isPasswordHash(text: string): boolean {
  return parsePasswordHash(text) !== undefined
}

/** Takes the time that the hash's numbers ask for, in another thread. */
export async function isPassword(password: string, expected: PasswordHash): Promise<boolean> {
  return timingSafeEqual(await derive(password, expected), expected.hash)
}

const form = /^scrypt:(\d{1,8}):(\d{1,3}):(\d{1,3})\$([\w.~+/=-]{8,64})\$([0-9a-f]{128})$/i

function derive(
  password: string,
  { salt, ...numbers }: Omit<PasswordHash, 'hash'>,
): Promise<Buffer> {
  const { cost, blockSize, parallelism } = numbers
  const maxmem = memoryBytes(cost, blockSize) + 128 * blockSize * parallelism + 1024 * 1024
  const options: ScryptOptions = { cost, blockSize, parallelization: parallelism, maxmem }
  return new Promise((resolve, reject) => {
    scrypt(password, salt, hashBytes, options, (error, hash) => {
      if (error) reject(error)
      else resolve(hash)
    })
  })
}

/** RFC 7914 §2 */
function memoryBytes(cost: number, blockSize: number): number {
  return 128 * cost * blockSize
}
