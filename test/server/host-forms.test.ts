import type { ClientHttp2Session } from 'node:http2'
import t, { type Test } from 'tap'
import { canonicalHostname } from '../../src/net/hostname.ts'
import { accepted, printable, refused } from '../net/hostname-forms.ts'
import { FakeUpstream, scripted, startEdge, startOrigin } from './edge-fixture.ts'
import { ask, http2Over } from './http2-client.ts'

/*
 * Host and :authority in all the forms that names come in, beside few names and many: that a gateway holds
 * 101 of them, or 10,000, changes nothing (a Caddy once looked at letters' case only below 101).
 */

const ok = () => 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const own = 'app.example.com'

for (const size of [1, 101, 10_000]) {
  t.test(`beside ${size} names`, async (t) => {
    const edge = await startEdge(t)
    const upstream = new FakeUpstream(await startOrigin(t, scripted(ok)))
    for (const name of Object.keys(accepted)) edge.route(name, upstream)
    for (let each = 0; each < size; each += 1) edge.route(`n${each}.other.test`, upstream)
    const http1 = async (serverName: string, host: string) => {
      const visitor = await edge.visit(serverName)
      visitor.socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
      return Number((await visitor.rest()).split(' ')[1])
    }
    const session = async (t: Test, serverName: string) => {
      const { socket } = await edge.visit(serverName, { ALPNProtocols: ['h2'] })
      return http2Over(t, socket)
    }

    t.test('a name is found in each of its forms', async (t) => {
      for (const [name, forms] of Object.entries(accepted)) {
        const http2 = await session(t, name)
        for (const form of forms) {
          t.equal(await http1(name, form), 200, form)
          t.equal(await statusOf(http2, form), 200, `${form} in HTTP/2`)
        }
        http2.destroy()
      }
    })

    t.test('what is no name is a bad request', async (t) => {
      const http2 = await session(t, own)
      for (const form of Object.values(refused).flat().filter(isOneLine)) {
        t.equal(await http1(own, form), expectedOf(form), printable(form))
        if (/^[\x21-\x7e]{1,1000}$/.test(form)) {
          t.equal(await statusOf(http2, form), 400, `${printable(form)} in HTTP/2`)
        }
      }
    })

    t.test("another's name, or nobody's, is not for this connection", async (t) => {
      const http2 = await session(t, own)
      for (const form of ['n0.other.test', 'N0.OTHER.TEST.:443', 'nobody.test', 'example.com']) {
        t.equal(await http1(own, form), 421, form)
        t.equal(await statusOf(http2, form), 421, `${form} in HTTP/2`)
      }
      for (const form of ['away.test', 'AWAY.test.:1']) {
        t.equal(await http1('away.test', form), 404, form)
      }
    })
  })
}

/** With what nghttp2 itself takes for malformed (RFC 9113 §8.1.1) as 400. */
async function statusOf(session: ClientHttp2Session, authority: string): Promise<number> {
  try {
    const { headers } = await ask(session, { ':authority': authority })
    return Number(headers[':status'])
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_HTTP2_STREAM_ERROR') return 400
    throw error
  }
}

/** A line break ends the line, and so the form. */
function isOneLine(form: string): boolean {
  return !/[\r\n]/.test(form)
}

/** White space around a value is none of it, and more than may be is refused for that. */
function expectedOf(form: string): number {
  if (form.length > 16_000) return 431
  return canonicalHostname(form.replace(/^[ \t]+|[ \t]+$/g, '')) === undefined ? 400 : 421
}
