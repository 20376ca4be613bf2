import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import t, { type Test } from 'tap'
import { startAgent, startGateway } from '../support/programs.ts'
import { bytesUpTo, serveHttp, serveTcp, sha256 } from './targets.ts'
import { ask, connectTo, visit } from './visitor.ts'

// Large transfers, many requests, and visitors who do not read; one after another, so that each figure
// is of one thing.

const mebibyte = 1024 * 1024
/** `E2E_TRANSFER_MIB=1024` for what a release has to show. */
const transferBytes = Number(process.env.E2E_TRANSFER_MIB ?? 256) * mebibyte
const residentLimitMiB = 150
const heldBytes = 64 * mebibyte
/** On the way to a visitor who does not read: the socket buffers of three connections, and windows. */
const underWayBytes = 24 * mebibyte

const site = await serveHttp(t, (request, response) => {
  answer(request, response).catch(() => {}) // the visitor left
})
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'POST') response.end(await sha256(request))
  else if (request.url === '/large') await pipeline(bytesUpTo(transferBytes), response)
  else response.end('quick')
}

/** Of the service whose visitors do not read: the connections to it. */
const held: Socket[] = []
const raw = await serveTcp(t, (socket) => {
  held.push(socket)
  pipeline(bytesUpTo(heldBytes), socket).catch(() => {})
})
const web = await serveTcp(t, (socket) => {
  held.push(socket)
  socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n')
  pipeline(bytesUpTo(heldBytes), socket).catch(() => {})
})

const gateway = await startGateway(t)
const agent = await startAgent(t, gateway, [
  { hostname: 'app.localhost', target: site },
  { hostname: 'raw.localhost', target: raw, mode: 'tcp' },
  { hostname: 'web.localhost', target: web },
])
const programs = [gateway.program, agent]
await visit(gateway, 'app.localhost')

t.test(`a download of ${transferBytes / mebibyte} MiB arrives`, async (t) => {
  const watch = watchMemory(t)
  const startMs = performance.now()
  const outgoing = ask(gateway, 'app.localhost', '/large')
  outgoing.end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  t.equal(await sha256(response), await sha256(bytesUpTo(transferBytes)))
  watch.done(`${rate(startMs)} MiB/s`)
})

t.test(`an upload of ${transferBytes / mebibyte} MiB arrives`, async (t) => {
  const watch = watchMemory(t)
  const startMs = performance.now()
  const outgoing = ask(gateway, 'app.localhost', '/', {
    method: 'POST',
    headers: { 'content-length': transferBytes },
  })
  const response = once(outgoing, 'response') as Promise<[IncomingMessage]>
  await pipeline(bytesUpTo(transferBytes), outgoing)
  const [incoming] = await response
  const [body] = await once(incoming, 'data')
  t.equal(String(body), await sha256(bytesUpTo(transferBytes)))
  watch.done(`${rate(startMs)} MiB/s`)
})

t.test('200 requests at once are all answered', async (t) => {
  const watch = watchMemory(t)
  const startMs = performance.now()
  const visits = Array.from({ length: 200 }, () => visit(gateway, 'app.localhost', '/'))
  const answers = (await Promise.all(visits)).map(({ status, body }) => `${status} ${body}`)
  t.strictSame(new Set(answers), new Set(['200 quick']))
  watch.done(`${Math.round(performance.now() - startMs)} ms`)
})

for (const name of ['web.localhost', 'raw.localhost']) {
  t.test(`20 visitors of ${name} who do not read hold up their senders alone`, async (t) => {
    const watch = watchMemory(t)
    const before = held.length
    const visitors = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const socket = await connectTo(t, gateway, name)
        socket.write(`GET / HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`)
        return socket
      }),
    )
    const slowestMs = await standstill(before)
    const sent = held.slice(before).map(({ bytesWritten }) => bytesWritten)
    t.equal(sent.length, 20)
    t.ok(Math.max(...sent) < underWayBytes, `sent at most ${Math.max(...sent)} bytes`)
    t.ok(slowestMs < 5_000, `the slowest of the others took ${Math.round(slowestMs)} ms`)
    watch.done(`slowest of the others ${Math.round(slowestMs)} ms`)

    const [reader, ...others] = visitors
    for (const socket of others) socket.destroy()
    let bytes = 0
    reader?.on('data', (chunk: Buffer) => (bytes += chunk.length))
    if (reader) await once(reader, 'end')
    t.ok(bytes >= heldBytes, 'who reads at last gets all of it')
  })
}

/** Visits others until nothing more comes from the services that are held up. The longest such visit. */
async function standstill(from: number): Promise<number> {
  let slowestMs = 0
  for (let sent = -1, last = 0; sent !== last; ) {
    last = sent
    for (let count = 0; count < 20; count += 1) {
      const startMs = performance.now()
      await visit(gateway, 'app.localhost')
      slowestMs = Math.max(slowestMs, performance.now() - startMs)
    }
    sent = held.slice(from).reduce((sum, { bytesWritten }) => sum + bytesWritten, 0)
  }
  return slowestMs
}

/** Looks at the resident memory of both programs ten times a second, until `done`. */
function watchMemory(t: Test) {
  const peaks = programs.map(() => 0)
  const sample = () => {
    for (const [index, program] of programs.entries()) {
      peaks[index] = Math.max(peaks[index] ?? 0, program.residentMiB())
    }
  }
  const isKnown = process.platform === 'linux'
  const timer = isKnown ? setInterval(sample, 100) : undefined
  t.teardown(() => clearInterval(timer))
  return {
    done(figure: string): void {
      if (!isKnown) return t.comment('no /proc here: resident memory is NOT tested')
      clearInterval(timer)
      sample()
      const [gatewayMiB = 0, agentMiB = 0] = peaks.map(Math.round)
      t.comment(`${figure}; resident: gateway ${gatewayMiB} MiB, agent ${agentMiB} MiB`)
      t.ok(gatewayMiB < residentLimitMiB, `the gateway's ${gatewayMiB} MiB`)
      t.ok(agentMiB < residentLimitMiB, `the agent's ${agentMiB} MiB`)
    },
  }
}

function rate(startMs: number): number {
  return Math.round(transferBytes / mebibyte / ((performance.now() - startMs) / 1000))
}
