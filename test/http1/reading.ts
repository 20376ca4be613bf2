import { BodyReader } from '../../src/http1/body-reader.ts'
import { Http1Error } from '../../src/http1/errors.ts'
import { requestFraming, responseFraming } from '../../src/http1/framing.ts'
import { requestGrammar, responseGrammar } from '../../src/http1/grammar.ts'
import { parseRequestHead, parseResponseHead } from '../../src/http1/head.ts'
import { HeadReader } from '../../src/http1/head-reader.ts'

export interface Read {
  start: string
  rawHeaders: readonly string[]
  body: string
  /** Undefined: it is not whole. */
  rawTrailers: readonly string[] | undefined
  /** What came behind it. */
  rest: string
}

/** What the readers make of one message, in whatever pieces it comes; or the code of what is wrong with it. */
export function readRequest(pieces: readonly string[], limitBytes = 1_000): Read | string {
  return read('request', pieces, limitBytes, (text) => {
    const head = parseRequestHead(text)
    const framing = requestFraming(head.rawHeaders, head.httpVersion)
    const start = `${head.method} ${head.url} ${head.httpVersion}`
    return { start, rawHeaders: head.rawHeaders, framing }
  })
}

/** The same of the response to a request of this method; the pieces end with the connection. */
export function readResponse(
  pieces: readonly string[],
  method = 'GET',
  limitBytes = 1_000,
): Read | string {
  return read('response', pieces, limitBytes, (text) => {
    const head = parseResponseHead(text)
    const start = `${head.httpVersion} ${head.status} ${head.message}`
    return { start, rawHeaders: head.rawHeaders, framing: responseFraming(head, method) }
  })
}

type Parsed = Pick<Read, 'start' | 'rawHeaders'> & { framing: ReturnType<typeof responseFraming> }

function read(
  what: 'request' | 'response',
  pieces: readonly string[],
  limitBytes: number,
  parse: (text: string) => Parsed,
): Read | string {
  const grammar = what === 'response' ? responseGrammar : requestGrammar
  const heads = new HeadReader(limitBytes, grammar)
  const got: Read = { start: '', rawHeaders: [], body: '', rawTrailers: undefined, rest: '' }
  const listener = {
    onBody: (piece: Buffer) => {
      if (piece.length === 0) throw new Error('a piece without bytes')
      got.body += piece.toString('latin1')
    },
    onBodyEnd: (rawTrailers: readonly string[]) => {
      if (got.rawTrailers !== undefined) throw new Error('a second end')
      got.rawTrailers = rawTrailers
    },
  }
  let body: BodyReader | undefined
  try {
    for (const piece of pieces) {
      const chunk = Buffer.from(piece, 'latin1')
      let at = 0
      if (body === undefined) {
        at = heads.push(chunk, 0)
        if (at === -1) continue
        const { framing, ...head } = parse(heads.text)
        if (framing === undefined) return 'ambiguous'
        Object.assign(got, head)
        if (framing.kind === 'none') got.rawTrailers = []
        body = new BodyReader(framing, listener, limitBytes, grammar)
      }
      at = body.push(chunk, at)
      got.rest += chunk.toString('latin1', at)
    }
    body?.end()
    return got
  } catch (error) {
    if (error instanceof Http1Error) return error.code
    throw error
  }
}

/** In two pieces, at every place; and byte by byte. */
export function* cuttings(message: string): Generator<string[]> {
  for (let at = 1; at < message.length; at += 1) yield [message.slice(0, at), message.slice(at)]
  yield [...message]
}
