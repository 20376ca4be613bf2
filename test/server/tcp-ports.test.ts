import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { listen } from '../../src/net/listen.ts'
import { PreambleDecoder } from '../../src/protocol/preamble.ts'
import { MemoryRegistry } from '../../src/registry/memory-registry.ts'
import { Connections } from '../../src/server/edge/connections.ts'
import { Reception } from '../../src/server/edge/reception.ts'
import { TcpEdge } from '../../src/server/edge/tcp-edge.ts'
import { TcpPorts } from '../../src/server/edge/tcp-ports.ts'
import { Telemetry } from '../../src/server/telemetry/telemetry.ts'
import type { Route } from '../../src/server/upstream.ts'
import { RecordingLog } from '../certs/support.ts'
import { settle, until } from '../mux/turns.ts'
import { knock } from './edge-fixture.ts'
import { type FakeAgent, gateway } from './fake-agent.ts'

const host = '127.0.0.1'

/** Ports that nobody listens on, at least a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports = await Promise.all(servers.map((server) => listen(server, { port: 0, host })))
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports.map(({ port }) => port)
}

/** Ports for agents, of a gateway that agents register with; `opened` is called between opening and claim. */
function start(t: Test, allowed: readonly number[], opened?: () => Promise<void>) {
  const registry = new MemoryRegistry<Route>()
  const log = new RecordingLog()
  const connections = new Connections({ connections: 100, connectionsPerAddress: 100 })
  const reception = new Reception({ connections, trustedProxies: { matches: () => false }, log })
  const tcp = new TcpEdge({ telemetry: new Telemetry(), log })
  const ranges = allowed.map((port) => ({ min: port, max: port }))
  const ports = new TcpPorts({ allowed: ranges, bindAddress: host, registry, reception, tcp })
  t.teardown(() => {
    ports.closeAll()
    return connections.close(0)
  })
  const { connect } = gateway(t, {
    registry,
    ports: {
      async open(wanted) {
        const taken = await ports.open(wanted)
        await opened?.()
        return taken
      },
      close: (some) => ports.close(some),
    },
  })
  return {
    ...{ registry, ports, connections, log },
    async register(...tunnels: object[]) {
      const agent = connect()
      agent.register({ tunnels, capabilities: ['proxy-preamble', 'listen-port'] })
      return agent
    },
  }
}

function forPort(port: number, hostname = `tcp:${port}`): object {
  return { hostname, mode: 'tcp', target: ':1', listen_port: port }
}

async function ackOf(agent: FakeAgent): Promise<Record<string, unknown>> {
  await until('the ack', () => agent.messages.length > 0)
  return { ...agent.messages[0] }
}

/** Whether anybody listens there; who does may cut us off at once. */
async function isOpen(t: Test, port: number): Promise<boolean> {
  const { socket, error } = await knock(t, port)
  socket.destroy()
  return error?.code !== 'ECONNREFUSED'
}

/** A visitor who has come to the port and is at the agent by now. */
async function visit(t: Test, port: number, agent: FakeAgent) {
  const visitor = await knock(t, port)
  const stream = await agent.stream(agent.streams.length)
  const preamble = new PreambleDecoder()
  const arrived: Buffer[] = []
  let hostname: string | undefined
  stream.on('data', (chunk: Buffer) => {
    if (hostname !== undefined) arrived.push(chunk)
    const head = hostname === undefined ? preamble.push(chunk) : undefined
    if (head === undefined) return
    hostname = head.hostname
    arrived.push(head.rest)
  })
  visitor.socket.write('ping')
  await until('the bytes', () => Buffer.concat(arrived).toString() === 'ping')
  stream.write('pong')
  await visitor.have('pong')
  return { visitor, stream, hostname }
}

