import { createServer, type Server, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Logger } from '../../log.ts'
import type { Hello } from '../../net/client-hello.ts'
import { canonicalHostname } from '../../net/hostname.ts'
import { peek } from '../../net/peek.ts'
import { reset } from '../../net/reset.ts'
import type { Registry } from '../../registry/registry.ts'
import { TlsAcceptor } from '../../transport/tls-acceptor.ts'
import { agentProtocol } from '../agent-port.ts'
import type { CertificateSource, ChallengeSource } from '../certificate-source.ts'
import { sshName } from '../claims.ts'
import type { Route, Visitor } from '../upstream.ts'
import type { Connections } from './connections.ts'
import type { DepartedNames } from './departed-names.ts'
import { decodeError, plainResponse, sayAndClose, unrecognizedName } from './farewell.ts'
import { type FirstWords, readFirstWords } from './first-words.ts'
import type { HttpsEdge } from './https.ts'
import { LimitedLog } from './limited-log.ts'
import { type Reception, visitorSocketOptions } from './reception.ts'
import type { TcpEdge } from './tcp-edge.ts'

export interface PublicOptions {
  readonly registry: Registry<Route>
  readonly departed: DepartedNames
  readonly certificates: CertificateSource
  readonly challenges?: ChallengeSource | undefined
  /** Both canonical. */
  readonly gatewayHost: string
  readonly tunnelHost: string
  readonly reception: Reception
  readonly connections: Connections
  readonly https: HttpsEdge
  readonly tcp: TcpEdge
  /** The agents' port: takes an agent's connection as if it had come there. */
  readonly agents: Server
  readonly log: Logger
}

/** A ClientHello has some 2 KiB at most, a TLS record 16. */
const peekLimits = { limitBytes: 16_384, timeoutMs: 10_000 }

/** Who says nothing for so long waits for the server to speak: no client of TLS or HTTP does. */
const silenceMs = 2_000

/**
 * The public port. Reads the first bytes of a connection, and sends it with every one of them still in
 * it to where it belongs:
 *
 *     TLS, with ALPN `acme-tls/1` alone                ends here: a CA looks whether the name leads to us
 *          for TUNNEL_HOST, or with ALPN `gotunnel`    an agent
 *          for GATEWAY_HOST, or for no name at all     ends here → https: the gateway's own page
 *          for a name with an http route               ends here → https → a stream for its requests
 *          for a name with a tcp route                 ends here → spliced with a stream
 *          for a name with a tls route                 spliced with a stream as it is
 *          for a name without                          https: 404, if it is for http and a certificate
 *                                                      is at hand; else an alert
 *     `SSH-`, or silence                               spliced with a stream of the route for plain SSH
 *     anything else                                    a plain 400
 *
 * Not listening yet.
 */
export function createPublicPort(options: PublicOptions): Server {
  return new PublicPort(options).server
}

