import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { AcmeError } from './errors.ts'
import type { AcmeHttp } from './http.ts'
import { refusedBy } from './problem.ts'

/** A CA's own description (RFC 8555 §7.1.1), as far as we use it. */
export interface AcmeDirectory {
  readonly newNonce: string
  readonly newAccount: string
  readonly newOrder: string
  /** RFC 9773 §4.1. */
  readonly renewalInfo: string | undefined
  readonly termsOfService: string | undefined
  /** The names of its certificate profiles; undefined where it has none. */
  readonly profiles: readonly string[] | undefined
}

/** Asks the CA, and has `http` speak with the hosts it names. @throws AcmeError. */
export async function fetchDirectory(
  http: AcmeHttp,
  url: string,
  signal?: AbortSignal,
): Promise<AcmeDirectory> {
  const answer = await http.send({ method: 'GET', url }, signal)
  if (answer.status >= 400) throw refusedBy(`the directory ${url}`, answer)
  const directory = readDirectory(answer.body)
  if (directory === undefined) {
    throw new AcmeError('ACME_BAD_ANSWER', `${url} is no ACME directory: check ACME_DIRECTORY_URL`)
  }
  const { newNonce, newAccount, newOrder, renewalInfo } = directory
  http.allow([newNonce, newAccount, newOrder, ...(renewalInfo ? [renewalInfo] : [])])
  return directory
}

function readDirectory(text: string): AcmeDirectory | undefined {
  let body: Record<string, unknown>
  try {
    body = JSON.parse(text)
  } catch {
    return undefined
  }
  const url = (key: string) => {
    const value = body?.[key]
    return typeof value === 'string' && value.startsWith('https://') ? value : undefined
  }
  const [newNonce, newAccount, newOrder] = [url('newNonce'), url('newAccount'), url('newOrder')]
  if (newNonce === undefined || newAccount === undefined || newOrder === undefined) return undefined
  const { termsOfService, profiles } = (body.meta ?? {}) as Record<string, unknown>
  return {
    newNonce,
    newAccount,
    newOrder,
    renewalInfo: url('renewalInfo'),
    termsOfService: typeof termsOfService === 'string' ? termsOfService : undefined,
    profiles: typeof profiles === 'object' && profiles ? Object.keys(profiles) : undefined,
  }
}

/** Where what has to do with one CA is kept: what staging issued is never served for production's. */
export function folderOf(cache: string, directoryUrl: string): string {
  const name = createHash('sha256').update(directoryUrl).digest('hex').slice(0, 16)
  return join(cache, name)
}
