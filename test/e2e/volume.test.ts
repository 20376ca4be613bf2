import { EventEmitter, once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startAgent, startGateway } from '../support/programs.ts'
import { bytesUpTo, serveHttp, serveTcp, sha256 } from './targets.ts'
import { ask, connectTo, visit } from './visitor.ts'

// Large transfers, many requests, and visitors who do not read; one after another, so that each figure
// is of one thing.

const mebibyte = 1024 * 1024
/** `E2E_TRANSFER_MIB=2048` for what a release has to show. */
const transferBytes = Number(process.env.E2E_TRANSFER_MIB ?? 256) * mebibyte
const slowTransferBytes = Number(process.env.E2E_TRANSFER_MIB ?? 64) * mebibyte
const residentLimitMiB = 150
const heldBytes = 64 * mebibyte
/** What twenty who do not read may have waiting on top: a window each, in the multiplexer and before their sockets, and slack. */
const heldMiB = 20
/** What a transfer may add in a program that has done others before: nothing grows with its length. */
const addedLimitMiB = 20
/** On the way to one who does not read: the socket buffers of three connections, and windows. */
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

/** Reads nothing until it is told to, and then slowly. */
const release = new EventEmitter()
const slow = await serveHttp(t, async (request, response) => {
  await once(release, 'slow')
  for await (const _chunk of request) await delay(1)
  response.end()
})

const gateway = await startGateway(t)
const agent = await startAgent(t, gateway, [
  { hostname: 'app.localhost', target: site },
  { hostname: 'raw.localhost', target: raw, mode: 'tcp' },
  { hostname: 'web.localhost', target: web },
  { hostname: 'slow.localhost', target: slow },
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

t.test('an upload to a target that reads slowly waits at its sender', async (t) => {
  const watch = watchMemory(t)
  const startMs = performance.now()
  const outgoing = ask(gateway, 'slow.localhost', '/', {
    method: 'POST',
    headers: { 'content-length': slowTransferBytes },
  })
  const response = once(outgoing, 'response') as Promise<[IncomingMessage]>
  const sending = pipeline(bytesUpTo(slowTransferBytes), outgoing)
  const sent = () => outgoing.socket?.bytesWritten ?? 0
  await once(outgoing, 'drain')
  await standstill(sent)
  const heldMiB = Math.round(sent() / mebibyte)
  t.ok(sent() < underWayBytes, `sent ${heldMiB} MiB`)
  release.emit('slow')
  await sending
  t.equal((await response)[0].statusCode, 200)
  const addedMiB = watch.done(
    `stood still after ${heldMiB} MiB, then ${rate(startMs, slowTransferBytes)} MiB/s`,
  )
  for (const [index, added] of addedMiB.entries()) {
    t.ok(added < addedLimitMiB, `${Math.round(added)} MiB more in ${programs[index]?.name}`)
  }
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
    const slowestMs = await standstill(() =>
      held.slice(before).reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
    )
    const sent = held.slice(before).map(({ bytesWritten }) => bytesWritten)
    t.equal(sent.length, 20)
    t.ok(Math.max(...sent) < underWayBytes, `sent at most ${Math.max(...sent)} bytes`)
    t.ok(slowestMs < 5_000, `the slowest of the others took ${Math.round(slowestMs)} ms`)
    watch.done(`slowest of the others ${Math.round(slowestMs)} ms`, heldMiB)

    const [reader, ...others] = visitors
    for (const socket of others) socket.destroy()
    let bytes = 0
    reader?.on('data', (chunk: Buffer) => (bytes += chunk.length))
    if (reader) await once(reader, 'end')
    t.ok(bytes >= heldBytes, 'who reads at last gets all of it')
  })
}

/** Visits others until nothing more is sent by those that are held up. The longest such visit. */
async function standstill(sentBytes: () => number): Promise<number> {
  let slowestMs = 0
  for (let sent = -1, last = 0; sent !== last; ) {
    last = sent
    for (let count = 0; count < 20; count += 1) {
      const startMs = performance.now()
      await visit(gateway, 'app.localhost')
      slowestMs = Math.max(slowestMs, performance.now() - startMs)
    }
    sent = sentBytes()
  }
  return slowestMs
}

/** Looks at the resident memory of both programs ten times a second, until `done`. */
function watchMemory(t: Test) {
  const isKnown = process.platform === 'linux'
  const before = programs.map((program) => (isKnown ? program.residentMiB() : 0))
  const peaks = [...before]
  const sample = () => {
    for (const [index, program] of programs.entries()) {
      peaks[index] = Math.max(peaks[index] ?? 0, program.residentMiB())
    }
  }
  const timer = isKnown ? setInterval(sample, 100) : undefined
  t.teardown(() => clearInterval(timer))
  return {
    /** How much more each of them had at its peak, in MiB. */
    done(figure: string, moreMiB = 0): readonly number[] {
      if (!isKnown) {
        t.comment('no /proc here: resident memory is NOT tested')
        return []
      }
      clearInterval(timer)
      sample()
      const [gatewayMiB = 0, agentMiB = 0] = peaks.map(Math.round)
      t.comment(`${figure}; resident: gateway ${gatewayMiB} MiB, agent ${agentMiB} MiB`)
      const limitMiB = residentLimitMiB + moreMiB
      t.ok(gatewayMiB < limitMiB, `the gateway's ${gatewayMiB} MiB`)
      t.ok(agentMiB < limitMiB, `the agent's ${agentMiB} MiB`)
      return peaks.map((peak, index) => peak - (before[index] ?? 0))
    },
  }
}

function rate(startMs: number, bytes = transferBytes): number {
  return Math.round(bytes / mebibyte / ((performance.now() - startMs) / 1000))
}
