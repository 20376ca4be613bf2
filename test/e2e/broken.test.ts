import { EventEmitter, once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { type Offer, startAgent, startGateway } from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { closedPort, serveTcp } from './targets.ts'
import { ask, connectTo, curl, dial, heard, visit } from './visitor.ts'

// Targets and agents that break off. Whoever was reading gets to know: a short answer never looks whole.

t.jobs = 4
const part = 'x'.repeat(300_000)
const head = (line: string) => `HTTP/1.1 200 OK\r\n${line}\r\n\r\n`
const chunk = `${part.length.toString(16)}\r\n${part}\r\n`
const closing = 'Connection: close'

/** What a target sends, and how it leaves. */
const responses: Record<string, { text: string; leave: 'end' | 'reset'; isWhole?: true }> = {
  'length-end': { text: `${head('Content-Length: 300001')}${part}`, leave: 'end' },
  'length-reset': { text: `${head('Content-Length: 300001')}${part}`, leave: 'reset' },
  'length-nothing': { text: head('Content-Length: 300001'), leave: 'end' },
  'chunked-end': { text: `${head('Transfer-Encoding: chunked')}${chunk}`, leave: 'end' },
  'chunked-reset': { text: `${head('Transfer-Encoding: chunked')}${chunk}`, leave: 'reset' },
  'close-reset': { text: `${head(closing)}${part}`, leave: 'reset' },
  'close-end': { text: `${head(closing)}${part}`, leave: 'end', isWhole: true },
  'close-reset-early': { text: `${head(closing)}x`, leave: 'reset' },
}

/** By path: its visitor has the beginning. A reset overtakes what is under way, and would leave nothing of it. */
const begun = new EventEmitter()

/** Reads a request's head, and does what its path says. */
const site = await serveTcp(t, (socket) => {
  socket.once('data', (bytes) => {
    const path = /^GET \/(\S*)/.exec(bytes.toString())?.[1] ?? ''
    const response = responses[path]
    if (response === undefined) serve(path, socket)
    else if (response.leave === 'end') socket.end(response.text)
    else {
      socket.write(response.text)
      begun.once(path, () => socket.resetAndDestroy())
    }
  })
})

function serve(path: string, socket: Socket): void {
  if (path === 'garbage') socket.end('SMTP ready\r\n\r\n')
  else if (path === 'nothing') socket.end()
  else if (path === 'reset') socket.resetAndDestroy()
  else socket.write(`${head(path === 'by-length' ? 'Content-Length: 300001' : closing)}${part}`)
}

const sockets: Socket[] = []
const raw = await serveTcp(t, (socket) => {
  sockets.push(socket)
  socket.write('hello')
})
const nobody = await closedPort()

const gateway = await startGateway(t)
const url = (path: string, host = 'app.localhost') =>
  `https://${host}:${gateway.ports.public}${path}`
await startAgent(t, gateway, [
  { hostname: 'app.localhost', target: site },
  { hostname: 'raw.localhost', target: raw, mode: 'tcp' },
  { hostname: 'nobody.localhost', target: nobody },
  { hostname: 'nobody-tcp.localhost', target: nobody, mode: 'tcp' },
])

for (const [name, { isWhole = false }] of Object.entries(responses)) {
  const how = isWhole ? 'whole' : 'broken'
  t.test(`a response of the kind ${name} is ${how}`, { skip: lacks('curl') }, async (t) => {
    const { code, stdout } = await curl(gateway, url(`/${name}`), ['--no-buffer', '--include'], {
      onOutput: () => begun.emit(name),
    })
    t.equal(code === 0, isWhole, `curl ended with ${code}`)
    const [, body = ''] = stdout.toString().split('\r\n\r\n')
    t.ok(isWhole ? body === part : part.startsWith(body))
    const { response } = await begin(t, 'app.localhost', `/${name}`)
    begun.emit(name)
    const read = heard(response)
    if (isWhole) t.equal(await read, part)
    else await t.rejects(read)
  })
}

t.test('a target that cannot be reached is told of', async (t) => {
  const { status, headers, body } = await visit(gateway, 'nobody.localhost')
  t.equal(status, 502)
  t.match(headers['content-type'], 'text/plain')
  t.equal(body.toString(), 'cannot reach local target')
  const silence = connectTo(t, gateway, 'nobody-tcp.localhost').then(heard)
  await t.rejects(silence, { code: 'ECONNRESET' })
})

t.test('a target that answers nothing, or no HTTP, is told of', async (t) => {
  for (const [path, code] of [
    ['/garbage', 'TARGET_BAD_RESPONSE'],
    ['/nothing', 'TARGET_UNREACHABLE'],
    ['/reset', 'TARGET_UNREACHABLE'],
  ] as const) {
    const { status, headers } = await visit(gateway, 'app.localhost', path)
    t.strictSame([status, headers['gotunnel-error']], [502, code], path)
  }
})

t.test(
  'in tcp mode a reset of the target is a reset to the visitor, and the other way',
  async (t) => {
    const first = await connectTo(t, gateway, 'raw.localhost')
    await once(first, 'data')
    sockets[0]?.resetAndDestroy()
    await t.rejects(heard(first), { code: 'ECONNRESET' })

    const second = await dial(t, gateway, 'raw.localhost')
    await once(second.socket, 'data')
    const lost = once(sockets[1] as Socket, 'error')
    second.tcp.resetAndDestroy()
    t.match(await lost, [{ code: 'ECONNRESET' }])
  },
)

t.test('a visitor who leaves is noticed by the target', async (t) => {
  let noticed = () => {}
  const left = new Promise<void>((resolve) => (noticed = resolve))
  const target = await serveTcp(t, (socket) => {
    socket.once('data', () => socket.write(head('Content-Length: 10')))
    socket.once('close', noticed)
  })
  await startAgent(t, gateway, [{ hostname: 'left.localhost', target }])
  const { outgoing } = await begin(t, 'left.localhost', '/')
  outgoing.destroy()
  await t.resolves(left)
})

t.test('an agent that dies breaks off what it was serving', async (t) => {
  const offers: Offer[] = [
    { hostname: 'dies.localhost', target: site },
    { hostname: 'dies-tcp.localhost', target: raw, mode: 'tcp' },
  ]
  const agent = await startAgent(t, gateway, offers)
  const byLength = await begin(t, 'dies.localhost', '/by-length')
  const byClose = await begin(t, 'dies.localhost', '/by-close')
  const tcp = await connectTo(t, gateway, 'dies-tcp.localhost')
  await once(tcp, 'data')
  const ends = [heard(byLength.response), heard(byClose.response), heard(tcp)]
  const broken = ends.map((end) => t.rejects(end, { code: 'ECONNRESET' }))
  await agent.kill('SIGKILL')
  await Promise.all(broken)
  t.match(await visit(gateway, 'dies.localhost'), { status: 503 }, 'its names are free')
})

/** A response that has begun. */
async function begin(t: Test, host: string, path: string) {
  const outgoing = ask(gateway, host, path)
  outgoing.on('error', () => {})
  t.teardown(() => outgoing.destroy())
  outgoing.end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  return { outgoing, response }
}
