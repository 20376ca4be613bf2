/*
 * Files that hold private keys: complete or absent at every moment, readable by us alone, and never
 * reached through a symbolic link somebody left in the directory.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { link, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CertificateError } from './errors.ts'

/**
 * The text of a regular file, or `undefined` where there is none.
 * @throws CertificateError CERT_FILE_FAILED, also for a symbolic link, a device, or a file too long.
 */
export async function readPrivateFile(path: string): Promise<string | undefined> {
  try {
    // Without O_NONBLOCK, opening a FIFO would hold a thread for ever.
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const stat = await file.stat()
      if (!stat.isFile()) throw new Error('not a regular file')
      if (stat.size > FILE_LIMIT_BYTES) throw new Error(`longer than ${FILE_LIMIT_BYTES} bytes`)
      return await file.readFile('utf8')
    } finally {
      await file.close()
    }
  } catch (error) {
    if (errno(error) === 'ENOENT') return undefined
    const reason = errno(error) === 'ELOOP' ? 'it is a symbolic link' : message(error)
    throw failed(`cannot read ${path}: ${reason}`, error)
  }
}

/** Puts the text in the file's place, whatever was there. @throws CertificateError CERT_FILE_FAILED. */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  await place(path, text, rename)
}

/**
 * Makes the file if there is none, and says whether it did: of many callers at once, in however
 * many processes, one is told `true`, and a reader never sees half a text.
 * @throws CertificateError CERT_FILE_FAILED.
 */
export async function createPrivateFile(path: string, text: string): Promise<boolean> {
  try {
    await place(path, text, link)
    return true
  } catch (error) {
    if (error instanceof CertificateError && errno(error.cause) === 'EEXIST') return false
    throw error
  }
}

/** Makes the directory and its parents, for us alone; one that exists is left as it is. */
export async function makePrivateDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
  } catch (error) {
    // With `recursive`, Node says ENOENT of a disk that is read-only.
    const { path = directory } = error as NodeJS.ErrnoException
    const plain = await mkdir(path, { mode: 0o700 }).catch((reason) => reason)
    const cause = errno(plain) === 'EROFS' ? plain : error
    throw failed(`cannot make the directory ${directory}: ${message(cause)}`, cause)
  }
}

export const TEMPORARY_PREFIX = '.tmp-'

// A key and a long chain are 10 KiB.
const FILE_LIMIT_BYTES = 256 * 1024

async function place(
  path: string,
  text: string,
  move: (from: string, to: string) => Promise<void>,
): Promise<void> {
  const directory = dirname(path)
  const temporary = join(directory, `${TEMPORARY_PREFIX}${randomBytes(8).toString('hex')}`)
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await move(temporary, path)
    await syncDirectory(directory)
  } catch (error) {
    throw failed(`cannot write ${path}: ${message(error)}`, error)
  } finally {
    await rm(temporary, { force: true }).catch(() => {})
  }
}

// The name is on the disk only when its directory is.
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function failed(text: string, cause: unknown): CertificateError {
  return new CertificateError('CERT_FILE_FAILED', text, { cause })
}

function errno(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
