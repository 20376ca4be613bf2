/*
 * Heads of responses that small servers and CGI programs write, and that every other proxy takes. Here
 * they are brought to the letter of RFC 9112, so that nobody behind us has to understand them: only
 * what it says how to read, and nothing of which two readings are known.
 */

/**
 * With each line's CRLF (§2.2 has a bare LF for a line's end), one space before the status (§4), folded
 * lines in one (§5.2), and no white space before a colon (§5.1). The result is parsed as any other, and
 * may be malformed still.
 */
export function mendedResponseHead(text: string): string {
  const lines = text.replace(bareLf, '\r\n')
  const end = lines.indexOf('\r\n')
  // What follows the status line is no continuation of it.
  const fields = lines.slice(end).replace(blankBeforeColon, '$1:').replace(fold, ' ')
  return lines.slice(0, end).replace(firstBlank, ' ') + fields
}

const bareLf = /(?<!\r)\n/g
const firstBlank = / +/
const blankBeforeColon = /(?<=\n)([!#$%&'*+.^_`|~0-9A-Za-z-]+)[\t ]+:/g
/** Behind a line with something in it, which is a field's. */
const fold = /(?<=[^\r\n])\r\n[\t ]+/g
