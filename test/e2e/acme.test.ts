import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { nameOf } from '../support/acme-proxy.ts'
import { lacks } from '../support/tools.js'
import { certsIn, createWorld, serialOf, startAgentOf } from './acme.ts'
import { serveHttp } from './targets.ts'
import { curl, visit } from './visitor.ts'

const skip = lacks('pebble') || lacks('pebble-challtestsrv') || lacks('curl')

t.test('certificates on demand', { skip }, async (t) => {
  const world = await createWorld(t)
  const { proxy } = world
  const gateway = await world.start()
  const target = await serveHttp(t, (request, response) => response.end(request.headers.host))
  const offers = (...names: string[]) => names.map((hostname) => ({ hostname, target }))

  t.test('the first curl gets the certificate and its answer at once', async (t) => {
    // The best of three: who else uses the machine is not what is asked.
    const names = ['app', 'second', 'third'].map((label) => `${label}.example.com`)
    await startAgentOf(t, gateway, offers(...names))
    const took: number[] = []
    for (const name of names) {
      const startMs = performance.now()
      const { stdout } = await curl(gateway, `https://${name}:${gateway.ports.public}/`)
      took.push(Math.round(performance.now() - startMs))
      t.ok(stdout.toString().startsWith(name))
      t.equal(proxy.orders(name), 1)
    }
    t.ok(Math.min(...took) < 2_000, `${took.join(', ')} ms`)
  })

  t.test('the name of the agents has one, which they can verify', async (t) => {
    t.ok(await serialOf(gateway, 'tunnel.example.com'))
    t.ok(
      await serialOf(
        { ...gateway, ports: { ...gateway.ports, public: gateway.ports.tunnel } },
        'tunnel.example.com',
      ),
    )
  })

  t.test('50 first handshakes at once make one order', async (t) => {
    await startAgentOf(t, gateway, offers('rush.example.com'))
    const first = Array.from({ length: 50 }, () => serialOf(gateway, 'rush.example.com'))
    t.equal(new Set(await Promise.all(first)).size, 1)
    t.equal(proxy.orders('rush.example.com'), 1)
  })

  t.test('20 names at once get each their own, four at a time', async (t) => {
    const names = Array.from({ length: 20 }, (_, at) => `name-${at}.example.com`)
    await startAgentOf(t, gateway, offers(...names))
    const before = proxy.asked.length
    const answers = await Promise.all(names.map((name) => visit(gateway, name)))
    for (const [at, { body }] of answers.entries()) t.match(String(body), names[at])
    for (const name of names) t.equal(proxy.orders(name), 1, name)
    t.ok(mostAtOnce(proxy.asked.slice(before)) <= 4)
  })

  t.test('a name that nobody holds makes no request to the CA', async (t) => {
    const before = proxy.asked.length
    const strangers = Array.from({ length: 200 }, (_, at) => `stranger-${at}.example.com`)
    const odd = ['*.example.com', 'a..example.com', '..', 'x'.repeat(250), 'a.test:443']
    const all = await Promise.allSettled(
      [...strangers, ...odd].map((name) => serialOf(gateway, name)),
    )
    t.ok(all.every(({ status }) => status === 'rejected'))
    t.equal(proxy.asked.length, before)
  })

  t.test('a name that is given up', async (t) => {
    t.afterEach(() => {
      proxy.intercept = () => undefined
    })

    t.test('before its order has none', async (t) => {
      const busy = Array.from({ length: 4 }, (_, at) => `busy-${at}.example.com`)
      await startAgentOf(t, gateway, offers(...busy))
      const leaving = await startAgentOf(t, gateway, offers('queued.example.com'))
      const held = hold(({ path }) => path === '/order-plz')
      const visits = busy.map((name) => serialOf(gateway, name))
      const queued = t.rejects(serialOf(gateway, 'queued.example.com'))
      await held.reached
      t.match((await certsIn(world)).stdout, /^queued\.example\.com +ordering /m)
      await leaving.kill('SIGTERM')
      held.release()
      await Promise.all(visits)
      await queued
      t.equal(proxy.orders('queued.example.com'), 0)
    })

    t.test('during its order has a certificate, and its visitor a page that says so', async (t) => {
      const leaving = await startAgentOf(t, gateway, offers('leaving.example.com'))
      const held = hold((asked) => nameOf(asked) === 'leaving.example.com')
      const visiting = visit(gateway, 'leaving.example.com')
      await held.reached
      await leaving.kill('SIGTERM')
      held.release()
      t.equal((await visiting).status, 503)
      t.equal(proxy.orders('leaving.example.com'), 1)
      t.equal((await visit(gateway, 'leaving.example.com')).status, 503)
      const refused = await certsIn(world, 'renew', 'leaving.example.com')
      t.match(refused, { code: 1, stderr: /nobody holds leaving\.example\.com/ })
      t.equal(proxy.orders('leaving.example.com'), 1)
    })
  })

  t.test('a command has one issued before any visitor asks, and renewed', async (t) => {
    const name = 'command.example.com'
    await startAgentOf(t, gateway, offers(name))
    t.match(await certsIn(world, 'issue', name), { code: 0, stdout: /valid until/ })
    const serial = await serialOf(gateway, name)
    t.equal(proxy.orders(name), 1)
    t.match(await certsIn(world, 'renew', name), { code: 0, stdout: /valid until/ })
    t.not(await serialOf(gateway, name), serial)
    t.equal(proxy.orders(name), 2)
    t.match((await certsIn(world)).stdout, new RegExp(`^${name} +valid `, 'm'))
  })

  t.test('all that is kept is for the gateway alone', async (t) => {
    const cache = join(world.directory, 'certificates')
    t.equal(statSync(cache).mode & 0o777, 0o700)
    const kept = readdirSync(cache, { recursive: true, encoding: 'utf8' })
    t.ok(kept.some((path) => path.endsWith('certs/app.example.com.pem')))
    t.ok(kept.some((path) => path.endsWith('account.json')))
    for (const path of kept) {
      const stat = statSync(join(cache, path))
      t.equal(stat.mode & 0o777, stat.isDirectory() ? 0o700 : 0o600, path)
    }
  })

  t.test('nothing was printed but the log, and one account did it all', async (t) => {
    t.equal(gateway.program.stderr, '')
    t.equal(proxy.registrations(), 1)
  })

  /** Stops the CA at the first request that fits, and those after it. */
  function hold(fits: (asked: Parameters<typeof proxy.intercept>[0]) => boolean) {
    let release = () => {}
    let reach = () => {}
    const reached = new Promise<void>((resolve) => (reach = resolve))
    const released = new Promise<undefined>((resolve) => (release = () => resolve(undefined)))
    proxy.intercept = (asked) => {
      if (!fits(asked)) return undefined
      reach()
      return released
    }
    return { reached, release }
  }
})

/** Orders that were begun, and whose certificate was not fetched yet. */
function mostAtOnce(asked: readonly { path: string; status?: number }[]): number {
  let open = 0
  let most = 0
  for (const { path, status = 0 } of asked) {
    if (status >= 400) continue
    if (path === '/order-plz') open += 1
    if (path.startsWith('/certZ/')) open -= 1
    most = Math.max(most, open)
  }
  return most
}
