import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { signToken } from '../../src/auth/jwt.ts'
import { Agent } from '../../src/client/agent.ts'
import { dialTls } from '../../src/transport/tls.ts'
import { sharedSecret, startGateway, tunnelHost } from '../support/programs.ts'
import { steadyPorts } from './steady-ports.ts'
import { serveHttp } from './targets.ts'
import { visit } from './visitor.ts'

// All agents of a gateway lose it in one moment, and come back in some seconds, but not in one moment.

const count = Number(process.env.AGENTS ?? 200)

t.test(`${count} agents are back after their gateway was killed`, async (t) => {
  const site = await serveHttp(t, (_request, response) => response.end('hello'))
  const gateway = await startGateway(t, { ports: await steadyPorts() })
  const { directory, ports, caFile } = gateway
  const stopping = new AbortController()
  const silent = () => {}
  const dial = dialTls({ host: tunnelHost, port: ports.tunnel, ca: readFileSync(caFile, 'utf8') })
  const agents = Array.from({ length: count }, (_, index) => {
    const target = { kind: 'tcp' as const, host: '127.0.0.1', port: site, text: `:${site}` }
    return new Agent({
      connection: {
        gateways: [{ dial }],
        token: () => signToken({ secret: sharedSecret, issuer: 'herd', expireSec: 600 }),
        agent: { id: `herd-${index}` },
      },
      tunnels: [{ hostname: `a${index}.localhost`, mode: 'http', target }],
      log: { debug: silent, info: silent, warn: silent, error: silent },
    })
  })
  const running = agents.map((agent) => agent.run(stopping.signal))
  t.teardown(() => {
    stopping.abort()
    return Promise.all(running)
  })
  await Promise.all(agents.map(connected))

  await gateway.program.kill('SIGKILL')
  await Promise.all(agents.map(lost))
  await startGateway(t, { directory, ports })
  const sinceMs = performance.now()
  const afterMs = await Promise.all(
    agents.map(async (agent) => {
      await connected(agent)
      return Math.round(performance.now() - sinceMs)
    }),
  )
  afterMs.sort((a, b) => a - b)
  const [median, slowest] = [afterMs[count >> 1], afterMs.at(-1)]
  t.comment(`back ${median} ms after the gateway, half of them; all of them ${slowest} ms`)
  for (const index of [0, count - 1]) {
    t.match(await visit(gateway, `a${index}.localhost`), { status: 200 })
  }
})

async function connected(agent: Agent): Promise<void> {
  while (agent.status().state !== 'connected') await once(agent, 'state')
}

async function lost(agent: Agent): Promise<void> {
  while (agent.status().state === 'connected') await once(agent, 'state')
}
