import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Agent, type AgentOptions } from '../../src/client/agent.ts'
import type { AgentState } from '../../src/client/agent-status.ts'
import { attemptAfter, nextDelayMs } from '../../src/client/backoff.ts'
import { ClientError } from '../../src/client/errors.ts'
import { warnBeforeExpiry } from '../../src/client/expiry-warning.ts'
import { FailureLog } from '../../src/client/failure-log.ts'
import type { Route } from '../../src/client/forward.ts'
import type { AgentConnection } from '../../src/client/settings.ts'
import type { LogFields, Logger } from '../../src/log.ts'
import type { Ack, KnownMessage } from '../../src/protocol/messages.ts'
import type { Dial } from '../../src/transport/transport.ts'
import { settle } from '../mux/turns.ts'
import { duplexPair } from '../support/duplex-pair.ts'
import { admitted, FakeGateway, refusal } from './fake-gateway.ts'

const route: Route = {
  hostname: 'app.example.com',
  mode: 'http',
  target: { host: '127.0.0.1', port: 3000, text: ':3000' },
}

t.test('back-off', async (t) => {
  for (const [attempt, boundMs] of [
    [0, 2_000],
    [4, 2_000],
    [5, 4_000],
    [6, 8_000],
    [7, 16_000],
    [8, 30_000],
    [9, 30_000],
    [10_000, 30_000],
  ] as const) {
    t.test(`try ${attempt} waits anything up to ${boundMs} ms`, async (t) => {
      t.equal(nextDelayMs({ attempt, random: 0 }), 0)
      t.equal(nextDelayMs({ attempt, random: 0.5 }), boundMs / 2)
      t.equal(nextDelayMs({ attempt, random: 1 - Number.EPSILON }), boundMs - 1)
    })
  }

  t.test('starts anew after a minute up', async (t) => {
    t.equal(attemptAfter({ attempt: 7, upMs: 0 }), 7)
    t.equal(attemptAfter({ attempt: 7, upMs: 59_999 }), 7)
    t.equal(attemptAfter({ attempt: 7, upMs: 60_000 }), 0)
  })
})

t.test('of many streams that fail alike one line is written each 10 s', async (t) => {
  const { log, lines } = recorder()
  const failures = new FailureLog(log)
  const error = new ClientError('CLIENT_TARGET_UNREACHABLE', 'cannot reach :3000')
  for (let ms = 0; ms < 10_000; ms += 1_000) failures.add(error, route, ms)
  t.same(lines, [
    {
      message: 'a stream was not served',
      hostname: 'app.example.com',
      target: ':3000',
      code: 'CLIENT_TARGET_UNREACHABLE',
      reason: 'cannot reach :3000',
    },
  ])
  failures.add(error, { ...route, hostname: 'b.example.com' }, 9_999)
  failures.add(new ClientError('CLIENT_NO_ROUTE', 'no'), undefined, 9_999)
  t.equal(lines.length, 3)
  failures.add(error, route, 10_000)
  t.match(lines[3], { hostname: 'app.example.com', alsoSinceLastLine: 9 })
})

