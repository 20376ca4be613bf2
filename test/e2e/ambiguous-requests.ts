// Requests that two readers may understand differently, and those that they may not but look the same. In each
// is a second one, under `/…-smuggled`, wherever there is a place for it.

/** What a case may come to. */
export type Expected = 'nothing' | { readonly start: string; readonly body?: string }

const host = 'Host: app.localhost'
const crlf = '\r\n'
export const head = (...lines: string[]) => `${lines.join(crlf)}\r\n\r\n`
const smuggled = (id: string) => head(`GET /${id}-smuggled HTTP/1.1`, host)
/** The same in chunks. */
export const chunks = (...parts: string[]) =>
  [...parts, ''].map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('')

/** By an id that is in the target: its name, its bytes, and what may arrive; default: nothing. */
export type Case = [
  name: string,
  bytes: (id: string) => string,
  expected?: (id: string) => Expected,
]

const get = (...lines: string[]) => {
  return (id: string) => head(`GET /${id} HTTP/1.1`, host, ...lines)
}
/** A body that is a request, for whoever thinks that there is no body. */
const post = (...lines: string[]) => {
  return (id: string) => head(`POST /${id} HTTP/1.1`, host, ...lines) + smuggled(id)
}
const one =
  (method = 'GET', body = '') =>
  (id: string): Expected => ({ start: `${method} /${id} HTTP/1.1`, body })
const smuggledLength = (id: string) => smuggled(id).length

