import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import net, { type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import {
  type Gateway,
  type Offer,
  type Program,
  startAgent,
  startGateway,
} from '../support/programs.ts'
import { listen, serveHttp, serveTcp } from './targets.ts'
import { ask, connectTo, heard, visit } from './visitor.ts'

// A program that is told to stop finishes what runs, takes nothing new, and is gone after 15 s at most.

t.jobs = 8
const part = 'x'.repeat(100_000)
/** By the host of the request: the other half of the response may be sent. */
const finish = new EventEmitter()

const site = createServer(({ headers }, response) => {
  response.writeHead(200, { 'content-length': 2 * part.length })
  response.write(part)
  finish.once(headers.host ?? '', () => response.end(part))
}).on('upgrade', (_request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n')
  socket.on('error', () => {})
  socket.pipe(socket)
})
const sitePort = await listen(t, site)
const echoPort = await serveTcp(t, (socket) => socket.pipe(socket))
const offers: Offer[] = [
  { hostname: 'app.localhost', target: sitePort },
  { hostname: 'tcp.localhost', target: echoPort, mode: 'tcp' },
]

for (const name of ['gateway', 'agent'] as const) {
  t.test(`the ${name} that is told to stop finishes a transfer`, async (t) => {
    const { gateway, agent } = await startBoth(t)
    const program = name === 'agent' ? agent : gateway.program
    const response = await begin(gateway)
    program.signal('SIGTERM')
    if (name === 'agent')
      await startAgent(t, gateway, offers) // its names are free already
    else {
      await program.waitFor('closing when what runs has ended')
      const { dashboard, ...others } = gateway.ports
      for (const port of Object.values(others)) await t.rejects(dial(port), refused)
      const { status } = await fetch(`http://localhost:${dashboard}/readyz`)
      t.equal(status, 503, 'who asks is still told')
    }
    finish.emit(`app.localhost:${gateway.ports.public}`)
    t.equal((await buffer(response)).toString(), part + part)
    t.strictSame(await program.exited, { code: 0, signal: null })
  })

  t.test(`the ${name} that is told to stop cuts off what only waits`, async (t) => {
    const { gateway, agent } = await startBoth(t)
    const program = name === 'agent' ? agent : gateway.program
    const { tcp, switched } = await idleVisitors(t, gateway)
    program.signal('SIGTERM')
    const startMs = performance.now()
    await program.waitFor('closing; a second signal ends at once')
    for (const socket of [tcp, switched]) t.equal(await echoed(socket), 'still there?')
    const [[lost]] = await Promise.all([
      once(switched, 'error'),
      t.rejects(heard(tcp), { code: 'ECONNRESET' }, 'it does not look like an end'),
    ])
    t.match(lost, { code: 'ECONNRESET' })
    t.strictSame(await program.exited, { code: 0, signal: null })
    const tookMs = performance.now() - startMs
    t.ok(tookMs < 17_000, `${Math.round(tookMs)} ms`)
  })

  t.test(`the ${name} ends at once when it is told twice`, async (t) => {
    const { gateway, agent } = await startBoth(t)
    const program = name === 'agent' ? agent : gateway.program
    await idleVisitors(t, gateway)
    program.signal('SIGTERM')
    await program.waitFor('closing; a second signal ends at once')
    program.signal('SIGINT')
    const startMs = performance.now()
    t.strictSame(await program.exited, { code: 1, signal: null })
    const tookMs = performance.now() - startMs
    t.ok(tookMs < 5_000, `${Math.round(tookMs)} ms`)
  })
}

t.test('an agent that is told to stop serves who was on the way to it', async (t) => {
  const quick = await serveHttp(t, (_request, response) => response.end('hello'))
  const gateway = await startGateway(t)
  const offer = { hostname: 'busy.localhost', target: quick }
  const agent = await startAgent(t, gateway, [offer])
  const visits = Array.from({ length: 16 }, async () => {
    const codes: unknown[] = []
    while (codes.at(-1) !== 'AGENT_AWAY') {
      const { status, headers } = await visit(gateway, 'busy.localhost')
      codes.push(headers['gotunnel-error'] ?? status)
    }
    return codes
  })
  await agent.waitFor('connected')
  await visit(gateway, 'busy.localhost')
  agent.signal('SIGTERM')
  t.strictSame(new Set((await Promise.all(visits)).flat()), new Set([200, 'AGENT_AWAY']))
  t.strictSame(await agent.exited, { code: 0, signal: null })
})

async function startBoth(t: Test): Promise<{ gateway: Gateway; agent: Program }> {
  const gateway = await startGateway(t)
  return { gateway, agent: await startAgent(t, gateway, offers) }
}

/** A response of which half is there. */
async function begin(gateway: Gateway): Promise<IncomingMessage> {
  const [response] = await once(ask(gateway, 'app.localhost', '/').end(), 'response')
  return response
}

/** One of each kind that may last for ever: a connection, and a protocol that was switched to. */
async function idleVisitors(t: Test, gateway: Gateway) {
  const tcp = await connectTo(t, gateway, 'tcp.localhost')
  const headers = { connection: 'Upgrade', upgrade: 'echo' }
  const asking = ask(gateway, 'app.localhost', '/', { headers }).end()
  const [, switched] = (await once(asking, 'upgrade')) as [IncomingMessage, Socket]
  for (const socket of [tcp, switched]) {
    socket.on('error', () => {})
    t.equal(await echoed(socket), 'still there?')
  }
  return { tcp, switched }
}

async function echoed(socket: Socket): Promise<string> {
  socket.write('still there?')
  return String((await once(socket, 'data'))[0])
}

const refused = { code: 'ECONNREFUSED' }

async function dial(port: number): Promise<void> {
  const socket = net.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.destroy()
}
