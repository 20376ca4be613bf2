import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { mintToken } from '../../src/auth/jwt.ts'
import { Revocations } from '../../src/auth/revocations.ts'
import { PortRanges, parsePortRange } from '../../src/net/port-ranges.ts'
import { delayAfter, FailedAttempts, networkOf } from '../../src/server/failed-attempts.ts'
import { RecordingLog } from '../certs/support.ts'
import { pass, settle, until } from '../mux/turns.ts'
import { type FakeAgent, gateway, testSecret, token } from './fake-agent.ts'

// What a token allows, how it ends, and what bad ones cost.

interface Limits {
  hosts?: string[]
  ports?: string[]
  ssh?: boolean
  name?: string
  expireSec?: number
  nowSec?: number
}

function scoped({ hosts = [], ports = [], ssh = false, name = 'alice', ...times }: Limits): string {
  const ranges = ports.flatMap((text) => parsePortRange(text) ?? [])
  return mintToken({
    secret: testSecret,
    name,
    scope: { hosts, ports: new PortRanges(ranges), ssh },
    ...times,
  })
}

async function refused(t: Test, agent: FakeAgent, message: object, answer: object): Promise<void> {
  agent.register(message)
  await t.rejects(agent.admitted, { code: 'SERVER_REGISTER_REFUSED' })
  await until('the end of the session', () => agent.session.isClosed)
  t.match(agent.messages, [{ type: 'ack', ok: false, ...answer }])
}

t.test('an agent registers only what its token allows', async (t) => {
  const hosts = ['app.test', '*.alice.test']
  const cases: [name: string, tunnels: object[], limits: Limits, error?: string, code?: string][] =
    [
      ['its name', [{ hostname: 'App.test.' }], { hosts }],
      ['one below its wildcard', [{ hostname: 'nas.alice.test' }], { hosts }],
      ['both', [{ hostname: 'app.test' }, { hostname: 'nas.alice.test' }], { hosts }],
      [
        'another name',
        [{ hostname: 'b.test' }],
        { hosts },
        'host not allowed: b.test',
        'HOST_NOT_ALLOWED',
      ],
      [
        'another beside its own',
        [{ hostname: 'app.test' }, { hostname: 'B.test' }],
        { hosts },
        'host not allowed: B.test',
        'HOST_NOT_ALLOWED',
      ],
      [
        'the name that its wildcard hangs on',
        [{ hostname: 'alice.test' }],
        { hosts },
        'host not allowed: alice.test',
        'HOST_NOT_ALLOWED',
      ],
      [
        'a name that ends like its wildcard, but for the dot',
        [{ hostname: 'malice.test' }],
        { hosts },
        'host not allowed: malice.test',
        'HOST_NOT_ALLOWED',
      ],
      [
        'two labels below its wildcard',
        [{ hostname: 'a.b.alice.test' }],
        { hosts },
        'host not allowed: a.b.alice.test',
        'HOST_NOT_ALLOWED',
      ],
      [
        'the plain SSH',
        [{ hostname: 'app.test', mode: 'tcp', ssh: true }],
        { hosts },
        'ssh not allowed: app.test',
        'SSH_NOT_ALLOWED',
      ],
      [
        'the plain SSH that it may have',
        [{ hostname: 'app.test', mode: 'tcp', ssh: true }],
        { hosts, ssh: true },
      ],
    ]
  for (const [name, tunnels, limits, error, code] of cases) {
    t.test(name, async (t) => {
      const { registry, connect } = gateway(t)
      const agent = connect()
      const message = { tunnels, token: scoped(limits) }
      if (error !== undefined) {
        await refused(t, agent, message, { error, code })
        t.equal(registry.size, 0)
      } else {
        agent.register(message)
        await agent.admitted
      }
    })
  }

  t.test('with its ports the opening of ports is told', async (t) => {
    const asked: unknown[] = []
    const open = async (wanted: readonly { port: number }[], scope?: PortRanges) => {
      asked.push([wanted.map(({ port }) => port), scope && String(scope)])
      return wanted.map((_port, index) => 4000 + index)
    }
    const { connect } = gateway(t, { ports: { open, close: () => {} } })
    const tunnels = [{ hostname: 'tcp:0', mode: 'tcp', listen_port: 0 }]
    for (const text of [scoped({ ports: ['3000-3003', '2222'] }), scoped({}), token()]) {
      const agent = connect()
      agent.register({ tunnels, token: text })
      const tunnel = await agent.admitted
      tunnel.destroy(new Error('the next one'))
    }
    t.strictSame(asked, [
      [[0], '2222,3000-3003'],
      [[0], ''],
      [[0], undefined],
    ])
  })
})

