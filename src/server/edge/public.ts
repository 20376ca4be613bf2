import { createServer, type Server, type Socket } from 'node:net'
import type { Logger } from '../../log.ts'
import { type ClientHello, readClientHello } from '../../net/client-hello.ts'
import { canonicalHostname } from '../../net/hostname.ts'
import { peek } from '../../net/peek.ts'
import type { Registry } from '../../registry/registry.ts'
import { createTlsAcceptor } from '../../transport/tls-acceptor.ts'
import { agentProtocol } from '../agent-port.ts'
import type { CertificateSource } from '../certificate-source.ts'
import type { Route } from '../upstream.ts'
import type { Connections } from './connections.ts'
import type { Counters } from './counters.ts'
import { plainResponse, sayAndClose, unrecognizedName } from './farewell.ts'
import type { HttpsEdge } from './https.ts'
import { LimitedLog } from './limited-log.ts'
import { forwardTcp } from './tcp.ts'
import { remoteAddressOf } from './visitor.ts'

export interface PublicOptions {
  readonly registry: Registry<Route>
  readonly certificates: CertificateSource
  /** Both canonical. */
  readonly gatewayHost: string
  readonly tunnelHost: string
  readonly connections: Connections
  readonly counters: Counters
  readonly https: HttpsEdge
  /** The agents' port: takes an agent's connection as if it had come there. */
  readonly agents: Server
  readonly log: Logger
}

/** A ClientHello has some 2 KiB at most, a TLS record 16. */
const helloLimits = { limitBytes: 16_384, timeoutMs: 10_000 }

/**
 * The public port. Reads the ClientHello, and by the name in it sends each connection, with every byte
 * still in it, where it belongs:
 *
 *     TUNNEL_HOST, or ALPN `gotunnel`    an agent
 *     GATEWAY_HOST, or no name at all    TLS → https: the gateway's own page
 *     a name with an http route          TLS → https → a stream for its requests
 *     a name with a tcp route            TLS → spliced with a stream
 *     a name without                     TLS → https: 404, if a certificate is at hand; else an alert
 *     no TLS                             a plain 400
 *
 * Not listening yet.
 */
export function createPublicPort(options: PublicOptions): Server {
  const { certificates, connections, gatewayHost, https, log } = options
  const failures = new LimitedLog(log, 'info', 'TLS handshake failed')
  const tls = {
    certificateFor: (name: string) => certificates.certificateFor(name),
    defaultName: gatewayHost,
    onError: (error: Error, remoteAddress: string) => {
      failures.write({ remoteAddress, reason: error.message })
    },
  }
  const doors: Doors = {
    http: createTlsAcceptor({
      ...tls,
      alpn: (_name, offered) => https.chooseProtocol(offered),
      onConnection: (socket, name) => https.accept(socket, name),
    }),
    // Without ALPN: what the target speaks, only the visitor knows.
    tcp: createTlsAcceptor({
      ...tls,
      onConnection: (socket, name) => void forwardTcp(socket, name, options),
    }),
    unknownNames: new LimitedLog(log, 'info', 'no tunnel for host'),
  }
  const socketOptions = { allowHalfOpen: true, noDelay: true, keepAlive: true }
  return createServer({ ...socketOptions, keepAliveInitialDelay: 60_000 }, (socket) => {
    if (!connections.add(socket)) return
    socket.on('error', () => {}) // its close says the same
    peek(socket, wholeHello, helloLimits)
      .then((hello) => route(socket, hello, doors, options))
      .catch(() => socket.destroy()) // too slow, too long, or gone
  })
}

interface Doors {
  readonly http: Server
  readonly tcp: Server
  readonly unknownNames: LimitedLog
}

async function route(
  socket: Socket,
  hello: WholeHello,
  doors: Doors,
  options: PublicOptions,
): Promise<void> {
  const { registry, certificates, gatewayHost, tunnelHost, connections, agents } = options
  if (hello.kind !== 'hello') {
    sayAndClose(socket, hello.kind === 'not-tls' ? notTls(gatewayHost) : '')
    return
  }
  const { serverName = gatewayHost, alpn } = hello
  const name = serverName.includes(':') ? undefined : canonicalHostname(serverName)
  const isAgent = alpn.includes(agentProtocol) || (name === tunnelHost && name !== gatewayHost)
  const mode = name === undefined ? undefined : registry.lookup(name)?.mode
  if (isAgent) {
    connections.release(socket)
    agents.emit('connection', socket)
  } else if (mode === 'tcp') doors.tcp.emit('connection', socket)
  else if (mode === 'http' || name === gatewayHost) doors.http.emit('connection', socket)
  else if (name !== undefined && (await certificates.hasAtHand(name))) {
    doors.http.emit('connection', socket)
  } else {
    const remoteAddress = remoteAddressOf(socket)
    doors.unknownNames.write({ host: serverName.slice(0, longestName), remoteAddress })
    sayAndClose(socket, unrecognizedName)
  }
}

/** For the log: it is a stranger's text. */
const longestName = 253

type WholeHello = Exclude<ClientHello, { kind: 'partial' }>

function wholeHello(bytes: Buffer): WholeHello | undefined {
  const hello = readClientHello(bytes)
  return hello.kind === 'partial' ? undefined : hello
}

function notTls(gatewayHost: string): string {
  return plainResponse(
    400,
    `this port speaks TLS only: use https://, as in https://${gatewayHost}/\n`,
  )
}
