/** Header lines as an owner writes them, in place of what passes through. */

/** Why no line of this name may be set or removed; undefined: it may. */
export function headerNameProblem(name: string): string | undefined {
  if (!/^[\w!#$%&'*+.^`|~-]{1,100}$/.test(name)) return 'is no name of a header'
  if (name.toLowerCase() === 'host') return 'has an option of its own, host_header'
  return framing.has(name.toLowerCase()) ? 'is between one program and the next' : undefined
}

/** Up to 2048 printable characters of ASCII, no space at the ends: nothing that could begin another line. */
export function isHeaderValue(text: string): boolean {
  return text.length <= 2048 && /^[\t\x20-\x7e]*$/.test(text) && text === text.trim()
}

// What says where a message ends, and to whom it is said (RFC 9110 §7.6.1, RFC 9112 §6).
const framing: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
