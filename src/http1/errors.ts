import { CodedError } from '../errors.ts'

export type Http1ErrorCode =
  /** A message, or a part of one, that is not HTTP/1.1 to the letter. */
  | 'HTTP1_MALFORMED'
  /** A head, a chunk's size line or the trailers are longer than they may be. */
  | 'HTTP1_TOO_LARGE'

/** What came is no message of RFC 9112, or a larger one than may be: the connection is of no use any more. */
export class Http1Error extends CodedError<Http1ErrorCode> {}

export function malformed(what: string): Http1Error {
  return new Http1Error('HTTP1_MALFORMED', what)
}

export function tooLarge(what: string, limitBytes: number): Http1Error {
  return new Http1Error('HTTP1_TOO_LARGE', `${what} is longer than ${limitBytes} bytes`)
}
