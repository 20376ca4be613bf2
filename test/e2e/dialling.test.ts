import { connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import {
  type Gateway,
  Program,
  sharedSecret,
  spawnAgent,
  startAgent,
  startGateway,
  temporaryDirectory,
  tunnelHost,
} from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { startMicrosocks, startTinyproxy } from './daemons.ts'
import { closedPort, listen, serveHttp, serveTcp } from './targets.ts'
import { connectTo, heard, visit } from './visitor.ts'

// The ways from an agent to its gateway, between the real programs: proxies, port 443, several gateways;
// and an agent without a file.

const password = 'geheim-wie-nie'

t.jobs = 2
const site = await serveHttp(t, (_request, response) => response.end('hello'))
const offers = [{ hostname: 'app.localhost', target: site }]

async function bodyOf(gateway: Gateway, hostname = 'app.localhost'): Promise<string> {
  return String((await visit(gateway, hostname)).body)
}

/** A proxy in front of a proxy, to see what goes through: how many connections, and that they are not bypassed. */
async function counting(t: Test, toPort: number) {
  const counted = { port: 0, connections: 0 }
  const server = createServer((socket: Socket) => {
    counted.connections += 1
    const onward = connect(toPort, '127.0.0.1')
    socket.on('error', () => onward.destroy()).on('close', () => onward.destroy())
    onward.on('error', () => socket.destroy()).on('close', () => socket.destroy())
    socket.pipe(onward).pipe(socket)
  })
  counted.port = await listen(t, server)
  return counted
}

for (const { name, scheme, skip, start } of [
  {
    name: 'an HTTP proxy',
    scheme: 'http',
    skip: lacks('tinyproxy'),
    start: (t: Test, port: number) => startTinyproxy(t, `alice:${password}`, port),
  },
  {
    name: 'a SOCKS5 proxy',
    scheme: 'socks5',
    skip: lacks('microsocks'),
    start: (t: Test) => startMicrosocks(t, `alice:${password}`),
  },
] as const) {
  t.test(`by ${name}, with credentials that nobody logs`, { skip }, async (t) => {
    const gateway = await startGateway(t)
    const { port } = await counting(t, await start(t, gateway.ports.tunnel))
    const proxy = `${scheme}://alice:${password}@127.0.0.1:${port}`
    const agent = await startAgent(t, gateway, offers, { config: { proxy } })
    t.equal(await bodyOf(gateway), 'hello')
    t.match(agent.logged('connected'), [{ proxy: `${scheme}://127.0.0.1:${port}` }])

    const wrong = {
      config: { proxy: proxy.replace('alice', 'mallory') },
      env: { LOG_LEVEL: 'debug' },
    }
    const refused = spawnAgent(t, gateway, offers, wrong)
    const { reason } = await refused.waitFor('cannot connect')
    t.match(reason, 'it does not take these credentials')
    for (const { log, stderr } of [agent, refused]) {
      t.notMatch(JSON.stringify(log) + stderr, password)
    }
  })

  t.test(`by ${name} of the environment, but for what NO_PROXY has`, { skip }, async (t) => {
    const gateway = await startGateway(t)
    const proxy = await counting(t, await start(t, gateway.ports.tunnel))
    const env = { https_proxy: `${scheme}://alice:${password}@127.0.0.1:${proxy.port}` }
    const agent = await startAgent(t, gateway, offers, { env })
    t.equal(await bodyOf(gateway), 'hello')
    t.equal(proxy.connections, 1)
    await agent.kill('SIGTERM')
    await startAgent(t, gateway, offers, { env: { ...env, NO_PROXY: tunnelHost } })
    t.equal(await bodyOf(gateway), 'hello')
    t.equal(proxy.connections, 1)
  })
}

t.test('on the public port', async (t) => {
  const gateway = await startGateway(t)
  const config = { tunnel_addr: `${tunnelHost}:${gateway.ports.public}` }
  await startAgent(t, gateway, offers, { config })
  t.equal(await bodyOf(gateway), 'hello')
})

t.test('to the next gateway, when one is away or goes away', async (t) => {
  const directory = temporaryDirectory(t)
  const first = await startGateway(t, { directory })
  const second = await startGateway(t, { directory })
  const nobody = await closedPort()
  const ports = [nobody, first.ports.tunnel, second.ports.tunnel]
  const config = { tunnel_addr: ports.map((port) => `${tunnelHost}:${port}`) }
  const agent = await startAgent(t, first, offers, { config })
  t.match(agent.logged('cannot connect'), [{ gateway: `${tunnelHost}:${nobody}` }])
  t.equal(await bodyOf(first), 'hello')
  await first.program.kill('SIGKILL')
  await agent.waitFor('connected', { gateway: `${tunnelHost}:${second.ports.tunnel}` })
  t.equal(await bodyOf(second), 'hello')
})

t.test('with one tunnel, and no file', async (t) => {
  const gateway = await startGateway(t)
  const server = `${tunnelHost}:${gateway.ports.tunnel}`
  const start = async (args: string[], env: Record<string, string>) => {
    const cwd = temporaryDirectory(t)
    const agent = new Program(t, { file: 'agent.js', args, cwd, env })
    await agent.waitFor('connected')
  }
  const ca = ['--ca', gateway.caFile]
  await start(['http', String(site), '--hostname', 'app.localhost', '--server', server, ...ca], {
    JWT_SECRET: sharedSecret,
  })
  t.equal(await bodyOf(gateway), 'hello')

  const echo = await serveTcp(t, (socket) => void socket.pipe(socket))
  const args = ['tcp', `127.0.0.1:${echo}`, '--hostname', 'echo.localhost', '--insecure']
  await start([...args, '--secret', sharedSecret], { TUNNEL_ADDR: server })
  const socket = await connectTo(t, gateway, 'echo.localhost')
  socket.end('back again')
  t.equal(await heard(socket), 'back again')
})
