/*
 * Messages for the wire, as text of which each character is a byte (latin1).
 */

/**
 * A head, with the empty line behind it, and before that perhaps some text of whole lines.
 * @throws TypeError about a line that would be more than one, or none, to its reader.
 */
export function formatHead(startLine: string, lines: readonly string[], more = ''): string {
  return `${startLine}\r\n${formatFields(lines)}${more}\r\n`
}

/** Header lines, or trailers, each with its CRLF. @throws TypeError as `formatHead` */
export function formatFields(lines: readonly string[]): string {
  let text = ''
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const name = lines[index] as string
    const value = lines[index + 1] as string
    if (!nameForm.test(name) || notInValues.test(value)) {
      throw new TypeError(`the header line ${JSON.stringify(name)} cannot be sent`)
    }
    text += `${name}: ${value}\r\n`
  }
  return text
}

/** Writes a chunk (RFC 9112 §7.1); for no bytes nothing, as that would be the last. Gives the last write's answer. */
export function writeChunk(to: { write(piece: string | Buffer): boolean }, bytes: Buffer): boolean {
  if (bytes.length === 0) return true
  to.write(`${bytes.length.toString(16)}\r\n`)
  to.write(bytes)
  return to.write('\r\n')
}

/** What stands behind the last chunk. @throws TypeError as `formatHead` */
export function formatLastChunk(rawTrailers: readonly string[]): string {
  return `0\r\n${formatFields(rawTrailers)}\r\n`
}

/** RFC 9110 §5.1 */
const nameForm = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** RFC 9110 §5.5; and what is no byte at all, of which the lower half could be a line's end. */
const notInValues = /[^\t -~\x80-\xff]/
