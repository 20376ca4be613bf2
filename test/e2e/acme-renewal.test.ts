import { once } from 'node:events'
import { createServer } from 'node:net'
import tls from 'node:tls'
import t from 'tap'
import type { Gateway } from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { certsIn, createWorld, serialOf, startAgentOf } from './acme.ts'
import { listen, serveHttp } from './targets.ts'
import { visit } from './visitor.ts'

const skip = lacks('pebble') || lacks('pebble-challtestsrv')

/** Renewed at half of it. */
const lifetimeSec = 8

t.test('a short certificate, with port 80 taken by another program', { skip }, async (t) => {
  const hmac = Buffer.from('a key that the CA gave to us by mail').toString('base64url')
  const world = await createWorld(t, { lifetimeSec, externalAccounts: { 'kid-1': hmac } })
  const { proxy } = world
  proxy.describe = (directory) => ({ ...directory, meta: { profiles: { tiny: 'seconds' } } })
  const taken = await listen(t, createServer())
  const ports = { public: 0, tunnel: 0, http: taken, dashboard: 0 }
  const env = {
    ...{ ACME_EAB_KID: 'kid-1', ACME_EAB_HMAC: hmac, ACME_EMAIL: 'me@example.com' },
    ...{ ACME_PROFILE: 'tiny', ACME_DOMAIN_BUDGET: '4' },
  }
  const gateway = await world.start({ ports, env })
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

  t.test('is for the account and of the kind that the environment says', async (t) => {
    t.match(proxy.asked.find(({ path }) => path === '/sign-me-up')?.payload, {
      contact: ['mailto:me@example.com'],
      termsOfServiceAgreed: true,
      externalAccountBinding: { protected: String, payload: String, signature: String },
    })
    const orders = proxy.asked.filter(({ path }) => path === '/order-plz')
    t.ok(orders.every(({ payload }) => payload?.profile === 'tiny'))
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

  t.test('costs the budget nothing, where it is renewed; new names do', async (t) => {
    await startAgentOf(t, gateway, [{ hostname: 'fifth.example.com', target }])
    const refused = await certsIn(world, 'issue', 'fifth.example.com')
    const reason = /example\.com had 4 new certificates in 7 days.*ACME_DOMAIN_BUDGET/
    t.match(refused, { code: 1, stderr: reason })
    t.equal(proxy.orders('fifth.example.com'), 0)
    const warning = 'most of the budget for new certificates is used'
    t.match(gateway.program.logged(warning), [
      { level: 'warn', domain: 'example.com', perDomain: 4 },
    ])
  })

  t.test('shows the challenge to nobody but a CA', async (t) => {
    const name = 'app.example.com'
    let reach = () => {}
    let release = () => {}
    const reached = new Promise<void>((resolve) => (reach = resolve))
    const released = new Promise<undefined>((resolve) => (release = () => resolve(undefined)))
    proxy.intercept = ({ path }) => {
      if (!path.startsWith('/chalZ/')) return undefined
      reach()
      return released
    }
    const renewing = certsIn(world, 'renew', name)
    await reached
    t.match(await shown(gateway, name, ['acme-tls/1']), /ACME challenge/)
    for (const alpn of [['acme-tls/1', 'http/1.1'], ['http/1.1'], []]) {
      t.match(await shown(gateway, name, alpn), new RegExp(name), alpn.join())
    }
    release()
    t.match(await renewing, { code: 0 })
    await t.rejects(shown(gateway, 'gateway.example.com', ['acme-tls/1']), 'when it is over')
  })

  t.test('is not renewed where the agent is gone', async (t) => {
    t.ok(Date.now() - goneAtMs > lifetimeSec * 1000, 'it is over')
    await t.rejects(serialOf(gateway, 'gone.example.com'))
    t.equal(proxy.orders('gone.example.com'), 1)
    t.equal(gateway.program.stderr, '')
  })
})

/** The common name of the certificate that a client sees which offers these protocols. */
async function shown({ ports }: Gateway, servername: string, alpn: string[]): Promise<string> {
  const to = { host: '127.0.0.1', port: ports.public, servername, rejectUnauthorized: false }
  const socket = tls.connect({ ...to, ALPNProtocols: alpn })
  try {
    await once(socket, 'secureConnect')
    return String(socket.getPeerCertificate().subject.CN)
  } finally {
    socket.destroy()
  }
}
