import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { type Program, startAgent, startGateway } from '../support/programs.ts'
import { cable, lacksNetworks, Machine } from './networks.ts'

// What happens to networks, in real ones: nobody says goodbye, and mostly nobody says anything.

const skip = lacksNetworks()
t.jobs = 4
const sitePort = 3_000

t.test('agents and broken networks', { skip, jobs: 4 }, async (t) => {
  const vps = new Machine(t, 'vps')
  const env = { BIND_ADDRESS: '0.0.0.0' }
  const gateway = await startGateway(t, { env, within: vps.within })
  let lastNet = 0

  /** An agent on a machine of its own, behind a cable of its own. */
  async function home(t: Test, name: string) {
    lastNet += 1
    const net = lastNet
    const machine = new Machine(t, name)
    cable(vps, machine, net)
    await machine.serveHttp(t, sitePort, name)
    const config = {
      tunnel_addr: `10.99.${net}.1:${gateway.ports.tunnel}`,
      skip_tls_verify: true,
      ca_file: undefined,
    }
    const hostname = `${name}.localhost`
    const offers = [{ hostname, target: sitePort }]
    const agent = await startAgent(t, gateway, offers, { config, within: machine.within })
    t.equal(await visit(hostname), name)
    return { machine, agent, hostname, interface: `net${net}`, net }
  }

  async function visit(hostname: string): Promise<string> {
    const { public: port } = gateway.ports
    const url = `https://${hostname}:${port}/`
    const to = ['--resolve', `${hostname}:${port}:127.0.0.1`, '--cacert', gateway.caFile]
    const [command = '', ...args] = [...vps.within, 'curl', '-sS', '--max-time', '30', ...to, url]
    return (await promisify(execFile)(command, args)).stdout
  }

  t.test('a cable that is pulled out, and put in again', async (t) => {
    const { machine, agent, hostname, interface: end } = await home(t, 'cable')
    await isNoticed(t, agent, () => machine.ip('link', 'set', end, 'down'))
    machine.ip('link', 'set', end, 'up')
    await agent.waitFor('connected', {}, 2)
    t.equal(await visit(hostname), 'cable')
  })

  t.test('a line on which packets get lost, one way', async (t) => {
    const { machine, agent, hostname } = await home(t, 'deaf')
    const session = agent.logged('connected')[0]?.session
    const gone = gateway.program.waitFor('agent gone', { session })
    await isNoticed(t, agent, () => machine.filter('drop'))
    await gone
    machine.unfilter()
    await agent.waitFor('connected', {}, 2)
    t.equal(await visit(hostname), 'deaf')
  })

  t.test('another address', async (t) => {
    const { machine, agent, hostname, interface: end, net } = await home(t, 'moved')
    await isNoticed(t, agent, () => {
      machine.ip('address', 'delete', `10.99.${net}.2/24`, 'dev', end)
      machine.ip('address', 'add', `10.99.${net}.3/24`, 'dev', end)
    })
    await agent.waitFor('connected', {}, 2)
    t.equal(await visit(hostname), 'moved')
  })

  t.test('a line that loses a third of all packets', async (t) => {
    const { machine, agent, hostname } = await home(t, 'lossy')
    machine.filter('numgen random mod 100 < 30 drop')
    for (let count = 0; count < 10; count += 1) t.equal(await visit(hostname), 'lossy')
    t.strictSame(agent.logged('connection lost'), [])
  })
})

/** With the time that a busy machine takes beside. */
async function isNoticed(t: Test, agent: Program, harm: () => void): Promise<void> {
  harm()
  const since = performance.now()
  await agent.waitFor('connection lost', { code: 'CLIENT_GATEWAY_SILENT' })
  const seconds = (performance.now() - since) / 1000
  t.ok(seconds < 23, `noticed after ${seconds.toFixed(1)} s`)
}
