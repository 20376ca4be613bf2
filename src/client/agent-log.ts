import type { LogFields, Logger } from '../log.ts'
import { formatHostPort } from '../net/address.ts'
import type { Addresses } from '../protocol/proxy-protocol.ts'
import type { ClientError } from './errors.ts'
import { FailureLog } from './failure-log.ts'
import type { Route } from './forward.ts'
import type { Turns } from './gateways.ts'
import type { Tunnel } from './tunnel.ts'

/** What an agent says of its life. */
export class AgentLog {
  readonly #log: Logger
  readonly #turns: Pick<Turns, 'current'>
  readonly #failures: FailureLog

  constructor(log: Logger, turns: Pick<Turns, 'current'>) {
    this.#log = log
    this.#turns = turns
    this.#failures = new FailureLog(log)
  }

  connecting(): void {
    this.#log.info('connecting', this.#fields())
  }

  notConnected(error: ClientError): void {
    const message = error.refusal === undefined ? 'cannot connect' : 'refused'
    this.#log.warn(message, this.#fields(error))
  }

  connected(tunnel: Tunnel, routes: readonly Route[]): void {
    this.#log.info('connected', { ...this.#fields(), ...offered(tunnel, routes) })
    this.#lacks(tunnel, routes)
  }

  /** Other tunnels, of the session that is up. */
  changed(tunnel: Tunnel, routes: readonly Route[]): void {
    this.#log.info('tunnels changed', offered(tunnel, routes))
    this.#lacks(tunnel, routes)
  }

  leaving({ streamCount: streams }: Tunnel): void {
    this.#log.info('connecting anew, with other settings', { streams })
  }

  served({ hostname, target }: Route, visitor: Addresses | undefined): void {
    this.#log.debug('a connection', {
      hostname,
      target: target.text,
      ...(visitor && {
        visitor: formatHostPort({ host: visitor.remoteAddress, port: visitor.remotePort }),
      }),
    })
  }

  notServed(error: ClientError, route: Route | undefined): void {
    this.#failures.add(error, route)
  }

  left({ streamCount: streams }: Tunnel, upMs: number): void {
    this.#log.info('the gateway is leaving', { upSec: Math.round(upMs / 1000), streams })
  }

  lost(error: ClientError, upMs: number): void {
    const upSec = Math.round(upMs / 1000)
    this.#log.warn('connection lost', { ...this.#fields(error), upSec })
  }

  waiting(delayMs: number): void {
    this.#log.info('next try', { delayMs })
  }

  awake(awayMs: number): void {
    this.#log.info('awake again', { awaySec: Math.round(awayMs / 1000) })
  }

  closing(streams: number, graceMs: number): void {
    if (streams > 0) this.#log.info('closing', { streams, graceMs })
  }

  /** A gateway that is older takes no notice of what it does not know. */
  #lacks(tunnel: Tunnel, routes: readonly Route[]): void {
    for (const { hostname, listenPort } of routes) {
      if (listenPort === undefined || tunnel.ports.has(hostname)) continue
      const text = 'the gateway gave no public port: it may be too old for listen_port'
      this.#log.warn(text, { hostname, listenPort })
    }
    for (const { hostname, target, protocol } of routes) {
      if (protocol === undefined || tunnel.hasCapability('target-protocol')) continue
      const text = 'the gateway is too old for targets that speak HTTP/2: it will use HTTP/1.1'
      this.#log.warn(text, { hostname, target: target.text })
    }
    const isAsked = routes.some(({ proxyProtocol }) => proxyProtocol !== undefined)
    if (isAsked && !tunnel.hasCapability('proxy-preamble')) {
      this.#log.warn('the gateway does not tell who its visitors are: PROXY headers cannot either')
    }
  }

  #fields(error?: ClientError): LogFields {
    const { address: gateway, proxy } = this.#turns.current
    return {
      ...(gateway !== undefined && { gateway }),
      ...(proxy !== undefined && { proxy }),
      ...(error !== undefined && {
        code: error.refusal?.code ?? error.code,
        reason: error.message,
      }),
    }
  }
}

function offered({ sessionId: session, ports }: Tunnel, routes: readonly Route[]): LogFields {
  return {
    session,
    tunnels: Object.fromEntries(routes.map(({ hostname, target }) => [hostname, target.text])),
    ...(ports.size > 0 && { ports: Object.fromEntries(ports) }),
  }
}
