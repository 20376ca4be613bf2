import { once } from 'node:events'
import t from 'tap'
import { startAgent, startGateway } from '../support/programs.ts'
import { steadyPorts } from './steady-ports.ts'
import { serveHttp } from './targets.ts'
import { ask, visit } from './visitor.ts'

// Programs that die, and programs that stop without dying: how soon the other one knows, and what comes
// back by itself. SIGSTOP is what a lost network looks like from the other end: the connection is
// there, and nobody answers.

t.jobs = 8
const site = await serveHttp(t, (_request, response) => response.end('hello'))
const gateway = await startGateway(t)

t.test('the names of an agent that was killed are free at once', async (t) => {
  const offer = [{ hostname: 'killed.localhost', target: site }]
  const first = await startAgent(t, gateway, offer)
  t.match(await visit(gateway, 'killed.localhost'), { status: 200 })
  await first.kill('SIGKILL')
  const second = await startAgent(t, gateway, offer)
  t.strictSame(second.logged('refused'), [])
  t.match(await visit(gateway, 'killed.localhost'), { status: 200 })
})

for (const isBusy of [false, true]) {
  const kind = isBusy ? 'busy' : 'idle'
  t.test(`an agent that is ${kind} and no longer answers is gone within 20 s`, async (t) => {
    const hostname = `${kind}.localhost`
    const agent = await startAgent(t, gateway, [{ hostname, target: site }])
    const session = agent.logged('connected')[0]?.session
    t.match(await visit(gateway, hostname), { status: 200 })

    agent.signal('SIGSTOP')
    const since = performance.now()
    const waiting = isBusy && visit(gateway, hostname)
    await gateway.program.waitFor('agent gone', { session })
    t.ok(secondsSince(since) < 23, `after ${secondsSince(since)} s`)
    if (waiting) t.match(await waiting, { status: 503 }, 'who was waiting is told')
    t.match(await visit(gateway, hostname), { status: 503 })

    agent.signal('SIGCONT')
    await agent.waitFor('connected', {}, 2)
    t.match(await visit(gateway, hostname), { status: 200 }, 'and it may come back')
  })
}

t.test('a gateway that is silent is noticed within 20 s, and its agent comes back', async (t) => {
  const gateway = await startGateway(t)
  const agent = await startAgent(t, gateway, [{ hostname: 'app.localhost', target: site }])
  t.match(await visit(gateway, 'app.localhost'), { status: 200 })

  gateway.program.signal('SIGSTOP')
  const since = performance.now()
  await agent.waitFor('connection lost')
  t.ok(secondsSince(since) < 23, `after ${secondsSince(since)} s`)

  gateway.program.signal('SIGCONT')
  await agent.waitFor('connected', {}, 2)
  t.match(await visit(gateway, 'app.localhost'), { status: 200 })
})

t.test('a gateway that was killed, and started again, has its agents back', async (t) => {
  const first = await startGateway(t, { ports: await steadyPorts() })
  const { directory, ports, ca } = first
  const agent = await startAgent(t, first, [{ hostname: 'app.localhost', target: site }])
  t.match(await visit(first, 'app.localhost'), { status: 200 })

  const broken = once(ask(first, 'app.localhost', '/'), 'error') // connecting
  await first.program.kill('SIGKILL')
  await broken
  await agent.waitFor('connection lost')
  const second = await startGateway(t, { directory, ports })
  const since = performance.now()
  await agent.waitFor('connected', {}, 2)
  t.comment(`the agent was back after ${secondsSince(since)} s`)
  t.equal(second.ca, ca)
  t.match(await visit(first, 'app.localhost'), { status: 200 })
})

function secondsSince(startMs: number): number {
  return Math.round((performance.now() - startMs) / 100) / 10
}
