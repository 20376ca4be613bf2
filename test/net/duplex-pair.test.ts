import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { duplexPair } from '../support/duplex-pair.ts'

t.test('what is written to one end is read from the other', async (t) => {
  const [a, b] = duplexPair()
  a.end('from a')
  b.end('from b')
  t.equal(await text(b), 'from a')
  t.equal(await text(a), 'from b')
})

t.test('one end goes on writing after the other has ended', async (t) => {
  const [a, b] = duplexPair()
  a.end()
  b.resume()
  await once(b, 'end')
  b.write('still ')
  setImmediate(() => b.end('here'))
  t.equal(await text(a), 'still here')
})

t.test('a slow reader holds its writer', async (t) => {
  const [a, b] = duplexPair({ highWaterMark: 1024 })
  const chunk = Buffer.alloc(1024, 'x')
  let acknowledged = 0
  for (let i = 0; i < 10; i += 1) a.write(chunk, () => (acknowledged += 1))
  a.end()
  for (let i = 0; i < 20; i += 1) await new Promise(setImmediate)
  t.ok(acknowledged <= 2, `${acknowledged} of 10 writes went through unread`)
  let received = 0
  b.on('data', (bytes: Buffer) => (received += bytes.length))
  await once(b, 'end')
  t.equal(received, 10 * 1024)
  t.equal(acknowledged, 10)
})

t.test(
  'an end that is destroyed destroys the other, with its own reason as the cause',
  async (t) => {
    const [a, b] = duplexPair()
    a.on('error', () => {})
    const reason = new Error('pulled out')
    a.destroy(reason)
    const [error] = await once(b, 'error')
    t.match(error, { code: 'ECONNRESET', cause: reason })
  },
)

t.test('a write that waits is answered when its reader is destroyed', async (t) => {
  const [a, b] = duplexPair({ highWaterMark: 1 })
  a.on('error', () => {})
  const written = new Promise((resolve) => a.write('unread', resolve))
  b.destroy()
  await written
  await new Promise((resolve) => a.once('close', resolve))
  t.ok(a.destroyed)
})

t.test('two ends that finished both halves close without an error', async (t) => {
  const [a, b] = duplexPair()
  a.resume().end('x')
  b.resume().end('y')
  await Promise.all([once(a, 'close'), once(b, 'close')])
  t.equal(a.errored, null)
  t.equal(b.errored, null)
})
