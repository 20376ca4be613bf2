/*
 * HTTP/1.1 messages as RFC 9112 has them, to the letter: what is lenient in every real server is an
 * error here. What this reads without a complaint, any two servers read alike.
 */

export interface Message {
  readonly start: string
  /** Names in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: string
}

/**
 * The messages that are whole, of one connection's bytes (latin1), and what is left.
 * @throws about bytes that can be no message, however many come behind them.
 */
export function readRequests(bytes: string): { messages: Message[]; rest: string } {
  const messages: Message[] = []
  for (let rest = bytes; ; ) {
    try {
      if (rest === '') return { messages, rest }
      const { message, after } = readRequest(rest)
      messages.push(message)
      rest = after
    } catch (error) {
      if (error instanceof Incomplete) return { messages, rest }
      throw error
    }
  }
}

export function valuesIn({ headers }: Message, name: string): string[] {
  return headers.filter(([candidate]) => candidate === name).map(([, value]) => value)
}

function readRequest(bytes: string): { message: Message; after: string } {
  const { start, headers, after } = readHead(bytes)
  if (!/^[A-Z]+ (?:\/[!-~\x80-\xff]*|\*) HTTP\/1\.1$/.test(start)) throw malformed('start', start)
  const head = { start, headers, body: '' }
  const hosts = valuesIn(head, 'host')
  if (hosts.length !== 1 || !/^[\w.-]+(?::\d+)?$/.test(hosts[0] ?? ''))
    throw malformed('Host', hosts)
  const { body, rest } = readBody(head, after)
  return { message: { ...head, body }, after: rest }
}

function readHead(bytes: string) {
  const end = bytes.indexOf('\r\n\r\n')
  if (end === -1) throw new Incomplete()
  const [start = '', ...lines] = bytes.slice(0, end).split('\r\n')
  if (/[\r\n\0]/.test(start)) throw malformed('start', start)
  return { start, headers: lines.map(readLine), after: bytes.slice(end + 4) }
}

function readLine(line: string): readonly [string, string] {
  const [, name = '', value = ''] = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*(.*?)[ \t]*$/s.exec(line) ?? []
  if (name === '' || /[^\t\x20-\x7e\x80-\xff]/.test(value)) throw malformed('line', line)
  return [name.toLowerCase(), value]
}

function readBody(head: Message, bytes: string): { body: string; rest: string } {
  const lengths = valuesIn(head, 'content-length')
  const codings = valuesIn(head, 'transfer-encoding')
  if (lengths.length + codings.length === 0) return { body: '', rest: bytes }
  if (lengths.length + codings.length > 1) throw malformed('framing', [...lengths, ...codings])
  if (codings.length === 1) {
    if (codings[0] !== 'chunked') throw malformed('Transfer-Encoding', codings)
    return readChunks(bytes)
  }
  if (!/^\d{1,15}$/.test(lengths[0] ?? '')) throw malformed('Content-Length', lengths)
  const length = Number(lengths[0])
  if (bytes.length < length) throw new Incomplete()
  return { body: bytes.slice(0, length), rest: bytes.slice(length) }
}

function readChunks(bytes: string): { body: string; rest: string } {
  let body = ''
  for (let rest = bytes; ; ) {
    const [line, digits = ''] = /^([0-9a-f]{1,8})\r\n/i.exec(rest) ?? []
    if (line === undefined && /^[0-9a-f]{0,8}\r?$/i.test(rest)) throw new Incomplete()
    if (line === undefined) throw malformed('chunk', rest.slice(0, 40))
    rest = rest.slice(line.length)
    const size = Number.parseInt(digits, 16)
    if (size === 0) return { body, rest: afterTrailers(rest) }
    if (rest.length < size + 2) throw new Incomplete()
    if (rest.slice(size, size + 2) !== '\r\n') throw malformed('chunk', rest.slice(0, size + 2))
    body += rest.slice(0, size)
    rest = rest.slice(size + 2)
  }
}

function afterTrailers(bytes: string): string {
  if (bytes.startsWith('\r\n')) return bytes.slice(2)
  const end = bytes.indexOf('\r\n\r\n')
  if (end === -1) throw new Incomplete()
  for (const line of bytes.slice(0, end).split('\r\n')) readLine(line)
  return bytes.slice(end + 4)
}

/** Nothing is wrong so far. */
class Incomplete extends Error {}

function malformed(what: string, found: string | readonly string[]): Error {
  return new Error(`malformed ${what}: ${JSON.stringify(found)}`)
}