t.test('an agent asks for a port', async (t) => {
  const [port = 0] = await freePorts(1)
  const gateway = start(t, [port])
  const agent = await gateway.register(forPort(port))

  t.test('and is told that it has it', async (t) => {
    t.match(await ackOf(agent), { ok: true, hosts: [], ports: { [`tcp:${port}`]: port } })
    t.match((await agent.admitted).status().routes, [{ name: undefined, port, mode: 'tcp' }])
  })

  t.test('by which visitors come, without any TLS', async (t) => {
    const { visitor, stream, hostname } = await visit(t, port, agent)
    t.equal(hostname, `tcp:${port}`)
    visitor.socket.end()
    stream.end()
    await visitor.rest()
    await until('the line', () => gateway.log.count('connection') === 1)
    t.match(gateway.log.lines.at(-1)?.fields, { host: `tcp:${port}`, entrance: `tcp:${port}` })
  })

  t.test('which no other agent gets meanwhile', async (t) => {
    const other = await gateway.register(forPort(port, 'db.test'))
    const error = `port already taken: ${port}`
    t.match(await ackOf(other), { ok: false, error, code: 'PORT_TAKEN' })
    t.equal(gateway.registry.size, 1)
  })

  t.test('and which closes with its session', async (t) => {
    const { visitor } = await visit(t, port, agent)
    agent.transport.destroy()
    await visitor.rest()
    t.equal(visitor.error?.code, 'ECONNRESET')
    t.equal(await isOpen(t, port), false)
    const next = await gateway.register(forPort(port))
    t.match(await ackOf(next), { ok: true })
    await visit(t, port, next)
  })
})

t.test('a port may belong to a name as well', async (t) => {
  const [port = 0] = await freePorts(1)
  const { register, registry } = start(t, [port])
  const agent = await register(forPort(port, 'DB.test'))
  t.match(await ackOf(agent), { hosts: ['db.test'], ports: { 'DB.test': port } })
  t.equal((await visit(t, port, agent)).hostname, 'DB.test')
  t.same([...registry].map(({ name }) => name).sort(), ['db.test', `tcp:${port}`])
})

t.test('an agent that leaves has no port any more; its connections stay', async (t) => {
  const [port = 0] = await freePorts(1)
  const { register, registry } = start(t, [port])
  const agent = await register(forPort(port))
  await agent.admitted
  const { visitor, stream } = await visit(t, port, agent)
  agent.session.goAway()
  await until('the port is free', () => registry.size === 0)
  t.equal(await isOpen(t, port), false)
  stream.end(' and goodbye')
  visitor.socket.end()
  t.equal(await visitor.rest(), 'pong and goodbye')
})

t.test('0 is any port of those allowed', async (t) => {
  const allowed = (await freePorts(3)).sort()
  const { register } = start(t, allowed)
  const any = { mode: 'tcp', target: ':1', listen_port: 0 }
  const agent = await register(
    { ...any, hostname: 'a.test' },
    { ...any, hostname: 'tcp:0' },
    forPort(allowed[1] as number),
  )
  const { ports } = await ackOf(agent)
  const got = Object.values(ports as Record<string, number>).sort()
  t.same(got, allowed, 'each its own; one that was asked for by number goes to who asked')
  const next = await register({ ...any, hostname: 'b.test' })
  t.match(await ackOf(next), { error: 'no free port in range', code: 'PORT_TAKEN' })
})

t.test('another program has a port', async (t) => {
  const other = createServer()
  const { port } = await listen(other, { port: 0, host })
  t.teardown(() => other.close())
  const [free = 0] = await freePorts(1)
  const { register } = start(t, [port, free])
  t.test('which is refused, and may be asked for again', async (t) => {
    const agent = await register(forPort(port))
    t.match(await ackOf(agent), { error: `port already taken: ${port}`, code: 'PORT_TAKEN' })
  })
  t.test('and is passed over where any will do', async (t) => {
    const agent = await register(forPort(0))
    t.match(await ackOf(agent), { ports: { 'tcp:0': free } })
  })
})