t.test('REQUIRE_SCOPED_TOKENS takes no token without hosts', async (t) => {
  const { connect } = gateway(t, { requireScopedTokens: true })
  const tunnels = [{ hostname: 'app.test' }]
  const answer = { error: 'auth failed', code: 'TOKEN_UNSCOPED' }
  await refused(t, connect(), { tunnels, token: token() }, answer)
  const agent = connect()
  agent.register({ tunnels, token: scoped({ hosts: ['app.test'] }) })
  await agent.admitted
})

t.test('a session ends in the second its token does, and the agent is told', async (t) => {
  const now = Date.now()
  t.clock.enter()
  t.clock.travel(now)
  t.teardown(() => t.clock.exit())
  for (const capabilities of [['end-reason'], []]) {
    const { registry, connect } = gateway(t)
    const agent = connect()
    agent.answersPings = true
    const nowSec = Date.now() / 1000
    agent.register({
      tunnels: [{ hostname: 'app.test' }],
      token: scoped({ hosts: ['app.test'], expireSec: 100, nowSec }),
      capabilities,
    })
    await agent.admitted
    await pass(t.clock, 98_000)
    t.equal(registry.size, 1)
    await pass(t.clock, 2_000)
    t.equal(registry.size, 0)
    t.match(agent.ended, [{ code: 'SERVER_TOKEN_EXPIRED' }])
    const ends = agent.messages.filter(({ type }) => type === 'end')
    if (capabilities.length === 0) t.same(ends, [], 'a Go agent is not')
    else t.match(ends, [{ code: 'TOKEN_EXPIRED', error: "the agent's token has expired" }])
  }
})

t.test('a token that is good for ever, or for years, sets off no timer at once', async (t) => {
  const { connect } = gateway(t)
  for (const expireSec of [undefined, 10 * 365 * 86_400, 3e9]) {
    const agent = connect()
    const hostname = `a${expireSec ?? ''}.test`
    agent.register({
      tunnels: [{ hostname }],
      token: scoped({ hosts: [hostname], ...(expireSec && { expireSec }) }),
    })
    await agent.admitted
    await settle()
    t.equal(agent.session.isClosed, false)
  }
})

t.test('what is revoked', async (t) => {
  const file = join(t.testdir({ revoked: '' }), 'revoked')
  const log = new RecordingLog()
  const revocations = await Revocations.open({ file, log, pollMs: 10 })
  t.teardown(() => revocations.close())
  const change = async (text: string) => {
    const read = new Promise((resolve) => revocations.once('change', () => resolve(undefined)))
    writeFileSync(file, text)
    await read
  }
  const { connect } = gateway(t, { revocations })
  const register = (limits: Limits) => {
    const agent = connect()
    agent.register({ tunnels: [{ hostname: 'app.test' }], token: scoped(limits) })
    return agent
  }
  const hosts = ['app.test']

  t.test('by name or id is refused, and nothing else', async (t) => {
    const first = await register({ hosts }).admitted
    const { tokenId = '' } = first.identity
    t.notOk(revocations.isRevoked(first.identity))
    await change(`\ufeff# gone\r\n  ${tokenId}  # lost in May\r\n\n`)
    t.ok(revocations.isRevoked(first.identity), 'by its id')
    t.notOk(revocations.isRevoked({ subject: 'alice' }), 'not all of the name')
    t.notOk(revocations.isRevoked({}), 'nor those without either')
    await change('alice\n')
    t.ok(revocations.isRevoked({ subject: 'alice', tokenId: 'x' }), 'by its name')
    t.notOk(revocations.isRevoked({ subject: 'malice', issuer: 'alice' }))
    first.destroy(new Error('the next one'))
    const answer = { error: 'auth failed', code: 'TOKEN_REVOKED' }
    const tunnels = [{ hostname: 'app.test' }]
    await refused(t, connect(), { tunnels, token: scoped({ hosts }) }, answer)
    t.ok(await register({ hosts, name: 'bob' }).admitted)
  })

  t.test('stays so while the file cannot be read, which is told once', async (t) => {
    const { rmSync } = await import('node:fs')
    const told = log.next('revocations unreadable, keeping what was read before')
    rmSync(file)
    t.match(await told, { level: 'error', fields: { kept: 1 } })
    await revocations.refresh()
    t.ok(revocations.isRevoked({ subject: 'alice' }))
    t.equal(log.count('revocations unreadable, keeping what was read before'), 1)
    await change('')
    t.notOk(revocations.isRevoked({ subject: 'alice' }))
  })

  t.test('must be a file from the start', async (t) => {
    await t.rejects(Revocations.open({ file: `${file}.not`, log }), {
      code: 'AUTH_REVOCATIONS_UNREADABLE',
    })
  })
})