t.test('an agent', async (t) => {
  t.test('registers, says so, and serves until it is told to stop', async (t) => {
    const { agent, gateways, lines, stop, run } = start(t, { gateway: 'gw:9443' })
    t.match(agent.status(), { state: 'connecting', streams: 0, session: undefined })
    await reaches(agent, 'connected')
    t.match(agent.status(), { state: 'connected', session: 's-1', lastError: undefined })
    t.equal(agent.status().connectedSinceMs, Date.now())
    const [gateway] = gateways as [FakeGateway]
    const leaving = once(gateway.session, 'goAway')
    stop()
    await leaving
    await run
    t.match(agent.status(), { state: 'idle', connectedSinceMs: undefined })
    t.same(lines, [
      { message: 'connecting', gateway: 'gw:9443' },
      {
        message: 'connected',
        gateway: 'gw:9443',
        session: 's-1',
        tunnels: { 'app.example.com': ':3000' },
      },
    ])
  })

  t.test('tells which public ports it was given', async (t) => {
    const ports = new Map([
      ['app.example.com', 2222],
      ['tcp:0', 30_017],
      ['not ours', 1],
    ])
    const capabilities = ['proxy-preamble', 'listen-port']
    const { agent, gateways, lines } = start(t, {
      acks: [{ ...admitted, capabilities, ports }],
      tunnels: [
        { ...route, mode: 'tcp', listenPort: 2222, proxyProtocol: 'v2' },
        { ...route, mode: 'tcp', hostname: 'tcp:0', listenPort: 0 },
      ],
    })
    t.equal(agent.status().ports.size, 0)
    await reaches(agent, 'connected')
    t.strictSame([...agent.status().ports], [...ports].slice(0, 2))
    t.match(lines[1], {
      message: 'connected',
      tunnels: { 'app.example.com': ':3000', 'tcp:0': ':3000' },
      ports: { 'app.example.com': 2222, 'tcp:0': 30_017 },
    })
    t.equal(lines.length, 2)
    gateways[0]?.session.destroy()
    await reaches(agent, 'waiting')
    t.equal(agent.status().ports.size, 0)
  })

  t.test('says what an older gateway took no notice of', async (t) => {
    const { agent, lines } = start(t, {
      tunnels: [
        { ...route, mode: 'tcp', listenPort: 2222, proxyProtocol: 'v1' },
        { ...route, hostname: 'rpc.example.com', protocol: 'h2c' },
      ],
    })
    await reaches(agent, 'connected')
    t.match(lines.slice(2), [
      { message: /no public port/, hostname: 'app.example.com', listenPort: 2222 },
      { message: /too old for targets that speak HTTP\/2/, hostname: 'rpc.example.com' },
      { message: /PROXY headers/ },
    ])
  })

  t.test('ends when another one takes over, once its streams have ended', async (t) => {
    const { run, agent, gateways } = start(t)
    const failed = t.rejects(run, { code: 'CLIENT_REPLACED', message: /agent_id of its own/ })
    await reaches(agent, 'connected')
    const [gateway] = gateways as [FakeGateway]
    const stream = gateway.session.open()
    stream.on('error', () => {})
    stream.write(Buffer.from([1]))
    await until(() => agent.status().streams === 1)
    gateway.say({ type: 'replaced', session: 's-2' })
    await setImmediate()
    gateway.session.goAway()
    await reaches(agent, 'closing')
    t.equal(agent.status().streams, 1)
    stream.destroy()
    await failed
    t.equal(gateways.length, 1, 'it did not come back')
  })

  t.test('asks for a new token at each connection', async (t) => {
    let tokens = 0
    const heard: string[] = []
    const { agent, gateways } = start(t, {
      token: () => `token ${++tokens}`,
      onGateway: (gateway) =>
        gateway.on('message', (message) => {
          if (message.type === 'register') heard.push(message.token)
        }),
    })
    await reaches(agent, 'connected')
    gateways[0]?.session.destroy()
    await reaches(agent, 'waiting')
    t.clock.advance(1_000)
    await reaches(agent, 'connected')
    t.same(heard, ['token 1', 'token 2'])
  })

  t.test('tries again for ever, the first time too', async (t) => {
    let isUp = false
    const { agent, gateways, lines } = start(t, {
      onDial: () => {
        if (!isUp) throw new Error('connect ECONNREFUSED')
      },
    })
    const steady = [1_000, 1_000, 1_000, 1_000, 1_000]
    for (const delayMs of [...steady, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]) {
      await reaches(agent, 'waiting')
      t.match(lines.at(-2), { message: 'cannot connect', code: 'CLIENT_DIAL_FAILED' })
      t.match(lines.at(-2), { reason: /ECONNREFUSED/ })
      t.same(lines.at(-1), { message: 'next try', delayMs })
      t.clock.advance(delayMs - 1)
      t.equal(agent.status().state, 'waiting')
      t.clock.advance(1)
      await once(agent, 'state')
    }
    isUp = true
    await reaches(agent, 'waiting')
    t.clock.advance(15_000)
    await reaches(agent, 'connected')
    t.equal(gateways.length, 1)
  })

  t.test('comes back when the connection is lost, sooner after a minute up', async (t) => {
    const { agent, gateways, lines } = start(t)
    for (const [upMs, delayMs] of [
      [1_000, 1_000],
      [1_000, 1_000],
      [1_000, 1_000],
      [1_000, 1_000],
      [1_000, 1_000],
      [1_000, 2_000],
      [59_000, 4_000],
      [60_000, 1_000],
      [1_000, 1_000],
    ] as const) {
      await reaches(agent, 'connected')
      for (let ms = 0; ms < upMs; ms += 1_000) {
        t.clock.advance(1_000)
        gateways.at(-1)?.say({ type: 'ping', ts: ms })
        await setImmediate()
      }
      gateways.at(-1)?.session.destroy()
      await reaches(agent, 'waiting')
      t.match(lines.at(-2), { message: 'connection lost', code: 'CLIENT_GATEWAY_GONE' })
      t.same(lines.at(-1), { message: 'next try', delayMs })
      t.match(agent.status(), { session: undefined, lastError: { code: 'CLIENT_GATEWAY_GONE' } })
      t.clock.advance(delayMs)
    }
    await reaches(agent, 'connected')
  })

  t.test('finds a gateway dead that sends no heartbeat for 40 s', async (t) => {
    const { agent, lines } = start(t)
    await reaches(agent, 'connected')
    for (let ms = 0; ms < 41_000; ms += 1_000) await second(t)
    await reaches(agent, 'connected')
    t.match(lines[2], { message: 'connection lost', code: 'CLIENT_GATEWAY_SILENT' })
  })

  t.test('finds a line dead on which nothing comes, within 20 s, and dials at once', async (t) => {
    const { agent, ends, lines } = start(t)
    await reaches(agent, 'connected')
    for (let ms = 0; ms < 15_000; ms += 1_000) await second(t)
    ends[0]?.removeAllListeners('data') // what comes there is lost
    const before = lines.length
    for (let ms = 0; ms < 20_000; ms += 1_000) await second(t)
    await reaches(agent, 'connected')
    t.match(lines.slice(before), [
      { message: 'connection lost', code: 'CLIENT_GATEWAY_SILENT', reason: /ping/ },
      { message: 'connecting' },
      { message: 'connected' },
    ])
  })

  t.test('asks whether the gateway is there when the machine was asleep', async (t) => {
    for (const isThere of [true, false]) {
      const { agent, ends, lines, stop, run } = start(t)
      await reaches(agent, 'connected')
      await second(t)
      if (!isThere) ends[0]?.removeAllListeners('data') // what comes there is lost
      t.clock.travel(Date.now() + 20_000)
      for (let ms = 0; ms < 7_000; ms += 1_000) await second(t)
      await reaches(agent, 'connected')
      t.match(lines[2], { message: 'awake again', awaySec: 19 })
      const rest = [
        { message: 'connection lost', code: 'CLIENT_GATEWAY_SILENT', reason: /within 5 s/ },
        { message: 'connecting' },
        { message: 'connected' },
      ]
      t.match(lines.slice(3), isThere ? [] : rest)
      stop()
      await run
      t.clock.exit()
    }
  })

  t.test('does not wait on when the machine was asleep', async (t) => {
    let dials = 0
    const { agent } = start(t, {
      onDial: () => {
        dials += 1
        if (dials < 12) throw new Error('connect ENETUNREACH')
      },
    })
    for (let tries = 0; tries < 10; tries += 1) {
      await reaches(agent, 'waiting')
      t.clock.advance(15_000)
      await once(agent, 'state')
    }
    await reaches(agent, 'waiting')
    t.clock.travel(Date.now() + 60_000)
    t.clock.advance(1_000)
    await reaches(agent, 'connected')
  })

  t.test('ends at once when trying again can change nothing', async (t) => {
    for (const ack of [refusal('auth failed'), refusal('no', 'HOST_INVALID')]) {
      const { run, gateways, agent } = start(t, { acks: [ack] })
      await t.rejects(run, { code: 'CLIENT_REFUSED', refusal: { text: ack.error, isFinal: true } })
      t.equal(gateways.length, 1)
      t.match(agent.status(), { state: 'idle', lastError: { code: 'CLIENT_REFUSED' } })
    }
  })

  t.test('says of a bad token more than the gateway says', async (t) => {
    const tokenLife = { issuedAtSec: 0, expiresAtSec: 60 }
    const { run } = start(t, { tokenLife, acks: [refusal('auth failed', 'TOKEN_EXPIRED')] })
    await t.rejects(run, { code: 'CLIENT_REFUSED', message: /: the token has expired; get a new/ })
  })

  t.test('tries again with a token of its own that a wrong clock has made expire', async (t) => {
    const { agent, lines } = start(t, { acks: [refusal('auth failed', 'TOKEN_EXPIRED'), admitted] })
    await reaches(agent, 'waiting')
    t.match(lines.at(-2), { message: 'refused', code: 'TOKEN_EXPIRED', reason: /clocks/ })
    t.clock.advance(1_000)
    await reaches(agent, 'connected')
  })

  t.test('ends when the gateway has ended the session for good', async (t) => {
    const { agent, gateways, run } = start(t)
    await reaches(agent, 'connected')
    gateways[0]?.say({ type: 'end', code: 'TOKEN_REVOKED', error: 'revoked' })
    await t.rejects(run, {
      code: 'CLIENT_ENDED',
      message: /ended the session: the token has been revoked/,
      refusal: { code: 'TOKEN_REVOKED', isFinal: true },
    })
  })

  t.test('comes back when its token has expired, perhaps with a new one', async (t) => {
    const { agent, gateways, lines } = start(t)
    await reaches(agent, 'connected')
    gateways[0]?.say({ type: 'end', code: 'TOKEN_EXPIRED', error: 'expired' })
    await reaches(agent, 'waiting')
    t.match(lines.at(-2), { message: 'connection lost', code: 'TOKEN_EXPIRED' })
    t.clock.advance(1_000)
    await reaches(agent, 'connected')
  })

  t.test('warns once before a token ends that it cannot renew', async (t) => {
    const life = (sec: number) => {
      const issuedAtSec = Date.now() / 1000
      return { issuedAtSec, expiresAtSec: issuedAtSec + sec }
    }
    for (const [lifeSec, quietSec, leftSec] of [
      [60, 54, 6],
      [90 * 86_400, 89 * 86_400, 86_400],
    ] as const) {
      t.clock.enter()
      const { log, lines } = recorder()
      const stop = warnBeforeExpiry(life(lifeSec), log)
      t.clock.advance(quietSec * 1000 - 1)
      t.same(lines, [], 'not yet')
      t.clock.advance(1)
      t.match(lines, [{ message: /^the token expires soon/, leftSec }])
      t.clock.advance(lifeSec * 1000)
      t.equal(lines.length, 1)
      stop()
      t.clock.exit()
    }
    t.clock.enter()
    t.teardown(() => t.clock.exit())
    const { log, lines } = recorder()
    warnBeforeExpiry(life(-1), log)
    warnBeforeExpiry(life(1000), log)()
    t.clock.advance(2_000_000)
    t.same(lines, [], 'not of one that has ended, nor after it was stopped')
  })

  t.test('tries again while another holds its name', async (t) => {
    const taken = refusal('host already registered: app.example.com', 'HOST_TAKEN')
    const { agent, lines } = start(t, { acks: [taken, taken, admitted] })
    for (const delayMs of [1_000, 2_000]) {
      await reaches(agent, 'waiting')
      t.match(lines.at(-2), { message: 'refused', code: 'HOST_TAKEN', reason: taken.error })
      t.clock.advance(delayMs)
      await once(agent, 'state')
    }
    await reaches(agent, 'connected')
  })

  t.test('ends with what its token factory throws', async (t) => {
    const { run } = start(t, {
      token: () => {
        throw new Error('no secret')
      },
    })
    await t.rejects(run, { message: 'no secret' })
  })

  t.test('lets the streams of a gateway that leaves finish beside the next tunnel', async (t) => {
    const { agent, gateways, lines, stop, run } = start(t)
    await reaches(agent, 'connected')
    const [old] = gateways as [FakeGateway]
    const stream = old.session.open()
    stream.on('error', () => {})
    stream.write(Buffer.from([1])) // a preamble that takes its time
    await until(() => agent.status().streams === 1)
    old.session.goAway()
    await reaches(agent, 'waiting')
    t.same(lines.at(-2), { message: 'the gateway is leaving', upSec: 0, streams: 1 })
    t.clock.advance(1_000)
    await reaches(agent, 'connected')
    t.equal(gateways.length, 2)
    t.equal(agent.status().streams, 1)
    const ended = once(old.session, 'close')
    stream.end()
    stream.resume()
    await ended
    t.equal(agent.status().streams, 0)
    stop()
    await run
  })
})

