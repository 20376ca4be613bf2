import { once } from 'node:events'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import { Session } from '../../src/mux/index.ts'
import { PreambleDecoder } from '../../src/protocol/preamble.ts'
import { Gateway, type GatewayOptions } from '../../src/server/gateway.ts'
import { opensslPair, RecordingLog } from '../certs/support.ts'
import { until } from '../mux/turns.ts'
import { Client } from './edge-fixture.ts'
import { testSecret, token } from './fake-agent.ts'

/** Options for free ports of the loopback, with a certificate for everything. */
export function options(t: Test, some: Partial<GatewayOptions>) {
  const pair = opensslPair(t.testdir(), 'DNS:tunnel.test,DNS:*.test')
  const log = new RecordingLog()
  let gate = (_name: string) => false
  const options: GatewayOptions = {
    ...{ version: '1.2.3', gatewayHost: 'gateway.test', tunnelHost: 'tunnel.test' },
    ...{ gatewayPort: 0, tunnelPort: 0, httpPort: 0, dashboardPort: 0 },
    ...{ bindAddress: '127.0.0.1', dashboardBind: '127.0.0.1' },
    ...{ jwtSecrets: [testSecret], shutdownGraceMs: 1_000, http2: true, log },
    certificates: (decide) => {
      gate = decide
      return {
        certificateFor: async () => pair,
        hasAtHand: async () => false,
        status: () => [],
        issuance: () => ({ issuer: undefined, ordering: 0, issued: 0, renewed: 0, failed: 0 }),
        close: async () => {},
      }
    },
    ...some,
  }
  return { options, log, decide: (name: string) => gate(name) }
}

export async function start(t: Test, some: Partial<GatewayOptions> = {}) {
  const { options: all, ...rest } = options(t, some)
  const gateway = new Gateway(all)
  await gateway.start()
  t.teardown(() => gateway.close())
  const visit = async (servername: string) => {
    const port = gateway.addresses.public?.port ?? 0
    const socket = connectTls({ port, host: '127.0.0.1', servername, rejectUnauthorized: false })
    const client = new Client(socket)
    t.teardown(() => socket.destroy())
    await once(socket, 'secureConnect')
    return client
  }
  return { gateway, visit, ...rest }
}

/** An agent over TLS, whose targets are what `serve` makes of a request's head. */
export async function connectAgent(t: Test, port = 0, hello: object = {}) {
  const socket: TLSSocket = connectTls({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ...hello,
  })
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  await once(socket, 'secureConnect')
  const session = new Session(socket, { role: 'client', pingIntervalMs: 0 })
  const agent = {
    ...{ socket, session },
    streams: [] as ReturnType<Session['open']>[],
    serve: (_head: string): string | undefined => undefined,
    messages: [] as { readonly type: string }[],
    async register(
      routes: Record<string, string>,
      tunnels?: object[],
      more: object = {},
    ): Promise<unknown> {
      const control = session.open()
      control.on('error', () => {})
      control.on('data', (chunk: Buffer) => {
        const lines = chunk.toString().trimEnd().split('\n')
        agent.messages.push(...lines.map((line) => JSON.parse(line)))
      })
      const register = { type: 'register', token: token(), routes, tunnels, ...more }
      control.write(`${JSON.stringify(register)}\n`)
      await once(control, 'data')
      agent.control = control
      return agent.messages[0]
    },
    control: undefined as ReturnType<Session['open']> | undefined,
    /** The answer to an `update`. */
    async update(tunnels: object[]): Promise<unknown> {
      const heard = agent.messages.length
      agent.control?.write(`${JSON.stringify({ type: 'update', tunnels })}\n`)
      await until('the answer', () => agent.messages.length > heard)
      return agent.messages.at(-1)
    },
  }
  session.on('stream', (stream) => {
    agent.streams.push(stream)
    stream.on('error', () => {})
    const preamble = new PreambleDecoder()
    let head: string | undefined
    stream.on('data', (chunk: Buffer) => {
      if (head === undefined) head = preamble.push(chunk)?.rest.toString('latin1')
      else head += chunk.toString('latin1')
      if (!head?.includes('\r\n\r\n')) return
      const response = agent.serve(head)
      head = ''
      if (response !== undefined) stream.write(response)
    })
  })
  return agent
}
