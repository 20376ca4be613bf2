/** Where a message's body ends (RFC 9112 §6). What two readers could understand differently has no framing. */

export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  /** Of a response: it ends with the connection. */
  | { readonly kind: 'close' }

type Fields = readonly string[]

/** That of a request; undefined where it is ambiguous. */
export function requestFraming(
  rawHeaders: Fields,
  httpVersion: string,
): Exclude<BodyFraming, { kind: 'close' }> | undefined {
  const declaration = declarationIn(rawHeaders)
  return isSound(declaration, httpVersion) ? framingBy(declaration, none) : undefined
}

/**
 * That of the response to a request of this method; undefined where it is ambiguous. What some targets
 * write is not: one length several times, and a length beside chunks, which does not count (RFC 9112 §6.3).
 */
export function responseFraming(
  { status, rawHeaders }: { readonly status: number; readonly rawHeaders: Fields },
  method: string,
): BodyFraming | undefined {
  if (method === 'HEAD' || status === 204 || status === 304 || status < 200) return none
  const declaration = declarationIn(rawHeaders)
  return declaration.isOne ? framingBy(declaration, untilClose) : undefined
}

/** Whether the response's framing is what it should be, so that something may follow (RFC 9112 §6.1, §6.3). */
export function isFramedSoundly(head: {
  readonly httpVersion: string
  readonly rawHeaders: Fields
}): boolean {
  return isSound(declarationIn(head.rawHeaders), head.httpVersion)
}

interface Declaration {
  readonly length: string | undefined
  readonly encoding: string | undefined
  /** No two lines contradict each other. */
  readonly isOne: boolean
  /** One line at most, of one of the two kinds. */
  readonly isPlain: boolean
}

function declarationIn(rawHeaders: Fields): Declaration {
  let length: string | undefined
  let encoding: string | undefined
  let isOne = true
  let isPlain = true
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string
    const value = rawHeaders[index + 1] as string
    if (name.length === 14 && name.toLowerCase() === 'content-length') {
      if (length !== undefined) isPlain = false
      if (length !== undefined && length !== value) isOne = false
      length = value
    } else if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') {
      if (encoding !== undefined) isOne = isPlain = false
      encoding = value
    }
  }
  if (length !== undefined && encoding !== undefined) isPlain = false
  return { length, encoding, isOne, isPlain }
}

/** HTTP/1.0 has no chunks. */
function isSound({ encoding, isPlain }: Declaration, httpVersion: string): boolean {
  return isPlain && (encoding === undefined || httpVersion === '1.1')
}

/** What one line says, or else `unsaid`; undefined where it says nothing that could be meant. */
function framingBy<Unsaid>({ length, encoding }: Declaration, unsaid: Unsaid) {
  if (encoding !== undefined) return encoding.toLowerCase() === 'chunked' ? chunked : undefined
  if (length === undefined) return unsaid
  if (!lengthForm.test(length)) return undefined
  const bytes = Number(length)
  return bytes === 0 ? none : ({ kind: 'length', length: bytes } as const)
}

/** As many digits as a number holds to the last one: 999 TB. */
const lengthForm = /^[0-9]{1,15}$/

const none = { kind: 'none' } as const
const chunked = { kind: 'chunked' } as const
const untilClose = { kind: 'close' } as const