t.test('several gateways are tried in turn', async (t) => {
  const dialled: string[] = []
  const reachable = new Set(['b', 'c'])
  const up: FakeGateway[] = []
  const gateways = ['a', 'b', 'c'].map((address) => ({
    address,
    proxy: address === 'b' ? 'http://proxy:3128' : undefined,
    dial: async () => {
      dialled.push(address)
      if (!reachable.has(address)) throw new Error(`${address} is away`)
      const [near, far] = duplexPair()
      up.push(new FakeGateway(far))
      return near
    },
  }))
  const { agent, lines } = start(t, { gateways })
  t.teardown(() => up.forEach((gateway) => void gateway.session.destroy()))

  await reaches(agent, 'connected')
  t.same(dialled, ['a', 'b'], 'the next one at once')
  t.match(lines, [
    { message: 'connecting', gateway: 'a' },
    { message: 'cannot connect', gateway: 'a', reason: /a is away/ },
    { message: 'connecting', gateway: 'b', proxy: 'http://proxy:3128' },
    { message: 'connected', gateway: 'b' },
  ])

  up[0]?.session.destroy()
  await reaches(agent, 'waiting')
  t.same(dialled.splice(0), ['a', 'b'], 'after a loss there is a pause')
  reachable.clear()
  t.clock.advance(1_000)
  await until(() => dialled.length === 3 && agent.status().state === 'waiting')
  t.same(dialled.splice(0), ['c', 'a', 'b'], 'all of them before the next pause')
  reachable.add('a')
  t.clock.advance(4_000)
  await reaches(agent, 'connected')
  t.same(dialled, ['c', 'a'])
})

