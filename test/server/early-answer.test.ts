import { once } from 'node:events'
import t, { type Test } from 'tap'
import { FakeUpstream, startEdge, startOrigin } from './edge-fixture.ts'
import { http2Over } from './http2-client.ts'

/*
 * A target may answer an upload that it has not read, and keep its connection. That has half of a
 * request in it then: the next visitor's request would be the other half.
 */

const early = 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig'
const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

for (const framing of ['Content-Length: 8', 'Transfer-Encoding: chunked']) {
  t.test(`an upload that is answered early, and arrives whole (${framing})`, async (t) => {
    const { edge, expectGood } = await startRefusing(t)
    const visitor = await edge.visit('app.test')
    visitor.say('PUT / HTTP/1.1', 'Host: app.test', framing)
    await visitor.have(/big$/)
    const isChunked = framing.endsWith('chunked')
    visitor.socket.write(isChunked ? '4\r\nrest\r\n0\r\n\r\n' : 'somerest')
    visitor.get('/again', 'app.test') // on the same connection
    await visitor.have(/200 OK[\s\S]*\r\n\r\nok$/)
    await expectGood()
  })
}

t.test('an upload over HTTP/2 that is answered early, and so ends', async (t) => {
  const { edge, expectGood } = await startRefusing(t)
  const { socket } = await edge.visit('app.test', { ALPNProtocols: ['h2'] })
  const session = await http2Over(t, socket)
  const headers = { ':method': 'PUT', ':authority': 'app.test', 'content-length': 8 }
  const stream = session.request(headers).resume()
  t.match(await once(stream, 'response'), [{ ':status': 413 }])
  if (!stream.closed) await once(stream, 'close')
  await expectGood()
})

/** An edge before a target that takes no uploads. */
async function startRefusing(t: Test) {
  /** What came over each connection. */
  const heard: string[] = []
  const origin = await startOrigin(t, (socket) => {
    const index = heard.push('') - 1
    socket.on('data', (chunk) => {
      heard[index] += chunk.toString('latin1')
      if (chunk.includes('PUT /')) socket.write(early)
      if (chunk.includes('GET /')) socket.write(ok)
    })
    socket.on('end', () => socket.end())
  })
  const edge = await startEdge(t)
  edge.route('app.test', new FakeUpstream(origin))
  const expectGood = async () => {
    t.match(await edge.ask('app.test'), /^HTTP\/1\.1 200/)
    t.equal(heard.length, 2)
    t.match(heard[0], /^PUT \/[\s\S]*\r\n\r\n$/, 'nothing behind the head of the upload')
    t.match(heard[1], /^GET \//)
  }
  return { edge, expectGood }
}
