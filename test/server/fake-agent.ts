import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import { signToken } from '../../src/auth/jwt.ts'
import { type MuxStream, Session } from '../../src/mux/index.ts'
import { MemoryRegistry } from '../../src/registry/memory-registry.ts'
import { type AdmissionOptions, admit } from '../../src/server/admission.ts'
import type { Tunnel } from '../../src/server/tunnel.ts'
import type { Route } from '../../src/server/upstream.ts'
import { until } from '../mux/turns.ts'
import { duplexPair } from '../support/duplex-pair.ts'

export const testSecret = 'an-admission-test-secret-of-40-characters'

/** An admission with a registry, to which agents connect over a pair. */
export function gateway(t: Test, options: Partial<AdmissionOptions> = {}) {
  const registry = new MemoryRegistry<Route>()
  const connect = ({ opensControl = true } = {}) => {
    const [near, far] = duplexPair()
    const ended: unknown[] = []
    const server = new Session(near, { role: 'server', pingIntervalMs: 0 })
    const admitted = admit(server, {
      registry,
      ports: { open: async () => [], close: () => {} },
      jwtSecrets: [testSecret],
      ownNames: ['gateway.test', 'tunnel.test'],
      remoteAddress: '203.0.113.9',
      onStart: () => {},
      onEnd: (_tunnel, reason) => ended.push(reason),
      ...options,
    })
    admitted.catch(() => {}) // a test that waits for it has it still
    const agent = new FakeAgent(far, admitted, ended, opensControl)
    t.teardown(() => {
      for (const session of [server, agent.session]) session.destroy()
      for (const end of [near, far]) end.destroy()
    })
    return agent
  }
  return { registry, connect }
}

/** The agent's end of a pair, as little of it as a test needs. */
export class FakeAgent {
  readonly session: Session
  readonly transport: Duplex
  readonly admitted: Promise<Tunnel>
  readonly ended: unknown[]
  readonly messages: { type: string }[] = []
  readonly streams: MuxStream[] = []
  answersPings = false
  #control: MuxStream | undefined

  constructor(
    transport: Duplex,
    admitted: Promise<Tunnel>,
    ended: unknown[],
    opensControl: boolean,
  ) {
    this.transport = transport
    this.admitted = admitted
    this.ended = ended
    this.session = new Session(transport, { role: 'client', pingIntervalMs: 0 })
    this.session.on('stream', (stream) => {
      stream.on('error', () => {})
      this.streams.push(stream)
    })
    if (opensControl) this.#open()
  }

  get control(): MuxStream {
    return this.#control as MuxStream
  }

  register(message: object): void {
    const full = { type: 'register', token: token(), ...message }
    this.control.write(`${JSON.stringify(full)}\n`)
  }

  pings(): number {
    return this.messages.filter(({ type }) => type === 'ping').length
  }

  async stream(index: number): Promise<MuxStream> {
    await until(`stream ${index}`, () => this.streams.length > index)
    return this.streams[index] as MuxStream
  }

  #open(): void {
    const control = this.session.open()
    this.#control = control
    let text = ''
    control.on('error', () => {})
    control.on('data', (chunk: Buffer) => {
      text += chunk
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const message = JSON.parse(text.slice(0, end))
        text = text.slice(end + 1)
        this.messages.push(message)
        if (message.type === 'ping' && this.answersPings) {
          control.write(`${JSON.stringify({ type: 'pong', ts: message.ts })}\n`)
        }
      }
    })
  }
}

export function token(options: Partial<Parameters<typeof signToken>[0]> = {}): string {
  return signToken({ secret: testSecret, issuer: 'test', expireSec: 3_600, ...options })
}

export async function bytesOf(stream: Duplex, length: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  const keep = (chunk: Buffer) => {
    chunks.push(chunk)
    size += chunk.length
  }
  stream.on('data', keep)
  await until(`${length} bytes`, () => size >= length)
  stream.off('data', keep)
  return Buffer.concat(chunks)
}
