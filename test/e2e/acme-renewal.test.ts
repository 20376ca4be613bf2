import { createServer } from 'node:net'
import t from 'tap'
import { lacks } from '../support/tools.js'
import { createWorld, serialOf, startAgentOf } from './acme.ts'
import { listen, serveHttp } from './targets.ts'
import { visit } from './visitor.ts'

const skip = lacks('pebble') || lacks('pebble-challtestsrv')

/** Renewed at half of it. */
const lifetimeSec = 6

t.test('a short certificate, with port 80 taken by another program', { skip }, async (t) => {
  const world = await createWorld(t, { lifetimeSec })
  const { proxy } = world
  const taken = await listen(t, createServer())
  const ports = { public: 0, tunnel: 0, http: taken, dashboard: 0 }
  const gateway = await world.start({ ports })
  const target = await serveHttp(t, (_request, response) => response.end('hello'))
  await startAgentOf(t, gateway, [{ hostname: 'app.example.com', target }])
  const leaving = await startAgentOf(t, gateway, [{ hostname: 'gone.example.com', target }])
  await serialOf(gateway, 'gone.example.com')
  const goneAtMs = Date.now()
  await leaving.kill('SIGTERM')

  t.test('is had by tls-alpn-01, and the log has a line about the port', async (t) => {
    const warning =
      'no http port: http:// leads nowhere, and a CA has only the public port to look at'
    t.match(gateway.program.logged(warning), [
      { level: 'warn', error: new RegExp(`HTTP_PORT=${taken}: .* another program already does`) },
    ])
    t.equal(world.doors.http.count, 0)
    t.ok(world.doors.tls.count > 0)
  })

  t.test('is renewed three times under traffic, and no visitor sees anything of it', async (t) => {
    const serials = new Set<string>()
    let visits = 0
    let isOver = false
    const name = 'app.example.com'
    // Each handshake is verified, so the certificate of a challenge would end it.
    const traffic = Array.from({ length: 3 }, async () => {
      while (!isOver) {
        serials.add(await serialOf(gateway, name))
        const { status, body } = await visit(gateway, name)
        if (status !== 200 || String(body) !== 'hello') throw new Error(`${status} ${body}`)
        visits += 2
      }
    })
    const served = Promise.all(traffic)
    const renewed = gateway.program.waitFor('certificate renewed', { hostname: name }, 3)
    await Promise.race([renewed, served])
    isOver = true
    await served
    t.ok(serials.size >= 3, `${serials.size} certificates in ${visits} visits`)
    const renewals = gateway.program.logged('certificate renewed', { hostname: name })
    t.equal(proxy.orders(name), renewals.length + 1)
  })

  t.test('is not renewed where the agent is gone', async (t) => {
    t.ok(Date.now() - goneAtMs > lifetimeSec * 1000, 'it is over')
    await t.rejects(serialOf(gateway, 'gone.example.com'))
    t.equal(proxy.orders('gone.example.com'), 1)
    t.equal(gateway.program.stderr, '')
  })
})
