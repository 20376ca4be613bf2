import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  Program,
  sharedSecret,
  startGateway,
  temporaryDirectory,
  tunnelHost,
} from '../support/programs.ts'
import { serveHttp, serveTcp } from './targets.ts'
import { connectTo, visit } from './visitor.ts'

// Programs that take up what has changed in their files, without a restart.

t.jobs = 2

t.test('an agent whose file changes', async (t) => {
  const gateway = await startGateway(t)
  const [one, two] = [
    await serveHttp(t, (_request, response) => response.end('one')),
    await serveHttp(t, (_request, response) => response.end('two')),
  ]
  const echo = await serveTcp(t, (socket) => socket.pipe(socket))
  const file = join(temporaryDirectory(t), 'config.yaml')
  const write = (tunnels: object[], more: object = {}) => {
    const connection = {
      tunnel_addr: `${tunnelHost}:${gateway.ports.tunnel}`,
      ca_file: gateway.caFile,
    }
    writeFileSync(
      file,
      JSON.stringify({ ...connection, jwt_secret: sharedSecret, tunnels, ...more }),
    )
  }
  const app = (target: number) => ({ hostname: 'app.localhost', target: `127.0.0.1:${target}` })
  const tcp = { hostname: 'tcp.localhost', target: `127.0.0.1:${echo}`, mode: 'tcp' }
  const other = { hostname: 'other.localhost', target: `127.0.0.1:${two}` }
  write([app(one), tcp])
  const directory = temporaryDirectory(t)
  const args = ['--config', file]
  const agent = new Program(t, { file: 'agent.js', args, cwd: directory, env: {} })
  await agent.waitFor('connected')
  t.match(await visit(gateway, 'app.localhost'), { status: 200, body: Buffer.from('one') })
  const socket = await connectTo(t, gateway, 'tcp.localhost')

  await t.test(
    'has its tunnels added and changed, and those that stay are not touched',
    async (t) => {
      write([app(two), tcp, other])
      await agent.waitFor('tunnels changed')
      t.match(await visit(gateway, 'app.localhost'), { status: 200, body: Buffer.from('two') })
      t.match(await visit(gateway, 'other.localhost'), { status: 200 })
      socket.write('still there?')
      t.equal(String((await once(socket, 'data'))[0]), 'still there?')
    },
  )

  await t.test('refuses what it cannot read, and goes on', async (t) => {
    write([
      { hostname: 'app.localhost', target: 'nonsense' },
      { hostname: 'a b', target: ':1' },
    ])
    agent.signal('SIGHUP')
    const line = await agent.waitFor(
      'the changed configuration was not taken up, the one before stays',
    )
    t.match(line.problems, [/tunnels\[0\]\.target: "nonsense"/, /tunnels\[1\]\.hostname: "a b"/])
    t.match(await visit(gateway, 'other.localhost'), { status: 200 })
  })

  await t.test('takes it up at once on SIGHUP, and gives names up', async (t) => {
    write([app(one), tcp])
    agent.signal('SIGHUP')
    await agent.waitFor('tunnels changed', {}, 2)
    t.match(await visit(gateway, 'other.localhost'), { status: 503 })
    t.match(await visit(gateway, 'app.localhost'), { status: 200, body: Buffer.from('one') })
    t.equal(agent.logged('connected').length, 1, 'all in one session')
  })

  await t.test('takes up rules, each value of them', async (t) => {
    for (const [nth, value] of [
      [3, 'first'],
      [4, 'second'],
    ] as const) {
      write([{ ...app(one), response_headers: { set: { 'X-A': value } } }, tcp])
      agent.signal('SIGHUP')
      await agent.waitFor('tunnels changed', {}, nth)
      t.match(await visit(gateway, 'app.localhost'), { headers: { 'x-a': value } })
    }
    write([{ ...app(one), allow_ips: ['192.0.2.1'] }, tcp])
    agent.signal('SIGHUP')
    await agent.waitFor('tunnels changed', {}, 5)
    t.match(await visit(gateway, 'app.localhost'), { status: 403 })
  })

  await t.test('connects anew where the way to the gateway has changed', async (t) => {
    write([app(one), tcp], { agent_id: 'another' })
    agent.signal('SIGHUP')
    await agent.waitFor('connected', {}, 2)
    t.match(await visit(gateway, 'app.localhost'), { status: 200 })
    socket.write('and now?')
    t.equal(String((await once(socket, 'data'))[0]), 'and now?', 'what ran may end')
    socket.end()
  })
})

t.test('a gateway that is sent SIGHUP', async (t) => {
  const directory = temporaryDirectory(t)
  const file = join(directory, '.env')
  writeFileSync(file, '')
  const { program } = await startGateway(t, { directory })

  await t.test('takes LOG_LEVEL up, and says what it does not', async (t) => {
    writeFileSync(file, 'LOG_LEVEL=debug\nMAX_AGENTS=7\n')
    program.signal('SIGHUP')
    const text = 'settings, certificates and revocations are read again'
    t.match(await program.waitFor(text), { logLevel: 'debug' })
    const { settings } = await program.waitFor('these settings change with the next start')
    t.strictSame(settings, ['MAX_AGENTS'])
  })

  await t.test('refuses what it cannot use, and goes on', async (t) => {
    writeFileSync(file, 'LOG_LEVEL=loud\nMAX_AGENTS=none\n')
    program.signal('SIGHUP')
    const { problems } = await program.waitFor('the settings were not taken up, those before stay')
    t.match(problems, [/MAX_AGENTS: "none"/, /LOG_LEVEL: "loud"/])
    t.equal(program.logged('closed').length, 0)
  })
})