class PublicPort {
  readonly server = createServer(visitorSocketOptions, (socket) => this.#receive(socket))
  readonly #options: PublicOptions
  readonly #limits = {
    ...peekLimits,
    silence: { afterMs: silenceMs, decide: () => this.#onSilence() },
  }
  readonly #http: TlsAcceptor
  readonly #tcp: TlsAcceptor
  readonly #tcpWithAlpn: TlsAcceptor
  readonly #challenge: TlsAcceptor
  readonly #notServed: LimitedLog

  constructor(options: PublicOptions) {
    const { certificates, challenges, gatewayHost, registry, connections, https, log } = options
    const failures = new LimitedLog(log, 'info', 'TLS handshake failed')
    const tls = {
      certificateFor: (name: string) => certificates.certificateFor(name),
      defaultName: gatewayHost,
      remoteAddressOf: (socket: Socket) => connections.visitorOf(socket).remoteAddress,
      onError: (error: Error, remoteAddress: string) => {
        failures.write({ remoteAddress, reason: error.message })
      },
    }
    const onConnection = (socket: TLSSocket, name: string) => this.#forwardTcp(socket, name)
    this.#options = options
    this.#http = new TlsAcceptor({
      ...tls,
      alpn: (_name, offered) => https.chooseProtocol(offered),
      onConnection: (socket, name) => https.accept(socket, name, connections.visitorOf(socket)),
    })
    this.#tcp = new TlsAcceptor({ ...tls, onConnection })
    this.#tcpWithAlpn = new TlsAcceptor({
      ...tls,
      alpn: (name, offered) => registry.lookup(name)?.alpn?.find((own) => offered.includes(own)),
      onConnection,
    })
    // RFC 8737: all there is to say is in the certificate.
    this.#challenge = new TlsAcceptor({
      ...tls,
      certificateFor: async (name) => challenges?.tlsAnswer(name),
      alpn: () => challengeProtocol,
      onConnection: (socket) => socket.on('error', () => {}).end(),
    })
    this.#notServed = new LimitedLog(log, 'info', 'no tunnel for host')
  }

  #receive(socket: Socket): void {
    this.#options.reception.receive(socket, (visitor) => {
      peek(socket, readFirstWords, this.#limits)
        .then((words) => this.#route(socket, words, visitor))
        .catch(() => socket.destroy()) // too slow, too long, or gone
    })
  }

  #onSilence(): FirstWords | undefined {
    return this.#options.registry.lookup(sshName) && { kind: 'ssh' }
  }

  async #route(socket: Socket, words: FirstWords, visitor: Visitor): Promise<void> {
    if (words.kind === 'hello') await this.#routeByName(socket, words, visitor)
    else if (words.kind === 'ssh') this.#forwardSsh(socket, visitor)
    else if (words.kind === 'malformed') sayAndClose(socket, decodeError)
    else sayAndClose(socket, notTls(this.#options.gatewayHost))
  }

  async #routeByName(socket: Socket, hello: Hello, visitor: Visitor): Promise<void> {
    const { registry, challenges, gatewayHost, tunnelHost, tcp } = this.#options
    const { serverName = gatewayHost, alpn } = hello
    const name = serverName.includes(':') ? undefined : canonicalHostname(serverName)
    const isAgent = alpn.includes(agentProtocol) || (name === tunnelHost && name !== gatewayHost)
    const route = name === undefined ? undefined : registry.lookup(name)
    const isChallenge = alpn.length === 1 && alpn[0] === challengeProtocol && route?.mode !== 'tls'
    if (isChallenge && name !== undefined && challenges?.tlsAnswer(name)) {
      this.#challenge.accept(socket, hello)
    } else if (isAgent) this.#handToAgents(socket)
    else if (route?.mode === 'tls') void tcp.forward(socket, route, visitor)
    else if (route?.mode === 'tcp') this.#tcpDoor(route).accept(socket, hello)
    else if (route?.mode === 'http' || name === gatewayHost) this.#http.accept(socket, hello)
    else if (name !== undefined && (await this.#canShowPage(name, alpn))) {
      this.#http.accept(socket, hello)
    } else {
      this.#logNotServed(serverName, visitor)
      sayAndClose(socket, unrecognizedName)
    }
  }

  #handToAgents(socket: Socket): void {
    const { connections, agents } = this.#options
    connections.release(socket)
    agents.emit('connection', socket)
  }

  /** ALPN is only answered where the tunnel says what its target speaks. */
  #tcpDoor({ alpn }: Route): TlsAcceptor {
    return alpn === undefined ? this.#tcp : this.#tcpWithAlpn
  }

  /** Whether a visitor of a name that nobody holds can be told so by a page: else an alert has to do. */
  async #canShowPage(name: string, alpn: readonly string[]): Promise<boolean> {
    const { departed, certificates } = this.#options
    return departed.speakHttp(name, alpn) && certificates.hasAtHand(name)
  }

  #forwardTcp(socket: TLSSocket, name: string): void {
    const { registry, connections, tcp } = this.#options
    const visitor = connections.visitorOf(socket)
    const route = registry.lookup(name)
    if (route?.mode === 'tcp') {
      void tcp.forward(socket, route, visitor)
      return
    }
    // Its agent left during the handshake.
    this.#logNotServed(name, visitor)
    socket.on('error', () => {})
    reset(socket, new Error(`nobody holds ${name} any more`))
  }

  #forwardSsh(socket: Socket, visitor: Visitor): void {
    const { registry, tcp } = this.#options
    const route = registry.lookup(sshName)
    if (route !== undefined) {
      void tcp.forward(socket, route, visitor)
      return
    }
    this.#logNotServed(sshName, visitor)
    sayAndClose(socket, noSsh)
  }

  #logNotServed(host: string, { remoteAddress }: Visitor): void {
    this.#notServed.write({ host: host.slice(0, longestName), remoteAddress })
  }
}

/** RFC 8737 §6.2 */
const challengeProtocol = 'acme-tls/1'

/** For the log: it is a stranger's text. */
const longestName = 253

function notTls(gatewayHost: string): string {
  return plainResponse(
    400,
    `this port speaks TLS only: use https://, as in https://${gatewayHost}/\n`,
  )
}

/** RFC 4253 §4.2: lines of text may come before a server's version, and `ssh -v` shows them. */
const noSsh = 'no tunnel for plain ssh is connected\r\n'
