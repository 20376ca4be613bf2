import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { Agent, createServer as createTlsServer } from 'node:https'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { opensslPair } from '../certs/support.ts'
import { startAgent, startGateway, temporaryDirectory } from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { listen, serveHttp, serveTcp } from './targets.ts'
import { visit } from './visitor.ts'

// Where a target is and how it is reached: inside TLS, at a unix socket, slowly, not at all; and one that closes
// the connections that are kept to it.

t.test('a target', { skip: lacks('openssl') }, async (t) => {
  const directory = temporaryDirectory(t)
  const pair = opensslPair(directory, 'DNS:app.internal')
  const target_ca_file = join(directory, 'target-ca.pem')
  writeFileSync(target_ca_file, pair.chain)

  const secured = createTlsServer({ key: pair.key, cert: pair.chain }, (request, response) => {
    response.end(`${request.headers.host} inside TLS`)
  })
  const securedTarget = `https://127.0.0.1:${await listen(t, secured)}`
  const socketPath = join(directory, 'app.sock')
  const local = createServer((_request, response) => response.end('at a unix socket'))
  local.listen(socketPath)
  await once(local, 'listening')
  t.teardown(() => local.close())
  const silent = await serveTcp(t, () => {})
  const unanswering = await serveHttp(t, () => {})
  /** Closes a connection that it promised to keep, in one way or the other, soon after each answer. */
  const promised = 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=60\r\nContent-Length: 4\r\n\r\nhere'
  let hastyConnections = 0
  const hasty = await serveTcp(t, (socket) => {
    const count = hastyConnections++
    socket.on('data', () => {
      socket.write(promised)
      setTimeout(() => (count % 2 ? socket.end() : socket.resetAndDestroy()), count % 5)
    })
    socket.on('end', () => socket.end())
  })

  const gateway = await startGateway(t)
  const agent = await startAgent(t, gateway, [
    {
      hostname: 'trusted.localhost',
      target: securedTarget,
      target_ca_file,
      target_sni: 'app.internal',
    },
    { hostname: 'believed.localhost', target: securedTarget, target_verify: false },
    { hostname: 'unknown.localhost', target: securedTarget, target_sni: 'app.internal' },
    {
      hostname: 'misnamed.localhost',
      target: securedTarget,
      target_ca_file,
      target_sni: 'b.internal',
    },
    { hostname: 'plain.localhost', target: `https://127.0.0.1:${hasty}` },
    { hostname: 'local.localhost', target: `unix:${socketPath}` },
    { hostname: 'gone.localhost', target: `unix:${join(directory, 'gone.sock')}` },
    { hostname: 'silent.localhost', target: `https://127.0.0.1:${silent}` },
    { hostname: 'unanswering.localhost', target: unanswering, response_timeout: '1s' },
    { hostname: 'hasty.localhost', target: hasty },
  ])
  /** Takes 10 s: the others go on meanwhile. */
  const dialled = visit(gateway, 'silent.localhost')

  t.test('inside TLS is trusted by its CA, or without', async (t) => {
    for (const name of ['trusted.localhost', 'believed.localhost']) {
      const { status, body } = await visit(gateway, name)
      t.strictSame([status, String(body)], [200, `${name}:${gateway.ports.public} inside TLS`])
    }
  })

  t.test('that is not to be trusted is a 502, and the agent says why', async (t) => {
    for (const [hostname, code, reason] of [
      ['unknown.localhost', 'CLIENT_TARGET_UNTRUSTED', 'name its CA in target_ca_file'],
      [
        'misnamed.localhost',
        'CLIENT_TARGET_UNTRUSTED',
        "b.internal. is not in the cert's altnames",
      ],
      ['plain.localhost', 'CLIENT_TARGET_UNREACHABLE', 'wrong version number'],
    ] as const) {
      const { status, body } = await visit(gateway, hostname)
      t.strictSame([status, String(body)], [502, 'cannot reach local target'])
      const line = await agent.waitFor('a stream was not served', { hostname, code })
      t.match(line.reason, reason)
    }
  })

  t.test('may be at a unix socket', async (t) => {
    const { status, body } = await visit(gateway, 'local.localhost')
    t.strictSame([status, String(body)], [200, 'at a unix socket'])
    t.match(await visit(gateway, 'gone.localhost'), { status: 502 })
    const line = await agent.waitFor('a stream was not served', { hostname: 'gone.localhost' })
    t.match(line.reason, /ENOENT.*gone\.sock.*is the service up\?/)
  })

  t.test('that takes too long to answer is a 504', async (t) => {
    const { status, headers } = await visit(gateway, 'unanswering.localhost')
    t.strictSame([status, headers['gotunnel-error']], [504, 'TARGET_TIMEOUT'])
    const code = 'TARGET_TIMEOUT'
    await gateway.program.waitFor('request', { host: 'unanswering.localhost', status: 504, code })
  })

  t.test('that closes the connections that it keeps costs nobody a 502', async (t) => {
    const keeping = new Agent({ keepAlive: true, maxSockets: 1 })
    t.teardown(() => keeping.destroy())
    const statuses: string[] = []
    for (let count = 0; count < 300; count += 1) {
      const method = ['GET', 'DELETE', 'OPTIONS'][count % 3] ?? '' // what may be asked again
      const { status } = await visit(gateway, 'hasty.localhost', '/', { agent: keeping, method })
      statuses.push(`${method} ${status}`)
      await delay(count % 7) // from before it closes to behind that
    }
    t.strictSame(new Set(statuses), new Set(['GET 200', 'DELETE 200', 'OPTIONS 200']))
    t.comment(`${hastyConnections} connections for ${statuses.length} requests`)
  })

  t.test('that does not take a connection is a 502 after 10 s', async (t) => {
    t.match(await dialled, { status: 502 })
    const line = await agent.waitFor('a stream was not served', { hostname: 'silent.localhost' })
    t.match(line.reason, 'no connection after 10000 ms')
  })
})
