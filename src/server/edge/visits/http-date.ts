let line = ''
let second = 0

/** The Date line, with its CRLF (RFC 9110 §5.6.7 and §6.6.1). */
export function httpDateLine(): string {
  const now = Math.floor(Date.now() / 1000)
  if (now !== second) line = `Date: ${new Date(now * 1000).toUTCString()}\r\n`
  second = now
  return line
}
