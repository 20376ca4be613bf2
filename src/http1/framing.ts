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
  const declared = declaredFraming(rawHeaders)
  if (declared === 'ambiguous') return undefined
  if (declared?.kind === 'chunked' && httpVersion !== '1.1') return undefined
  return declared ?? none
}

/** That of the response to a request of this method; undefined where it is ambiguous. */
export function responseFraming(
  { status, rawHeaders }: { readonly status: number; readonly rawHeaders: Fields },
  method: string,
): BodyFraming | undefined {
  if (method === 'HEAD' || status === 204 || status === 304 || status < 200) return none
  const declared = declaredFraming(rawHeaders)
  return declared === 'ambiguous' ? undefined : (declared ?? untilClose)
}

/** By the lines alone; undefined where they say nothing. */
function declaredFraming(rawHeaders: Fields) {
  let length: string | undefined
  let encoding: string | undefined
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string
    const value = rawHeaders[index + 1] as string
    if (name.length === 14 && name.toLowerCase() === 'content-length') {
      if (length !== undefined) return 'ambiguous'
      length = value
    } else if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') {
      if (encoding !== undefined) return 'ambiguous'
      encoding = value
    }
  }
  if (encoding !== undefined) {
    return length === undefined && encoding.toLowerCase() === 'chunked' ? chunked : 'ambiguous'
  }
  if (length === undefined) return undefined
  if (!lengthForm.test(length)) return 'ambiguous'
  const bytes = Number(length)
  return bytes === 0 ? none : ({ kind: 'length', length: bytes } as const)
}

/** As many digits as a number holds to the last one: 999 TB. */
const lengthForm = /^[0-9]{1,15}$/

const none = { kind: 'none' } as const
const chunked = { kind: 'chunked' } as const
const untilClose = { kind: 'close' } as const
