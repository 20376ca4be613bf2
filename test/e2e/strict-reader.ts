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
 * The requests that are whole, of one connection's bytes (latin1), and what is left.
 * @throws about bytes that can be no request, however many come behind them.
 */
export function readRequests(bytes: string): { messages: Message[]; rest: string } {
  const messages: Message[] = []
  for (let rest = bytes; rest !== ''; ) {
    const read = unlessIncomplete(() => readRequest(rest))
    if (read === undefined) return { messages, rest }
    messages.push(read.message)
    rest = read.rest
  }
  return { messages, rest: '' }
}

/** A response that has its own end, and what comes behind it; undefined if it has not come to that. */
export function readResponse(bytes: string, method = 'GET'): Read | undefined {
  return unlessIncomplete(() => {
    const head = readHead(bytes, /^HTTP\/1\.1 [1-9]\d\d [\t\x20-\x7e\x80-\xff]*$/)
    if (/^HTTP\/1\.1 (?:1\d\d|204|304) /.test(head.start) || method === 'HEAD') {
      return { message: { ...head, body: '' }, rest: head.rest }
    }
    return readBody(head)
  })
}

export function valuesIn({ headers }: Pick<Message, 'headers'>, name: string): string[] {
  return headers.filter(([candidate]) => candidate === name).map(([, value]) => value)
}

interface Read {
  readonly message: Message
  readonly rest: string
}

type Head = Omit<Message, 'body'> & { readonly rest: string }

function readRequest(bytes: string): Read {
  const head = readHead(bytes, /^[A-Z][A-Z-]* (?:\/[!-~\x80-\xff]*|\*) HTTP\/1\.1$/)
  const hosts = valuesIn(head, 'host')
  if (hosts.length !== 1 || !/^[\w.-]+(?::\d+)?$/.test(hosts[0] ?? ''))
    throw malformed('Host', hosts)
  return readBody(head)
}

function readHead(bytes: string, form: RegExp): Head {
  const end = bytes.indexOf('\r\n\r\n')
  if (end === -1) throw new Incomplete()
  const [start = '', ...lines] = bytes.slice(0, end).split('\r\n')
  if (!form.test(start)) throw malformed('start', start)
  return { start, headers: lines.map(readLine), rest: bytes.slice(end + 4) }
}

function readLine(line: string): readonly [string, string] {
  const [, name = '', value = ''] = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*(.*?)[ \t]*$/s.exec(line) ?? []
  if (name === '' || /[^\t\x20-\x7e\x80-\xff]/.test(value)) throw malformed('line', line)
  return [name.toLowerCase(), value]
}

function readBody({ start, headers, rest: bytes }: Head): Read {
  const lengths = valuesIn({ headers }, 'content-length')
  const codings = valuesIn({ headers }, 'transfer-encoding')
  const framing = [...lengths, ...codings]
  if (framing.length === 0) return { message: { start, headers, body: '' }, rest: bytes }
  if (framing.length > 1) throw malformed('framing', framing)
  if (codings.length === 1) {
    if (codings[0] !== 'chunked') throw malformed('Transfer-Encoding', codings)
    const { body, rest } = readChunks(bytes)
    return { message: { start, headers, body }, rest }
  }
  if (!/^\d{1,15}$/.test(lengths[0] ?? '')) throw malformed('Content-Length', lengths)
  const length = Number(lengths[0])
  if (bytes.length < length) throw new Incomplete()
  return { message: { start, headers, body: bytes.slice(0, length) }, rest: bytes.slice(length) }
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

function unlessIncomplete<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof Incomplete) return undefined
    throw error
  }
}

function malformed(what: string, found: string | readonly string[]): Error {
  return new Error(`malformed ${what}: ${JSON.stringify(found)}`)
}