export const ambiguousRequests: readonly Case[] = [
  // Where the body ends: RFC 9112 §6.3
  [
    'a length',
    (id) => post(`Content-Length: ${smuggledLength(id)}`)(id),
    (id) => one('POST', smuggled(id))(id),
  ],
  [
    'chunks',
    (id) => head(`POST /${id} HTTP/1.1`, host, 'Transfer-Encoding: chunked') + chunks(smuggled(id)),
    (id) => one('POST', smuggled(id))(id),
  ],
  ['a length and chunks', post('Content-Length: 3', 'Transfer-Encoding: chunked')],
  ['chunks and a length', post('Transfer-Encoding: chunked', 'Content-Length: 3')],
  ['chunks and a length of 0', post('Transfer-Encoding: chunked', 'Content-Length: 0')],
  ['two lengths', post('Content-Length: 0', 'Content-Length: 60')],
  ['one length twice', post('Content-Length: 60', 'Content-Length: 60')],
  ['a list of lengths', post('Content-Length: 60, 60')],
  ['a list of two lengths', post('Content-Length: 0, 60')],
  ['a length with a sign', post('Content-Length: +60')],
  ['a negative length', post('Content-Length: -1')],
  ['a hexadecimal length', post('Content-Length: 0x3c')],
  ['a length in digits that are no ASCII', post('Content-Length: \xb2')],
  ['a length with a point', post('Content-Length: 6.0')],
  ['a length with an underscore', post('Content-Length: 6_0')],
  ['a length with a space inside', post('Content-Length: 6 0')],
  ['an empty length', post('Content-Length:')],
  ['a length of white space', post('Content-Length: \t ')],
  ['a length beyond 64 bits', post('Content-Length: 18446744073709551616')],
  ['a length beyond 64 bits, and 60', post('Content-Length: 18446744073709551676')],
  ['a length with a leading form feed', post('Content-Length: \x0c60')],
  ['a length under another name', get('Content-Length-: 60'), one()],
  ['a length with an underscore in its name', get('Content_Length: 60'), one()],
  ['a length with a prefix', get('X-Content-Length: 60'), one()],
  ['no length where one is usual', (id) => head(`POST /${id} HTTP/1.1`, host), one('POST')],
  [
    'a body of a GET',
    (id) => get(`Content-Length: ${smuggledLength(id)}`)(id) + smuggled(id),
    (id) => one('GET', smuggled(id))(id),
  ],
  [
    'chunks of a GET',
    (id) => get('Transfer-Encoding: chunked')(id) + chunks(smuggled(id)),
    (id) => one('GET', smuggled(id))(id),
  ],
  // Transfer-Encoding and its look-alikes: RFC 9112 §6.1
  [
    'chunked in capitals',
    (id) => head(`POST /${id} HTTP/1.1`, host, 'TRANSFER-ENCODING: CHUNKED') + chunks('a'),
    one('POST', 'a'),
  ],
  ['chunked twice', post('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked')],
  ['chunked twice in a list', post('Transfer-Encoding: chunked, chunked')],
  ['chunked behind identity', post('Transfer-Encoding: identity, chunked')],
  ['identity behind chunked', post('Transfer-Encoding: chunked, identity')],
  ['identity', post('Transfer-Encoding: identity')],
  ['gzip', post('Transfer-Encoding: gzip')],
  ['chunked behind gzip', post('Transfer-Encoding: gzip, chunked')],
  ['gzip on a line of its own', post('Transfer-Encoding: gzip', 'Transfer-Encoding: chunked')],
  ['an empty coding', post('Transfer-Encoding:')],
  ['an empty coding in a list', post('Transfer-Encoding: ,chunked')],
  ['chunked with a parameter', post('Transfer-Encoding: chunked;q=1')],
  ['chunked in quotes', post('Transfer-Encoding: "chunked"')],
  ['xchunked', post('Transfer-Encoding: xchunked')],
  ['chunkedx', post('Transfer-Encoding: chunkedx')],
  ['chunked behind a vertical tab', post('Transfer-Encoding: \x0bchunked')],
  ['chunked behind a no-break space', post('Transfer-Encoding: \xa0chunked')],
  ['chunked and a vertical tab', post('Transfer-Encoding: chunked\x0b')],
  ['chunked and a NUL', post('Transfer-Encoding: chunked\0')],
  ['chunked in a folded line', post('Transfer-Encoding:', ' chunked')],
  ['chunked, folded behind another', post('X: y', ' Transfer-Encoding: chunked')],
  ['a space before the colon', post('Transfer-Encoding : chunked')],
  ['a tab before the colon', post('Transfer-Encoding\t: chunked')],
  ['a space before the name', post(' Transfer-Encoding: chunked')],
  ['a NUL in the name', post('Transfer-Encoding\0: chunked')],
  ['a bare CR before the name', post('X: y\rTransfer-Encoding: chunked')],
  ['a bare LF before the name', post('X: y\nTransfer-Encoding: chunked')],
  [
    'a bare LF before the name, and a length',
    post('X: y\nTransfer-Encoding: chunked', 'Content-Length: 3'),
  ],
  [
    'chunks in HTTP/1.0',
    (id) =>
      head(`POST /${id} HTTP/1.0`, host, 'Transfer-Encoding: chunked') + chunks('a') + smuggled(id),
  ],
  [
    'chunks that Connection names',
    (id) =>
      head(
        `POST /${id} HTTP/1.1`,
        host,
        'Connection: close, Transfer-Encoding',
        'Transfer-Encoding: chunked',
      ) + chunks(smuggled(id)),
    (id) => one('POST', smuggled(id))(id),
  ],
  [
    'a length that Connection names',
    (id) => post('Connection: close, Content-Length', `Content-Length: ${smuggledLength(id)}`)(id),
    (id) => one('POST', smuggled(id))(id),
  ],
  ['a Host that Connection names', get('Connection: close, Host'), one()],
  ['TE that asks for chunks', get('TE: chunked', 'Connection: TE'), one()],
  // Chunks: RFC 9112 §7.1. Extensions end here, if they are well-formed.
  [
    'a chunk extension',
    (id) =>
      head(`POST /${id} HTTP/1.1`, host, 'Transfer-Encoding: chunked') +
      `1;a=b\r\nx\r\n0;c="d"\r\n\r\n`,
    one('POST', 'x'),
  ],
  [
    'a bare LF in a chunk extension',
    (id) =>
      head(`POST /${id} HTTP/1.1`, host, 'Transfer-Encoding: chunked') +
      `1;a\nx\r\n0\r\n\r\n${smuggled(id)}`,
    cut,
  ],
  [
    'a bare CR in a chunk extension',
    (id) =>
      head(`POST /${id} HTTP/1.1`, host, 'Transfer-Encoding: chunked') +
      `1;a\rb\r\nx\r\n0\r\n\r\n${smuggled(id)}`,
    cut,
  ],
  ...[
    ['a chunk size in a bad base', 'g\r\nx\r\n'],
    ['a chunk size with 0x', '0x1\r\nx\r\n'],
    ['a chunk size with a sign', '+1\r\nx\r\n'],
    ['a negative chunk size', '-1\r\nx\r\n'],
    ['a space before the chunk size', ' 1\r\nx\r\n'],
    ['a space behind the chunk size', '1 \r\nx\r\n'],
    ['a chunk size beyond 64 bits', '10000000000000001\r\nx\r\n'],
    ['a chunk size with an underscore', '0_1\r\nx\r\n'],
    ['an empty chunk size', '\r\nx\r\n'],
    ['a bare LF behind the chunk size', '1\nx\r\n'],
    ['a bare CR behind the chunk size', '1\rx\r\n'],
    ['a bare LF behind the chunk', '1\r\nx\n'],
    ['a chunk that is longer than it says', '1\r\nxyz\r\n'],
    ['a chunk that is shorter than it says', '5\r\nx\r\n0\r\n\r\n'],
  ].map(
    ([name = '', chunk]): Case => [
      name,
      (id) =>
        head(`POST /${id} HTTP/1.1`, host, 'Transfer-Encoding: chunked') +
        chunk +
        `0\r\n\r\n${smuggled(id)}`,
      cut,
    ],
  ),
  [
    'bare LFs for all of the last chunk',
    (id) =>
      `${head(`POST /${id} HTTP/1.1`, host, 'Transfer-Encoding: chunked')}0\n\n${smuggled(id)}`,
    cut,
  ],
  [
    'a trailer that is a length',
    (id) =>
      head(`POST /${id} HTTP/1.1`, host, 'Transfer-Encoding: chunked', 'Trailer: Content-Length') +
      '0\r\nContent-Length: 60\r\n\r\n',
    cut,
  ],
  [
    'a trailer that is a Host',
    (id) =>
      head(`POST /${id} HTTP/1.1`, host, 'Transfer-Encoding: chunked') +
      '0\r\nHost: evil.localhost\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n',
    one('POST'),
  ],
  [
    'a trailer with a space before the colon',
    (id) =>
      head(`POST /${id} HTTP/1.1`, host, 'Transfer-Encoding: chunked') +
      `0\r\nX : y\r\n\r\n${smuggled(id)}`,
    cut,
  ],
  [
    'a folded trailer',
    (id) =>
      `${head(`POST /${id} HTTP/1.1`, host, 'Transfer-Encoding: chunked')}0\r\nX: y\r\n z\r\n\r\n`,
    cut,
  ],
  // Lines: RFC 9112 §2.2, §5
  ['a folded line', get('X: a', ' b')],
  ['a folded line with a tab', get('X: a', '\tb')],
  ['a folded line at the start', (id) => head(`GET /${id} HTTP/1.1`, ` ${host}`, host)],
  ['a space before the colon of Host', (id) => head(`GET /${id} HTTP/1.1`, 'Host : app.localhost')],
  ['a line without a colon', get('X')],
  ['an empty name', get(': x')],
  ['a space inside a name', get('X Y: z')],
  ['a NUL in a value', get('X: a\0b')],
  ['a bare CR in a value', get('X: a\rY: b')],
  ['a bare CR at the end of a value', get('X: a\r')],
  ['a DEL in a value', get('X: a\x7fb')],
  ['a control character in a value', get('X: a\x01b')],
  ['a vertical tab in a name', get('X\x0b: a')],
  ['a byte beyond ASCII in a name', get('X\xe4: a')],
  ['brackets in a name', get('X[]: a')],
  ['bytes beyond ASCII in a value', get('X: \xe4\xff'), one()],
  ['bare LFs for all lines', (id) => get('X: y')(id).replaceAll('\r\n', '\n')],
  ['a bare LF behind the request line', (id) => get()(id).replace('\r\n', '\n')],
  ['a bare LF at the end of the head', (id) => `GET /${id} HTTP/1.1\r\n${host}\r\n\n`],
  [
    'a bare LF and a bare CR at the end of the head',
    (id) => `GET /${id} HTTP/1.1\r\n${host}\n\r\n${smuggled(id)}`,
  ],
  ['an empty line before the request', (id) => crlf + get()(id), one()],
  ['a space before the request', (id) => ` ${get()(id)}`],
  ['more than 100 lines', get(...Array(100).fill('A: b'))],
  [
    'so many lines that Node hides some, the length among them',
    (id) =>
      head(`POST /${id} HTTP/1.1`, host, ...Array(2_100).fill('A:b'), 'Content-Length: 60') +
      smuggled(id),
  ],
  ['a line beyond 64 KiB', get(`X: ${'x'.repeat(70_000)}`)],
  ['a name beyond 64 KiB', get(`${'x'.repeat(70_000)}: y`)],
  ['a path beyond 64 KiB', (id) => head(`GET /${id}/${'x'.repeat(70_000)} HTTP/1.1`, host)],
  ['__proto__ for a name', get('__proto__: x', 'constructor: y'), one()],
  // The request line: RFC 9112 §3
  ['two spaces behind the method', (id) => head(`GET  /${id} HTTP/1.1`, host)],
  ['a tab behind the method', (id) => head(`GET\t/${id} HTTP/1.1`, host)],
  ['a space inside the path', (id) => head(`GET /${id} x HTTP/1.1`, host)],
  ['a tab inside the path', (id) => head(`GET /${id}\tx HTTP/1.1`, host)],
  ['a bare CR inside the path', (id) => head(`GET /${id}\rx HTTP/1.1`, host)],
  ['a NUL inside the path', (id) => head(`GET /${id}\0 HTTP/1.1`, host)],
  ['a control character inside the path', (id) => head(`GET /${id}\x01 HTTP/1.1`, host)],
  ['a fragment', (id) => head(`GET /${id}#x HTTP/1.1`, host)],
  [
    'an encoded line end in the path',
    (id) => head(`GET /${id}%0d%0aX:%20y HTTP/1.1`, host),
    (id) => ({ start: `GET /${id}%0d%0aX:%20y HTTP/1.1` }),
  ],
  ['no path', (id) => head(`GET ?${id} HTTP/1.1`, host)],
  ['an asterisk and a path', (id) => head(`OPTIONS *${id} HTTP/1.1`, host)],
  ['an asterisk of a GET', () => head('GET * HTTP/1.1', host)],
  ['a method in lower case', (id) => head(`get /${id} HTTP/1.1`, host)],
  ['a method that nobody knows', (id) => head(`SMUGGLE /${id} HTTP/1.1`, host), one('SMUGGLE')],
  ['CONNECT', () => head('CONNECT app.localhost:443 HTTP/1.1', host)],
  ['no version', (id) => `GET /${id}\r\n\r\n`],
  ['HTTP/0.9', (id) => head(`GET /${id} HTTP/0.9`, host)],
  ['HTTP/1.2', (id) => head(`GET /${id} HTTP/1.2`, host)],
  ['HTTP/2.0', (id) => head(`GET /${id} HTTP/2.0`, host)],
  ['HTTP/1.10', (id) => head(`GET /${id} HTTP/1.10`, host)],
  ['HTTP/11', (id) => head(`GET /${id} HTTP/11`, host)],
  ['http/1.1', (id) => head(`GET /${id} http/1.1`, host)],
  ['another protocol', (id) => head(`GET /${id} RTSP/1.0`, host)],
  ['more behind the version', (id) => head(`GET /${id} HTTP/1.1 x`, host)],
  ['the preface of HTTP/2', (id) => `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${smuggled(id)}`],
  ['HTTP/1.0', (id) => head(`GET /${id} HTTP/1.0`, host), one()],
  // The host: RFC 9112 §3.2
  ['an absolute target', (id) => head(`GET https://app.localhost/${id} HTTP/1.1`, host), one()],
  [
    'an absolute target of another host',
    (id) => head(`GET https://evil.localhost/${id} HTTP/1.1`, host),
  ],
  [
    'an absolute target, and another Host',
    (id) => head(`GET https://app.localhost/${id} HTTP/1.1`, 'Host: evil.localhost'),
  ],
  [
    'an absolute target with user info',
    (id) => head(`GET https://app.localhost@evil.localhost/${id} HTTP/1.1`, host),
  ],
  [
    'an absolute target of another scheme',
    (id) => head(`GET http://app.localhost/${id} HTTP/1.1`, host),
  ],
  [
    'an absolute target with a backslash',
    (id) => head(`GET https://app.localhost\\@evil.localhost/${id} HTTP/1.1`, host),
  ],
  ['no Host', (id) => head(`GET /${id} HTTP/1.1`)],
  ['no Host in HTTP/1.0', (id) => head(`GET /${id} HTTP/1.0`)],
  ['two Hosts', get('Host: evil.localhost')],
  ['one Host twice', get(host)],
  ['an empty Host', (id) => head(`GET /${id} HTTP/1.1`, 'Host:')],
  ['a list of Hosts', (id) => head(`GET /${id} HTTP/1.1`, 'Host: app.localhost, evil.localhost')],
  ['a Host with user info', (id) => head(`GET /${id} HTTP/1.1`, 'Host: evil@app.localhost')],
  ['a Host with a path', (id) => head(`GET /${id} HTTP/1.1`, 'Host: app.localhost/evil')],
  ['a Host in a folded line', (id) => head(`GET /${id} HTTP/1.1`, 'Host:', ' app.localhost')],
  // Other protocols
  [
    'an upgrade to h2c',
    get('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAM'),
    one(),
  ],
  ['an upgrade to h2c among others', get('Connection: Upgrade', 'Upgrade: foo, h2c'), one()],
  [
    'an upgrade with a body',
    (id) => post('Connection: Upgrade', 'Upgrade: websocket', 'Content-Length: 60')(id),
  ],
  [
    'an upgrade with chunks',
    (id) => post('Connection: Upgrade', 'Upgrade: websocket', 'Transfer-Encoding: chunked')(id),
  ],
  ['an upgrade that Connection does not name', get('Upgrade: websocket'), one()],
  [
    'a CONNECT with a body',
    (id) => head('CONNECT app.localhost:443 HTTP/1.1', host, 'Content-Length: 60') + smuggled(id),
  ],
  ['an expectation that nobody knows', get('Expect: 200-ok'), one()],
]

/** A body that turns out to be broken, when the request is on its way already: it is never completed. */
function cut(): Expected {
  return 'nothing'
}
