import { execFileSync } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import {
  type Gateway,
  sharedSecret,
  spawnAgent,
  startAgent,
  startGateway,
  temporaryDirectory,
} from '../support/programs.ts'
import { serveHttp } from './targets.ts'
import { visit } from './visitor.ts'

// Tokens as their owner makes them, on the command line, and what agents with them can do.

const server = resolve(import.meta.dirname, '../../dist/cli/server.js')
const newSecret = 'c2a1f7e49b6d4530a8e7d6c5b4a39281'

/** The token of one who runs `gotunnel-server token` with these arguments. */
function mint(args: readonly string[], secret = sharedSecret): string {
  const env = { PATH: process.env.PATH, JWT_SECRET: secret }
  const stdio = ['ignore', 'pipe', 'ignore'] as const
  const command = [server, 'token', '--name', 'alice', ...args]
  return String(execFileSync(process.execPath, command, { env, stdio: [...stdio] })).trim()
}

async function bodyOf(gateway: Gateway, hostname: string): Promise<string> {
  return String((await visit(gateway, hostname)).body)
}

const withToken = (token: string) => ({ config: { jwt_secret: undefined, token } })

t.jobs = 2
const site = await serveHttp(t, (_request, response) => response.end('hello'))

t.test('an agent with a token serves its names, and gets no others', async (t) => {
  const gateway = await startGateway(t, { env: { REQUIRE_SCOPED_TOKENS: 'true' } })
  const token = mint(['--hosts', 'app.localhost,*.alice.localhost', '--expires', '2d'])
  const agent = await startAgent(
    t,
    gateway,
    [
      { hostname: 'app.localhost', target: site },
      { hostname: 'nas.alice.localhost', target: site },
    ],
    withToken(token),
  )
  t.equal(await bodyOf(gateway, 'nas.alice.localhost'), 'hello')
  t.ok(await gateway.program.waitFor('agent admitted', { tokenName: 'alice' }))

  for (const [hostname, options, reason] of [
    ['b.localhost', withToken(token), 'host not allowed: b.localhost'],
    ['alice.localhost', withToken(token), 'host not allowed: alice.localhost'],
    ['c.localhost', {}, 'the gateway takes only tokens that are limited to hosts'],
  ] as const) {
    const other = spawnAgent(t, gateway, [{ hostname, target: site }], options)
    t.equal((await other.exited).code, 77)
    t.match(other.stderr, reason)
  }
  t.equal(await bodyOf(gateway, 'app.localhost'), 'hello')
  for (const { log, stderr } of [agent, gateway.program]) {
    t.notMatch(JSON.stringify(log) + stderr, token.split('.')[2], 'nobody has logged it')
  }
})

t.test('a session ends with its token; the agent warns before, and says why it ends', async (t) => {
  const gateway = await startGateway(t)
  const token = mint(['--hosts', 'app.localhost', '--expires', '15s'])
  const { iat, exp } = JSON.parse(String(Buffer.from(token.split('.')[1] ?? '', 'base64url')))
  t.equal(exp, iat + 15)
  const offers = [{ hostname: 'app.localhost', target: site }]
  const agent = await startAgent(t, gateway, offers, withToken(token))
  t.equal(await bodyOf(gateway, 'app.localhost'), 'hello')
  await agent.waitFor('the token expires soon: get a new one from the owner of the gateway')
  const gone = await gateway.program.waitFor('agent gone', { code: 'SERVER_TOKEN_EXPIRED' })
  const lateMs = Date.parse(String(gone.time)) - exp * 1000
  t.ok(lateMs >= 0, `${lateMs} ms after its time`)
  t.equal((await agent.exited).code, 77)
  t.match(agent.logged('connection lost'), [{ code: 'TOKEN_EXPIRED' }])
  t.match(agent.stderr, 'the token has expired; get a new one')
})

t.test('a revoked token ends its session within a second, and no other', async (t) => {
  const directory = temporaryDirectory(t)
  const file = join(directory, 'revocations')
  appendFileSync(file, '')
  const gateway = await startGateway(t, { directory, env: { REVOCATIONS_FILE: file } })
  const offer = (hostname: string) => [{ hostname, target: site }]
  const kept = await startAgent(t, gateway, offer('kept.localhost'))
  const token = mint(['--hosts', '*.localhost'])
  const agent = await startAgent(t, gateway, offer('app.localhost'), withToken(token))
  const { tokenId } = await gateway.program.waitFor('agent admitted', { tokenName: 'alice' })

  const revokedMs = Date.now()
  appendFileSync(file, `${tokenId}  # gone\n`)
  const gone = await gateway.program.waitFor('agent gone', { code: 'SERVER_TOKEN_REVOKED' })
  const tookMs = Date.parse(String(gone.time)) - revokedMs
  t.ok(tookMs < 3_000, `within a second, on a machine with nothing else to do: ${tookMs} ms`)
  t.equal((await agent.exited).code, 77)
  t.match(agent.stderr, 'the token has been revoked')

  const again = spawnAgent(t, gateway, offer('app.localhost'), withToken(token))
  t.equal((await again.exited).code, 77)
  t.match(again.stderr, 'the token has been revoked')
  t.equal(await bodyOf(gateway, 'kept.localhost'), 'hello')
  t.same(kept.logged('connection lost'), [])
})

t.test('a secret is replaced while agents still have the old one', async (t) => {
  const both = { JWT_SECRET: `${newSecret},${sharedSecret}` }
  const gateway = await startGateway(t, { env: both })
  const old = [{ hostname: 'old.localhost', target: site }]
  await startAgent(t, gateway, old)
  const config = { jwt_secret: newSecret }
  await startAgent(t, gateway, [{ hostname: 'new.localhost', target: site }], { config })
  const token = mint(['--hosts', 'app.localhost'], both.JWT_SECRET)
  await startAgent(t, gateway, [{ hostname: 'app.localhost', target: site }], withToken(token))
  for (const name of ['old', 'new', 'app']) {
    t.equal(await bodyOf(gateway, `${name}.localhost`), 'hello')
  }

  const later = await startGateway(t, { env: { JWT_SECRET: newSecret } })
  const refused = spawnAgent(t, later, old)
  t.equal((await refused.exited).code, 77)
  await startAgent(t, later, [{ hostname: 'app.localhost', target: site }], withToken(token))
})

t.test('a gateway does not start without the revocations that it was told of', async (t) => {
  const file = join(temporaryDirectory(t), 'none')
  await t.rejects(startGateway(t, { env: { REVOCATIONS_FILE: file } }), {
    message: /REVOCATIONS_FILE names it; an empty one will do/,
  })
})
