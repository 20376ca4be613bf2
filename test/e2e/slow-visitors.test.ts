import net, { type Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startAgent, startGateway } from '../support/programs.ts'
import { inTurns } from './in-turns.ts'
import { bytesUpTo, serveHttp } from './targets.ts'
import { connectTo, heard, visit } from './visitor.ts'

// Visitors who take their time on purpose: they hold up nobody, and are sent away. As many of each kind as
// `E2E_SLOW_VISITORS` says.

const each = Number(process.env.E2E_SLOW_VISITORS ?? 50)
const head = (start: string, ...lines: string[]) =>
  `${[`${start} HTTP/1.1`, 'Host: app.localhost', ...lines].join('\r\n')}\r\n\r\n`

/** What they say, and what they go on with twice a second. */
const kinds: readonly { readonly says: string; readonly drip?: string }[] = [
  { says: 'GET / HTTP/1.1\r\nHost: app.localhost\r\n', drip: 'x: y\r\n' },
  { says: head('POST /', 'Content-Length: 1000') },
  { says: `${head('POST /', 'Transfer-Encoding: chunked')}3e8\r\n` },
]

const target = await serveHttp(t, (request, response) => {
  if (request.url === '/large') pipeline(bytesUpTo(64 << 20), response).catch(() => {})
  else request.resume().on('end', () => response.end('quick'))
})
const env = { HEADER_TIMEOUT_SEC: '5', IDLE_TIMEOUT_SEC: '5' }
const gateway = await startGateway(t, { env })
await startAgent(t, gateway, [{ hostname: 'app.localhost', target }])
await visit(gateway, 'app.localhost')

t.test(`${5 * each} slow visitors are sent away, and the others served`, async (t) => {
  const slow: Socket[] = []
  for (const { says, drip } of kinds) slow.push(...(await come(t, says, drip)))
  for (let count = 0; count < each; count += 1) {
    slow.push(net.connect(gateway.ports.public, '127.0.0.1')) // says nothing at all
  }
  const gone = slow.map((socket) => {
    t.teardown(() => socket.destroy())
    socket.on('error', () => {})
    return new Promise((resolve) => socket.resume().once('end', resolve).once('close', resolve))
  })
  const unreading = await come(t, head('GET /large'))
  const cut = gateway.program.waitFor('request', { path: '/large', outcome: 'broken' }, each)
  let isOver = false
  const over = Promise.all([...gone, cut]).then(() => (isOver = true))
  let slowestMs = 0
  const answers = new Map<string, number>()
  while (!isOver) {
    const startMs = performance.now()
    const { status, body } = await visit(gateway, 'app.localhost')
    slowestMs = Math.max(slowestMs, performance.now() - startMs)
    const answer = `${status} ${body}`
    answers.set(answer, (answers.get(answer) ?? 0) + 1)
    await delay(50)
  }
  await over
  t.strictSame([...answers.keys()], ['200 quick'])
  for (const socket of unreading) await t.rejects(heard(socket), 'and who reads at last sees it')
  t.comment(`${answers.get('200 quick')} others, the slowest in ${Math.round(slowestMs)} ms`)
})

function come(t: Test, says: string, drip?: string): Promise<Socket[]> {
  return inTurns(Array(each).fill(says), 20, async (text: string) => {
    const socket = await connectTo(t, gateway, 'app.localhost')
    socket.write(text)
    if (drip === undefined) return socket
    const dripping = setInterval(() => socket.write(drip), 500)
    socket.once('close', () => clearInterval(dripping))
    return socket
  })
}