t.test('refused: all of it, and nothing stays open', async (t) => {
  const [first = 0, second = 0, forbidden = 0] = await freePorts(3)
  const http = { hostname: 'app.test', mode: 'http', target: ':1' }
  const tls = { hostname: 'own.test', mode: 'tls', target: ':1' }
  const ssh = { hostname: 'ssh.test', mode: 'tcp', target: ':1', ssh: true }
  const notAllowed = { error: `port not allowed: ${forbidden}`, code: 'PORT_NOT_ALLOWED' }
  const misplaced = (what: string, mode: string) => ({
    error: `bad register message: ${what}, not ${mode}`,
    code: 'BAD_REGISTER',
  })
  const cases: [name: string, tunnels: object[], refusal: object][] = [
    ['a port that is not allowed', [forPort(first), forPort(forbidden)], notAllowed],
    [
      'a port twice in one registration',
      [forPort(first), forPort(second), forPort(first, 'b.test')],
      { error: `port already taken: ${first}`, code: 'PORT_TAKEN' },
    ],
    [
      'a name that is taken',
      [forPort(first), { ...http, hostname: 'taken.test' }],
      { error: 'host already registered: taken.test', code: 'HOST_TAKEN' },
    ],
    [
      'plain SSH that is taken',
      [forPort(first), ssh],
      { error: 'ssh tunnel already registered: ssh.test', code: 'SSH_TAKEN' },
    ],
    [
      'plain SSH twice in one registration',
      [ssh, { ...ssh, hostname: 'b.test' }],
      { error: 'ssh tunnel already registered: b.test', code: 'SSH_TAKEN' },
    ],
    [
      'a port in http mode',
      [{ ...http, listen_port: first }],
      misplaced('listen_port of app.test needs mode tcp', 'http'),
    ],
    [
      'plain SSH in tls mode',
      [{ ...tls, ssh: true }],
      misplaced('ssh of own.test needs mode tcp', 'tls'),
    ],
    [
      'ALPN in tls mode',
      [{ ...tls, alpn: ['x'] }],
      misplaced('alpn of own.test needs mode tcp', 'tls'),
    ],
    [
      'an idle timeout in http mode',
      [{ ...http, idle_timeout_sec: 5 }],
      misplaced('idle_timeout_sec of app.test needs mode tcp or tls', 'http'),
    ],
    [
      'the name of a port without the port',
      [{ hostname: `TCP:${first}`, mode: 'tcp', target: ':1' }],
      { error: `invalid hostname: TCP:${first}`, code: 'HOST_INVALID' },
    ],
  ]
  for (const [name, tunnels, refusal] of cases) {
    t.test(name, async (t) => {
      const { register, registry } = start(t, [first, second])
      const taken = { hostname: 'taken.test', mode: 'tcp', target: ':1', ssh: true }
      const holder = await register(taken)
      await holder.admitted
      const agent = await register(...tunnels)
      t.match(await ackOf(agent), { ok: false, ...refusal })
      t.equal(registry.size, 2)
      for (const port of [first, second]) t.equal(await isOpen(t, port), false)
    })
  }

  t.test('any port, where none is allowed', async (t) => {
    const { register } = start(t, [])
    const agent = await register(forPort(0))
    t.match(await ackOf(agent), { error: 'port not allowed: 0', code: 'PORT_NOT_ALLOWED' })
  })
})

t.test('while a port is being opened', async (t) => {
  const [port = 0] = await freePorts(1)

  const leaving: [name: string, leave: (agent: FakeAgent) => void][] = [
    ['its session may end: the port is closed again', (agent) => agent.transport.destroy()],
    ['its agent may say go-away: the same', (agent) => agent.session.goAway()],
  ]
  for (const [name, leave] of leaving) {
    t.test(name, async (t) => {
      const { register, registry } = start(t, [port], async () => {
        t.equal(await isOpen(t, port), true)
        leave(agent)
        await settle()
      })
      const agent = await register(forPort(port))
      await t.rejects(agent.admitted)
      t.equal(registry.size, 0)
      t.equal(await isOpen(t, port), false)
    })
  }

  t.test('the gateway may close all: nothing is left', async (t) => {
    const { ports, registry } = start(t, [port])
    const opening = ports.open([{ port }])
    ports.closeAll()
    await opening
    t.equal(await isOpen(t, port), false)
    t.equal(registry.size, 0)
  })

  t.test('another agent asks for it: the first one has it', async (t) => {
    const { register } = start(t, [port])
    const [first, second] = [await register(forPort(port)), await register(forPort(port))]
    t.match(await ackOf(second), { ok: false, code: 'PORT_TAKEN' })
    t.match(await ackOf(first), { ok: true })
    await visit(t, port, first)
  })

  t.test('a visitor who comes before the claim is reset', async (t) => {
    const { ports, connections } = start(t, [port])
    t.same(await ports.open([{ port }]), [port])
    const visitor = await knock(t, port)
    await visitor.rest()
    t.equal(visitor.error?.code, 'ECONNRESET')
    await until('its end', () => connections.openCount === 0)
  })
})
