import { once } from 'node:events'
import {
  type ClientHttp2Session,
  connect,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { text } from 'node:stream/consumers'
import type { TLSSocket } from 'node:tls'
import type { Test } from 'tap'

export type Headers = IncomingHttpHeaders & IncomingHttpStatusHeader

/** An HTTP/2 session with an edge, over a connection that has agreed to it. */
export async function http2Over(t: Test, socket: TLSSocket): Promise<ClientHttp2Session> {
  socket.removeAllListeners('data')
  const session = connect('https://app.test', { createConnection: () => socket })
  session.on('error', () => {})
  t.teardown(() => session.destroy())
  await once(session, 'remoteSettings')
  return session
}

/** A request, and its whole answer. */
export async function ask(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: string,
) {
  const stream = session.request(
    { ':authority': 'app.test', ...headers },
    { endStream: body === undefined },
  )
  const informed: Headers[] = []
  let trailers: IncomingHttpHeaders | undefined
  stream.on('headers', (each) => informed.push(each))
  stream.on('trailers', (each) => (trailers = each))
  if (body !== undefined) stream.end(body)
  const response = once(stream, 'response')
  const whole = text(stream)
  whole.catch(() => {})
  const [received] = (await response) as [Headers]
  return { headers: received, body: await whole, trailers, informed }
}
