import t from 'tap'
import { spawnAgent, startAgent, startGateway } from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { serveHttp } from './targets.ts'
import { visit } from './visitor.ts'
import { startWrk } from './wrk.ts'

// One agent takes the place of another: because that hangs, or to bring in a new version.

const site = await serveHttp(t, ({ url }, response) => {
  setTimeout(() => response.end('hello'), url === '/slow' ? 500 : 0)
})
// wrk asks the system's resolver for the name of its URL, and this one is known everywhere.
const env = { TUNNEL_HOST: 'tunnel.localhost' }
const gateway = await startGateway(t, { env })
const insecure = { skip_tls_verify: true, ca_file: undefined }

t.test('an agent that hangs is replaced at once by another process', async (t) => {
  const offers = [{ hostname: 'hung.localhost', target: site }]
  const config = { ...insecure, agent_id: 'shed' }
  const hung = await startAgent(t, gateway, offers, { config })
  t.match(await visit(gateway, 'hung.localhost'), { status: 200 })
  hung.signal('SIGSTOP')

  const stranger = spawnAgent(t, gateway, offers, { config: insecure })
  await stranger.waitFor('refused', { code: 'HOST_TAKEN' })
  const second = await startAgent(t, gateway, offers, { config })
  t.strictSame(second.logged('refused'), [])
  t.match(await visit(gateway, 'hung.localhost'), { status: 200 })

  hung.signal('SIGCONT')
  t.strictSame(await hung.exited, { code: 77, signal: null }, 'and does not fight for the name')
  t.match(hung.stderr, /another agent with the same token and agent_id has taken over/)
  t.match(await visit(gateway, 'hung.localhost'), { status: 200 })
})

t.test('deploying new agents loses no request', { skip: lacks('wrk') }, async (t) => {
  const offers = [{ hostname: 'localhost', target: site }]
  const config = { ...insecure, agent_id: 'deployed' }
  let running = await startAgent(t, gateway, offers, { config })
  const load = startWrk(t, `https://localhost:${gateway.ports.public}/`, { seconds: 30 })
  for (let version = 2; version <= 5; version += 1) {
    const next = spawnAgent(t, gateway, offers, { config })
    // A supervisor may also tell the old one to end, before it has heard that it is replaced.
    if (version % 2 === 0) {
      await next.waitFor('connecting')
      await gateway.program.waitFor('agent replaced', {}, version)
      running.signal('SIGTERM')
    }
    await next.waitFor('connected')
    const slow = visit(gateway, 'localhost', '/slow')
    t.match((await running.exited).code, version % 2 === 0 ? /^(0|77)$/ : 77)
    t.match(await slow, { status: 200 })
    running = next
  }
  load.stop()
  const { requests, problems } = await load.done
  t.strictSame(problems, [])
  t.ok(requests > 100, `${requests} requests`)
  t.comment(`${requests} requests over 4 take-overs`)
})