t.test('the signal ends an agent', async (t) => {
  t.test('that has not started', async (t) => {
    const { run, gateways } = start(t, { signal: AbortSignal.abort() })
    await run
    t.equal(gateways.length, 0)
  })

  t.test('in its dial', async (t) => {
    const { run, stop, lines } = start(t, {
      dial: (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
    })
    stop()
    await run
    t.same(lines, [{ message: 'connecting' }])
  })

  t.test('in a dial that takes no notice', async (t) => {
    const [near, far] = duplexPair()
    far.on('error', () => {})
    const dialled = new EventTarget()
    const { run, stop } = start(t, {
      dial: () => new Promise((resolve) => dialled.addEventListener('go', () => resolve(near))),
    })
    stop()
    dialled.dispatchEvent(new Event('go'))
    await run
    t.ok(near.destroyed)
  })

  t.test('in its registration', async (t) => {
    const { run, stop, gateways } = start(t, { acks: [undefined] })
    await until(() => gateways.length === 1)
    await once(gateways[0] as FakeGateway, 'message')
    stop()
    await run
  })

  t.test('in its back-off', async (t) => {
    const { run, stop, agent } = start(t, {
      onDial: () => {
        throw new Error('connect ECONNREFUSED')
      },
    })
    await reaches(agent, 'waiting')
    stop()
    await run
  })

  t.test('while streams run, which are cut off after the grace period', async (t) => {
    const { run, stop, agent, gateways, lines } = start(t, { graceMs: 5_000 })
    await reaches(agent, 'connected')
    const stream = gateways[0]?.session.open()
    stream?.on('error', () => {})
    stream?.write(Buffer.from([1]))
    await until(() => agent.status().streams === 1)
    stop()
    await reaches(agent, 'closing')
    t.same(lines.at(-1), { message: 'closing', streams: 1, graceMs: 5_000 })
    t.clock.advance(4_999)
    await setImmediate()
    t.equal(agent.status().state, 'closing')
    t.equal(agent.status().streams, 1)
    t.clock.advance(1)
    await run
    t.equal(agent.status().streams, 0)
  })
})

t.test('an agent whose settings change', async (t) => {
  const other: Route = { ...route, hostname: 'other.example.com' }
  const ack: Ack = { ...admitted, capabilities: ['update', 'take-over'] }
  const updates = (gateway: FakeGateway, answer: KnownMessage) => {
    const heard: string[][] = []
    gateway.on('message', (message) => {
      if (message.type === 'register')
        heard.push((message.tunnels ?? []).map(({ hostname }) => hostname))
      if (message.type !== 'update') return
      heard.push(message.tunnels.map(({ hostname }) => hostname))
      gateway.say(answer)
    })
    return heard
  }
  const both = ['app.example.com', 'other.example.com']
  const done: KnownMessage = { type: 'updated', ok: true, ports: new Map([[both[1] ?? '', 2222]]) }

  t.test('has its tunnels changed by the gateway, and keeps its streams', async (t) => {
    const heard: string[][][] = []
    const { agent, connection, gateways, lines } = start(t, {
      acks: [ack],
      onGateway: (gateway) => heard.push(updates(gateway, done)),
    })
    await reaches(agent, 'connected')
    const stream = gateways[0]?.session.open()
    stream?.on('error', () => {})
    stream?.write(Buffer.from([1]))
    await until(() => agent.status().streams === 1)
    await agent.change({ connection, tunnels: [route, other] })
    t.same(heard, [[['app.example.com'], both]])
    t.match(agent.status(), { streams: 1, tunnels: [route, other] })
    t.strictSame([...agent.status().ports], [['other.example.com', 2222]])
    t.match(lines.at(-1), { message: 'tunnels changed', ports: { 'other.example.com': 2222 } })
    stream?.destroy()
  })

  t.test('goes on with the old ones where the gateway refuses', async (t) => {
    const refused: KnownMessage = { type: 'updated', ok: false, error: 'no', code: 'HOST_TAKEN' }
    const { agent, connection, gateways } = start(t, {
      acks: [ack],
      onGateway: (gateway) => void updates(gateway, refused),
    })
    await reaches(agent, 'connected')
    const change = agent.change({ connection, tunnels: [other] })
    await t.rejects(change, { code: 'CLIENT_REFUSED', refusal: { code: 'HOST_TAKEN' } })
    t.match(agent.status(), { state: 'connected', tunnels: [route] })
    t.equal(gateways.length, 1)
  })

  for (const [why, capabilities, isOther] of [
    ['the gateway knows no updates', ['take-over'], false],
    ['it is another connection', ['update', 'take-over'], true],
  ] as const) {
    t.test(`connects anew where ${why}, and lets streams end`, async (t) => {
      const heard: string[][][] = []
      const { agent, connection, gateways, lines } = start(t, {
        acks: [{ ...ack, capabilities }],
        onGateway: (gateway) => heard.push(updates(gateway, done)),
      })
      await reaches(agent, 'connected')
      const stream = gateways[0]?.session.open()
      stream?.on('error', () => {})
      stream?.write(Buffer.from([1]))
      await until(() => agent.status().streams === 1)
      const before = lines.length
      await agent.change({
        connection: isOther ? { ...connection } : connection,
        tunnels: [route, other],
      })
      await until(() => gateways.length === 2)
      await reaches(agent, 'connected')
      t.same(heard, [[['app.example.com']], [both]])
      t.equal(agent.status().streams, 1, 'of the session before')
      t.match(lines.slice(before), [
        { message: 'connecting anew, with other settings', streams: 1 },
        { message: 'connecting' },
        { message: 'connected' },
      ])
      stream?.destroy()
    })
  }

  t.test('does not wait on', async (t) => {
    let isUp = false
    const { agent, connection, gateways } = start(t, {
      acks: [ack],
      onDial: () => {
        if (!isUp) throw new Error('connect ECONNREFUSED')
      },
    })
    await reaches(agent, 'waiting')
    isUp = true
    await agent.change({ connection, tunnels: [other] })
    await reaches(agent, 'connected')
    t.equal(gateways.length, 1)
    t.match(agent.status(), { tunnels: [other] })
  })
})

interface StartOptions extends Partial<AgentOptions>, Partial<AgentConnection> {
  dial?: Dial
  gateway?: string
  /** Of one gateway after another; `undefined` is no answer. The last one stays. */
  acks?: (Ack | undefined)[]
  onDial?: () => void
  onGateway?: (gateway: FakeGateway) => void
  signal?: AbortSignal
}

/** A running agent that meets a new gateway at each dial, under a clock that stands still. */
function start(t: Test, options: StartOptions = {}) {
  t.clock.enter()
  const {
    acks = [admitted],
    onDial,
    onGateway,
    signal,
    gateway: address,
    token = () => 'the token',
    tokenLife,
    gateways: given = [{ dial: options.dial ?? dial, ...(address !== undefined && { address }) }],
    ...agentOptions
  } = options
  const { log, lines } = recorder()
  const gateways: FakeGateway[] = []
  const ends: Duplex[] = []
  const controller = new AbortController()
  const connection = { gateways: given, token, tokenLife }
  const agent = new Agent({
    ...{ connection, tunnels: [route], log },
    random: () => 0.5,
    ...agentOptions,
  })
  const run = agent.run(signal ?? controller.signal)
  t.teardown(async () => {
    controller.abort()
    for (const gateway of gateways) gateway.session.destroy()
    await run.catch(() => {})
    t.clock.exit()
  })
  return { agent, connection, gateways, ends, lines, run, stop: () => controller.abort() }

  async function dial(): Promise<Duplex> {
    onDial?.()
    const [near, far] = duplexPair()
    ends.push(far)
    const gateway = new FakeGateway(far, acks[Math.min(gateways.length, acks.length - 1)])
    gateways.push(gateway)
    onGateway?.(gateway)
    return near
  }
}

async function reaches(agent: Agent, state: AgentState): Promise<void> {
  while (agent.status().state !== state) await once(agent, 'state')
}

/** One second, with what it brings. */
async function second(t: Test): Promise<void> {
  t.clock.advance(1_000)
  await settle()
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await setImmediate()
}

function recorder() {
  const lines: Record<string, unknown>[] = []
  const write = (message: string, fields: LogFields = {}) => lines.push({ message, ...fields })
  const log: Logger = { debug: write, info: write, warn: write, error: write }
  return { log, lines }
}
