import { EventEmitter, once } from 'node:events'
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import type { KeyAndChain } from '../../src/certs/issuer.ts'
import { listen } from '../../src/net/listen.ts'
import { splice } from '../../src/net/splice.ts'
import type { Mode } from '../../src/protocol/messages.ts'
import { MemoryRegistry } from '../../src/registry/memory-registry.ts'
import { Connections, type ConnectionsOptions } from '../../src/server/edge/connections.ts'
import { DepartedNames } from '../../src/server/edge/departed-names.ts'
import { type HttpOptions, HttpRedirector } from '../../src/server/edge/http.ts'
import { HttpsEdge, type HttpsOptions, type HttpsTimeouts } from '../../src/server/edge/https.ts'
import { createPublicPort } from '../../src/server/edge/public.ts'
import { Reception, type ReceptionOptions } from '../../src/server/edge/reception.ts'
import { TcpEdge } from '../../src/server/edge/tcp-edge.ts'
import { TcpPorts, type TcpPortsOptions } from '../../src/server/edge/tcp-ports.ts'
import { Telemetry } from '../../src/server/telemetry/telemetry.ts'
import type { Route, Upstream, Visitor } from '../../src/server/upstream.ts'
import { opensslPair, RecordingLog } from '../certs/support.ts'
import { until } from '../mux/turns.ts'
import { duplexPair } from '../support/duplex-pair.ts'

let pair: KeyAndChain | undefined

/** An edge on free ports of the loopback, without agents: routes lead to origins by a fake upstream. */
export async function startEdge(
  t: Test,
  { trustedProxies = noProxies, tcpPorts = [], ...limits }: Partial<EdgeOptions> = {},
  timeouts: Partial<HttpsTimeouts> = {},
  options: Partial<HttpsOptions> = {},
) {
  pair ??= opensslPair(t.testdir(), 'DNS:*.test,DNS:gateway.test')
  const certificate = pair
  const registry = new MemoryRegistry<Route>()
  const log = new RecordingLog()
  const telemetry = new Telemetry()
  const connections = new Connections({ connections: 100, connectionsPerAddress: 100, ...limits })
  const certificates = {
    certificateFor: async (name: string) =>
      name.endsWith('unknown.test') ? undefined : certificate,
    hasAtHand: async (name: string) => name === 'away.test',
    status: () => [],
    issuance: () => ({ issuer: undefined, ordering: 0, issued: 0, renewed: 0, failed: 0 }),
    close: async () => {},
  }
  const agents = createServer()
  const agentSockets: Socket[] = []
  agents.on('connection', (socket) => agentSockets.push(socket.on('error', () => {})))
  const names = { gatewayHost: 'gateway.test', tunnelHost: 'tunnel.test' }
  const departed = new DepartedNames(registry)
  const https = new HttpsEdge({
    ...{ registry, departed, gatewayHost: names.gatewayHost, telemetry, log },
    headerBytes: 16_384,
    headerLines: 100,
    http2: true,
    streamsPerConnection: 10,
    publicPort: () => 443,
    ...{ trustedProxies: noProxies, logQuery: false, minUploadRate: 100 },
    timeouts,
    ...options,
  })
  const reception = new Reception({ connections, trustedProxies, log })
  const tcp = new TcpEdge({ telemetry, log })
  const shared = { registry, reception, tcp }
  const ports = new TcpPorts({ ...shared, allowed: tcpPorts, bindAddress: '127.0.0.1' })
  const context = { ...shared, departed, certificates, connections, https, agents, log, ...names }
  const server = createPublicPort(context)
  const { port } = await listen(server, { port: 0, host: '127.0.0.1' })
  t.teardown(async () => {
    https.close()
    server.close()
    ports.closeAll()
    await connections.close(0)
    for (const socket of agentSockets) socket.destroy()
  })

  return {
    ...{ port, ports, registry, log, telemetry, connections, reception, https, agentSockets },
    /** Has the name lead to an origin. */
    route(name: string, upstream: Upstream, mode: Mode = 'http', more: Partial<Route> = {}): Route {
      const route = { name, key: name, mode, target: 'origin', holder: upstream, ...more }
      registry.claim([route])
      return route
    },
    visit: (name: string | undefined, options?: { ALPNProtocols: string[] }) =>
      visit(t, port, name, options),
    /** One request on a connection of its own, and all that comes back. */
    async ask(name: string, ...lines: string[]): Promise<string> {
      const visitor = await visit(t, port, name)
      visitor.say('GET / HTTP/1.1', `Host: ${name}`, 'Connection: close', ...lines)
      return visitor.rest()
    },
  }
}

