import { createHmac } from 'node:crypto'
import { on, once } from 'node:events'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { connect, createServer, type Server, type TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import { DevelopmentIssuer } from '../../src/certs/development-issuer.ts'
import { type MuxStream, Session } from '../../src/mux/index.ts'
import {
  type Destination,
  type Gateway,
  sharedSecret,
  temporaryDirectory,
  tunnelHost,
} from '../support/programs.ts'
import { listen } from './targets.ts'

/*
 * An agent and a gateway as the Go program has them, from the wire's description: messages and
 * preambles are written and read by hand here, with nothing of src/protocol between, and nothing that
 * the Go program does not know.
 */

/** `{iss, iat, exp}`, as a Go agent signs it; the parts can be others. */
export function goToken({
  header = '{"alg":"HS256","typ":"JWT"}',
  expireSec = 3600,
  secret = sharedSecret,
  hash = 'sha256',
} = {}): string {
  const nowSec = Math.floor(Date.now() / 1000)
  const payload = `{"exp":${nowSec + expireSec},"iat":${nowSec},"iss":"go"}`
  const signed = [header, payload].map((part) => Buffer.from(part).toString('base64url')).join('.')
  return `${signed}.${createHmac(hash, secret).update(signed).digest('base64url')}`
}

/** A message as Go's encoding/json writes it. */
export function registerLine(
  routes: Readonly<Record<string, string>>,
  { token = goToken(), modes = {} as Readonly<Record<string, string>> } = {},
): string {
  return `${JSON.stringify({ type: 'register', token, routes, ...(Object.keys(modes).length > 0 && { modes }) })}\n`
}

/** The agent's side of a TLS connection to the tunnel port, with its control stream open. */
export class GoAgent {
  readonly session: Session
  readonly control: MuxStream
  /** However the connection ended. */
  readonly closed: Promise<unknown>
  readonly #lines: AsyncIterator<string>

  private constructor(transport: TLSSocket) {
    this.session = new Session(transport, { role: 'client' })
    this.control = this.session.open()
    this.control.on('error', () => {})
    this.closed = new Promise((resolve) => transport.once('close', resolve))
    this.#lines = linesOf(this.control)
  }

  static async connect(t: Test, { ports, ca }: Gateway): Promise<GoAgent> {
    return new GoAgent(await dialTunnelPort(t, { ports, ca }))
  }

  /** The next message of the gateway, without its '\n'; undefined once it has ended the stream. */
  async line(): Promise<string | undefined> {
    const { value, done } = await this.#lines.next()
    return done ? undefined : value
  }

  /** Serves every stream from the target for its name: dials, and copies both ways. Tells the preambles. */
  serve(targets: Readonly<Record<string, number>>): Buffer[] {
    const preambles: Buffer[] = []
    this.session.on('stream', async (stream) => {
      stream.on('error', () => {})
      const head = await bytesOf(stream, 3)
      const name = await bytesOf(stream, head.readUInt16BE(1))
      preambles.push(Buffer.concat([head, name]))
      const port = targets[name.toString()]
      if (port === undefined) throw new Error(`no target for ${name}`)
      const target = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true })
      target.on('error', () => stream.destroy())
      stream.pipe(target).pipe(stream)
    })
    return preambles
  }
}

export async function dialTunnelPort(
  t: Test,
  { ports, ca }: Pick<Gateway, 'ports' | 'ca'>,
): Promise<TLSSocket> {
  const options = { host: '127.0.0.1', port: ports.tunnel, servername: tunnelHost, ca }
  const socket = connect(options)
  t.teardown(() => socket.destroy())
  await once(socket, 'secureConnect')
  socket.on('error', () => {})
  return socket
}

/** A gateway for one agent at a time; what it answers to a `register`, the test decides. */
export class GoGateway {
  readonly destination: Destination
  readonly #connections: AsyncIterator<TLSSocket[]>

  private constructor(destination: Destination, server: Server) {
    this.destination = destination
    this.#connections = on(server, 'secureConnection')
  }

  static async start(t: Test): Promise<GoGateway> {
    const directory = temporaryDirectory(t)
    const log = { debug() {}, info() {}, warn() {}, error() {} }
    const issuer = await DevelopmentIssuer.load({ directory, log })
    const { key, chain } = await issuer.issue(tunnelHost)
    const server = createServer({ key, cert: chain })
    server.on('secureConnection', (socket) => socket.on('error', () => {}))
    const ports = { tunnel: await listen(t, server) }
    return new GoGateway({ ports, caFile: issuer.caPath, directory }, server)
  }

  /** The next agent that connects. */
  async agent(): Promise<GatewaySession> {
    const { value } = await this.#connections.next()
    return new GatewaySession(value[0])
  }
}

/** What a Go gateway does with one agent. */
export class GatewaySession {
  readonly session: Session
  readonly #control: Promise<{ stream: MuxStream; lines: AsyncIterator<string> }>

  constructor(transport: TLSSocket) {
    this.session = new Session(transport, { role: 'server' })
    this.#control = once(this.session, 'stream').then(([stream]: MuxStream[]) => {
      if (stream === undefined) throw new Error('no stream')
      stream.on('error', () => {})
      return { stream, lines: linesOf(stream) }
    })
  }

  async line(): Promise<string> {
    return (await (await this.#control).lines.next()).value
  }

  async say(line: string): Promise<void> {
    ;(await this.#control).stream.write(`${line}\n`)
  }

  /** A request, and the answer to it: its status, and its body, which must have a Content-Length. */
  async request(hostname: string, request: string): Promise<[status: string, body: string]> {
    let heard = ''
    for await (const chunk of this.#exchange(hostname, request)) {
      heard += chunk
      const [, status = '', bytes = ''] =
        /^HTTP\/1\.1 (\d+).*\r\ncontent-length: (\d+)/is.exec(heard) ?? []
      const body = heard.split('\r\n\r\n')[1]
      if (bytes !== '' && body?.length === Number(bytes)) return [status, body]
    }
    throw new Error(`no answer to ${request}, but: ${heard}`)
  }

  /** What comes back for the text, to the end. */
  async exchange(hostname: string, sent: string): Promise<string> {
    return Buffer.concat(await this.#exchange(hostname, sent).toArray()).toString()
  }

  /** One stream: preamble, what is sent, FIN. */
  #exchange(hostname: string, sent: string): MuxStream {
    const stream = this.session.open()
    stream.write(Buffer.from([1, hostname.length >> 8, hostname.length & 0xff]))
    stream.write(hostname)
    stream.end(sent)
    return stream
  }
}

async function* linesOf(stream: Duplex): AsyncGenerator<string, void> {
  let text = ''
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    text += chunk
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      yield text.slice(0, end)
      text = text.slice(end + 1)
    }
  }
}

/** As many bytes, and no more. */
async function bytesOf(stream: Duplex, length: number): Promise<Buffer> {
  for (;;) {
    const bytes = stream.read(length) as Buffer | null
    if (bytes !== null) return bytes
    await once(stream, 'readable')
  }
}
