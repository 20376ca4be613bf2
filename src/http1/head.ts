/*
 * A message's head, to the letter of RFC 9112: what other readers might understand otherwise is
 * refused (bare CR or LF, folded lines, white space before a colon, control characters); some of that
 * is mended in a response. Text is latin1: a character is a byte. Written for speed: one look at all of
 * the text, then slices of it.
 */

import { malformed } from './errors.ts'
import { mendedResponseHead } from './mending.ts'

export interface Http1RequestHead {
  readonly method: string
  readonly url: string
  readonly httpVersion: '1.1' | '1.0'
  /** A flat list, name before value, as they came. */
  readonly rawHeaders: string[]
}

export interface Http1ResponseHead {
  readonly status: number
  /** The reason phrase. */
  readonly message: string
  readonly httpVersion: '1.1' | '1.0'
  readonly rawHeaders: string[]
  /** It came as RFC 9112 has it, and was not mended. */
  readonly isExact: boolean
}

/**
 * The head of a request: its lines, each with its CRLF, without the empty one at the end.
 * @throws Http1Error HTTP1_MALFORMED
 */
export function parseRequestHead(text: string): Http1RequestHead {
  const end = text.indexOf('\r\n')
  const [, method, url, minor] = requestLine.exec(text.slice(0, end)) ?? []
  if (method === undefined || url === undefined) throw malformed('this is no request line')
  const httpVersion = minor === '0' ? '1.0' : '1.1'
  return { method, url, httpVersion, rawHeaders: parseFields(text, end + 2) }
}

/** The same of a response; its lines may end in a bare LF as well. @throws Http1Error HTTP1_MALFORMED */
export function parseResponseHead(text: string): Http1ResponseHead {
  const head = responseHeadIn(text, true) ?? responseHeadIn(mendedResponseHead(text), false)
  if (head === undefined) throw malformed('this is no head of a response')
  return head
}

function responseHeadIn(text: string, isExact: boolean): Http1ResponseHead | undefined {
  const end = text.indexOf('\r\n')
  const [, minor, status, message = ''] = statusLine.exec(text.slice(0, end)) ?? []
  if (status === undefined) return undefined
  const rawHeaders = fieldsIn(text, end + 2)
  if (rawHeaders === undefined) return undefined
  const httpVersion = minor === '0' ? '1.0' : '1.1'
  return { status: Number(status), message, httpVersion, rawHeaders, isExact }
}

/** Header lines, or trailers, from a place in the text to its end. @throws Http1Error HTTP1_MALFORMED */
export function parseFields(text: string, from: number): string[] {
  const flat = fieldsIn(text, from)
  if (flat === undefined) throw malformed('a header line is malformed')
  return flat
}

function fieldsIn(text: string, from: number): string[] | undefined {
  fields.lastIndex = from
  if (!fields.test(text)) return undefined
  const flat: string[] = []
  for (let at = from; at < text.length; ) {
    const colon = text.indexOf(':', at)
    const end = text.indexOf('\r\n', colon)
    flat.push(text.slice(at, colon), valueIn(text, colon + 1, end))
    at = end + 2
  }
  return flat
}

/** Without the white space around it (RFC 9112 §5.1). */
function valueIn(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isBlank(text.charCodeAt(start))) start += 1
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}

/** A method that HTTP/1.1 can carry: those in use are in capitals, and `get` is GET to some readers only. */
export const methodForm = /^[A-Z][A-Z-]{0,31}$/
/** RFC 9112 §3 */
const requestLine = /^([A-Z][A-Z-]{0,31}) ([!-~]+) HTTP\/1\.([01])$/
/**
 * RFC 9112 §4; the space behind the code is often forgotten where there is no reason. A higher minor
 * version is read as the highest that is known (RFC 9110 §6.2).
 */
const statusLine = /^HTTP\/1\.([0-9]) ([1-9][0-9]{2})(?: ([\t -~\x80-\xff]*))?$/
/** RFC 9110 §5.1 and §5.5 */
const fields = /(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*$/y