t.test('bad tokens', async (t) => {
  t.test('are answered later each time, beyond ten', async (t) => {
    t.strictSame(
      [1, 10, 11, 12, 13, 14, 15, 16, 1000].map(delayAfter),
      [0, 0, 250, 500, 1000, 2000, 4000, 5000, 5000],
    )
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const attempts = new FailedAttempts()
    for (let n = 0; n < 10; n += 1) await attempts.fail('192.0.2.1')
    let isAnswered = false
    const answer = attempts.fail('192.0.2.1').then(() => (isAnswered = true))
    await pass(t.clock, 249)
    t.equal(isAnswered, false)
    await attempts.fail('192.0.2.2') // at once: another address
    await pass(t.clock, 1)
    await answer
    t.clock.advance(600_001)
    await attempts.fail('192.0.2.1') // at once: forgotten
  })

  t.test('let few more be tried at one time', async (t) => {
    const attempts = new FailedAttempts()
    for (let n = 0; n < 50; n += 1) t.ok(attempts.begin('192.0.2.1'), 'who has not failed')
    for (let n = 0; n < 11; n += 1) void attempts.fail('192.0.2.1')
    t.notOk(attempts.begin('192.0.2.1'))
    t.ok(attempts.begin('192.0.2.2'))
    for (let n = 0; n < 41; n += 1) attempts.end('192.0.2.1')
    t.ok(attempts.begin('192.0.2.1'), 'when nine are left')
    t.notOk(attempts.begin('192.0.2.1'))
  })

  t.test('cannot fill the memory', async (t) => {
    const attempts = new FailedAttempts()
    for (let n = 0; n < 20_000; n += 1)
      void attempts.fail(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`)
    t.equal(attempts.size, 10_000)
  })

  t.test('count for the whole network of an IPv6 subscriber', async (t) => {
    for (const [address, network] of [
      ['192.0.2.1', '192.0.2.1'],
      ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
      ['2001:DB8:1:2::', '2001:db8:1:2'],
      ['2001:0db8:0001:0002::1', '2001:db8:1:2'],
      ['2001:db8::1', '2001:db8:0:0'],
      ['::1', '0:0:0:0'],
      ['fe80::1%eth0', 'fe80:0:0:0'],
      ['unknown', 'unknown'],
    ] as const) {
      t.equal(networkOf(address), network, address)
    }
  })

  t.test(
    'are reported before they are answered; good ones and other refusals are not',
    async (t) => {
      let failures = 0
      const { connect } = gateway(t, {
        onFailedAttempt: async () => {
          failures += 1
        },
      })
      const tunnels = [{ hostname: 'app.test' }]
      const answer = { error: 'auth failed', code: 'AUTH_FAILED' }
      await refused(t, connect(), { tunnels, token: 'x' }, answer)
      t.equal(failures, 1)
      await refused(t, connect(), { tunnels: [] }, { code: 'NO_ROUTES' })
      const agent = connect()
      agent.register({ tunnels })
      await agent.admitted
      t.equal(failures, 1)
    },
  )
})
