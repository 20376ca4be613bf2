import { createServer, type Server, type Socket } from 'node:net'
import type { Logger } from '../log.ts'
import { TlsAcceptor } from '../transport/tls-acceptor.ts'
import type { CertificateSource } from './certificate-source.ts'
import type { Connections } from './edge/connections.ts'
import { LimitedLog } from './edge/limited-log.ts'
import type { Tunnels } from './tunnels.ts'

export interface AgentPortOptions {
  readonly certificates: CertificateSource
  /** Both canonical. */
  readonly gatewayHost: string
  readonly tunnelHost: string
  readonly tunnels: Tunnels
  /** Knows whose the connections are that come by the public port. */
  readonly connections: Connections
  readonly log: Logger
}

/** In ALPN: by this an agent may say what it is, whatever name it asks for. */
export const agentProtocol = 'gotunnel'

/** The port that agents connect to. Not listening yet; takes connections from elsewhere by `emit('connection', …)`. */
export function createAgentPort(options: AgentPortOptions): Server {
  const { certificates, gatewayHost, tunnelHost, tunnels, connections, log } = options
  const failures = new LimitedLog(log, 'info', 'TLS handshake failed')
  const remoteAddressOf = (socket: Socket) => connections.visitorOf(socket).remoteAddress
  const acceptor = new TlsAcceptor({
    // An agent that skips verification may ask for any name: that is no reason to make a certificate.
    certificateFor: async (name) => {
      const isOurs = name === tunnelHost || name === gatewayHost
      const shown = isOurs || (await certificates.hasAtHand(name)) ? name : tunnelHost
      return certificates.certificateFor(shown)
    },
    defaultName: tunnelHost,
    alpn: (_name, offered) => offered.find((protocol) => protocol === agentProtocol),
    onConnection: (socket) => tunnels.accept(socket, remoteAddressOf(socket)),
    remoteAddressOf,
    onError: (error, remoteAddress) => failures.write({ remoteAddress, reason: error.message }),
  })
  return createServer(
    { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 },
    (socket) => {
      if (tunnels.add(socket)) acceptor.emit('connection', socket)
    },
  )
}