type EdgeOptions = ConnectionsOptions &
  Pick<ReceptionOptions, 'trustedProxies'> & { readonly tcpPorts: TcpPortsOptions['allowed'] }

const noProxies: ReceptionOptions['trustedProxies'] = { matches: () => false }

export async function startRedirector(
  t: Test,
  publicPort: number,
  trustedProxies = noProxies,
  more: Partial<HttpOptions> = {},
) {
  const connections = new Connections({ connections: 3, connectionsPerAddress: 3 })
  const reception = new Reception({ connections, trustedProxies, log: new RecordingLog() })
  const server = new HttpRedirector({
    isKnown: (name) => name === 'app.test',
    hasOwnCertificate: () => false,
    publicPort: () => publicPort,
    headerLines: 100,
    reception,
    ...more,
  })
  const { port } = await listen(server, { port: 0, host: '127.0.0.1' })
  t.teardown(async () => {
    server.close()
    await connections.close(0)
  })
  return { port, server }
}

/** An upstream whose every stream is a plain Duplex, joined with a TCP connection to the origin. */
export class FakeUpstream implements Upstream {
  readonly id = 'fake'
  readonly opened: Visitor[] = []
  readonly streams: Duplex[] = []
  readonly #far: Duplex[] = []
  readonly #port: number

  constructor(origin: Server) {
    this.#port = (origin.address() as AddressInfo).port
  }

  open(_route: Route, visitor: Visitor): Duplex {
    const [near, far] = duplexPair()
    this.opened.push(visitor)
    this.streams.push(near)
    this.#far.push(far)
    void splice(far, dial(this.#port, '127.0.0.1'))
    return near
  }

  /** As if the target had sent it, on the stream of this index. */
  push(index: number, bytes: string): void {
    this.#far[index]?.write(bytes)
  }

  /** As if the target had closed. */
  end(index: number): void {
    this.#far[index]?.end()
  }
}

/** A TCP server that does with each connection what it is told. */
export async function startOrigin(t: Test, serve: (socket: Socket) => void): Promise<Server> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)))
    serve(socket)
  })
  await listen(server, { port: 0, host: '127.0.0.1' })
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return server
}

/** An origin that answers each request head with what `answer` makes of it, and reads no bodies. */
export function scripted(answer: (head: string, socket: Socket) => string | undefined) {
  return (socket: Socket) => {
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end)
        text = text.slice(end + 4)
        const response = answer(head, socket)
        if (response !== undefined) socket.write(response, 'latin1')
      }
    })
    socket.on('end', () => socket.end())
  }
}

/** What came over a connection, and how it ended. */
export class Client extends EventEmitter {
  readonly socket: Socket
  text = ''
  hasEnded = false
  error: NodeJS.ErrnoException | undefined

  constructor(socket: Socket) {
    super()
    this.socket = socket
    socket.on('data', (chunk) => (this.text += chunk.toString('latin1')))
    socket.on('end', () => (this.hasEnded = true))
    socket.on('error', (error) => (this.error = error))
  }

  /** A request's head. */
  say(...lines: string[]): void {
    this.socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  }

  get(path: string, host: string, ...lines: string[]): void {
    this.say(`GET ${path} HTTP/1.1`, `Host: ${host}`, ...lines)
  }

  /** All that has come, once it holds this. */
  async have(part: string | RegExp): Promise<string> {
    await until(`${part} in ${JSON.stringify(this.text.slice(-500))}`, () =>
      typeof part === 'string' ? this.text.includes(part) : part.test(this.text),
    )
    return this.text
  }

  /** All that came until the connection closed. */
  async rest(): Promise<string> {
    if (!this.socket.closed) await once(this.socket, 'close').catch(() => {})
    return this.text
  }
}

async function visit(
  t: Test,
  port: number,
  servername: string | undefined,
  options: { ALPNProtocols?: string[] } = {},
): Promise<Client & { socket: TLSSocket }> {
  const socket = connectTls({
    ...{ port, host: '127.0.0.1', rejectUnauthorized: false, ...options },
    ...(servername !== undefined && { servername }),
  })
  const client = new Client(socket)
  t.teardown(() => socket.destroy())
  await once(socket, 'secureConnect')
  return client as Client & { socket: TLSSocket }
}

/** A connection without TLS. */
export async function knock(t: Test, port: number): Promise<Client> {
  const socket = dial(port, '127.0.0.1')
  const client = new Client(socket)
  t.teardown(() => socket.destroy())
  await once(socket, 'connect').catch(() => {}) // reset at once: the client has the error
  return client
}
