import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Revocations } from '../auth/revocations.ts'
import type { LogFields, Logger } from '../log.ts'
import { Session } from '../mux/index.ts'
import { AckError, type RequestNote, type Updated } from '../protocol/messages.ts'
import { isSameAgent, type Owner } from '../registry/owner.ts'
import type { Registry } from '../registry/registry.ts'
import { type AdmissionOptions, admit } from './admission.ts'
import { ServerError } from './errors.ts'
import { FailedAttempts } from './failed-attempts.ts'
import type { TokenPolicy } from './identify.ts'
import type { GatewayLimits } from './limits.ts'
import { Refusal } from './offer.ts'
import type { SessionStatus } from './status.ts'
import type { Tunnel } from './tunnel.ts'
import type { Route } from './upstream.ts'

export interface TunnelsOptions extends TokenPolicy {
  readonly registry: Registry<Route>
  readonly ports: AdmissionOptions['ports']
  readonly revocations?: Revocations | undefined
  readonly ownNames: readonly string[]
  readonly limits: Pick<GatewayLimits, 'agents' | 'pendingAgents'>
  /** How long the streams of a session may run on after another one of the same agent has taken over. */
  readonly replacedGraceMs: number
  readonly log: Logger
}

/** All agents: those that are admitted, and those on their way in. */
export class Tunnels {
  readonly #options: TunnelsOptions
  readonly #tunnels = new Set<Tunnel>()
  /** Those of them whose agents show what visitors ask for, by id. */
  readonly #curious = new Map<string, Tunnel>()
  /** Every agent's connection, from its first byte to its last. */
  readonly #sockets = new Set<Socket>()
  readonly #attempts = new FailedAttempts()
  #isClosing = false
  #admitted = 0
  #refused = 0

  constructor(options: TunnelsOptions) {
    this.#options = options
    options.revocations?.on('change', this.#endRevoked)
  }

  get admittedCount(): number {
    return this.#admitted
  }

  get refusedCount(): number {
    return this.#refused
  }

  /** Counts a connection before its TLS handshake. False: too many are on their way in, and it was dropped. */
  add(socket: Socket): boolean {
    const pending = this.#sockets.size - this.#tunnels.size
    if (this.#isClosing || pending >= this.#options.limits.pendingAgents) {
      socket.destroy()
      return false
    }
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    return true
  }

  /** Admits the agent at the other end of the transport, or refuses it. Never throws. */
  accept(transport: TLSSocket, remoteAddress: string): void {
    if (!this.#attempts.begin(remoteAddress)) {
      transport.destroy()
      return
    }
    const session = new Session(transport, { role: 'server' })
    admit(session, {
      ...this.#options,
      remoteAddress,
      refusal: (owner) => this.#refusal(owner),
      onFailedAttempt: () => this.#attempts.fail(remoteAddress),
      onStart: (tunnel) => this.#started(tunnel),
      onUpdate: (tunnel, answer) => this.#updated(tunnel, answer),
      onEnd: (tunnel, reason) => this.#ended(tunnel, reason),
    })
      .catch((error: Error) => this.#refusedOne(remoteAddress, error))
      .finally(() => this.#attempts.end(remoteAddress))
  }

  status(): SessionStatus[] {
    return [...this.#tunnels].map((tunnel) => tunnel.status())
  }

  /** Tells the agent that served it, if that wants to know. */
  noteRequest(session: string, note: RequestNote): void {
    this.#curious.get(session)?.noteRequest(note)
  }

  /** Ends a session at the owner's wish; its agent may come back. False: there is none of that id. */
  disconnect(id: string): boolean {
    const tunnel = [...this.#tunnels].find((each) => each.id === id)
    tunnel?.destroy(new ServerError('SERVER_DISCONNECTED', 'the owner ended the session'))
    return tunnel !== undefined
  }

  /** Takes no more agents; one that registers is told so. */
  refuseAll(): void {
    this.#isClosing = true
  }

  /** The end of all sessions: once their streams have ended, or after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.refuseAll()
    this.#options.revocations?.off('change', this.#endRevoked)
    const reason = new ServerError('SERVER_CLOSING', 'the gateway is going down')
    await Promise.all([...this.#tunnels].map((tunnel) => tunnel.close(graceMs, reason)))
    await this.#socketsClosed()
  }

  readonly #endRevoked = (): void => {
    for (const tunnel of this.#tunnels) {
      if (!this.#options.revocations?.isRevoked(tunnel.identity)) continue
      const reason = new ServerError('SERVER_TOKEN_REVOKED', "the agent's token is revoked")
      void tunnel.end('TOKEN_REVOKED', reason)
    }
  }

  #refusal(owner: Owner): Refusal | undefined {
    if (this.#isClosing) return new Refusal('SHUTTING_DOWN', AckError.shuttingDown)
    const { agents } = this.#options.limits
    if (this.#tunnels.size < agents) return undefined
    // One that comes back does not add to them.
    for (const tunnel of this.#tunnels) if (isSameAgent(tunnel.owner, owner)) return undefined
    return new Refusal('AGENT_LIMIT', `this gateway takes ${agents} agents, and has them`)
  }

  #started(tunnel: Tunnel): void {
    this.#tunnels.add(tunnel)
    if (tunnel.isCurious) this.#curious.set(tunnel.id, tunnel)
    this.#admitted += 1
    const { agentId, agentName, agentVersion, routes } = tunnel.status()
    const ports = routes.flatMap(({ port }) => port ?? [])
    this.#options.log.info('agent admitted', {
      session: tunnel.id,
      remoteAddress: tunnel.remoteAddress,
      hosts: routes.flatMap(({ name }) => name ?? []),
      ...(ports.length > 0 && { ports }),
      ...{ agentId, agentName, agentVersion },
      ...tokenOf(tunnel),
    })
    this.#replaceOlder(tunnel)
  }

  /** An agent has one session: the one it came with last. */
  #replaceOlder(by: Tunnel): void {
    const { registry, replacedGraceMs, log } = this.#options
    for (const tunnel of this.#tunnels) {
      if (tunnel === by || tunnel.isReplaced || !isSameAgent(tunnel.owner, by.owner)) continue
      registry.release(tunnel)
      log.info('agent replaced', { session: tunnel.id, by: by.id, streams: tunnel.streamCount })
      void tunnel.replace(by, replacedGraceMs)
    }
  }

  #updated(tunnel: Tunnel, { ok, hosts, ports, error, code }: Updated): void {
    const { log } = this.#options
    if (!ok) return log.warn('tunnels not changed', { session: tunnel.id, reason: error, code })
    const opened = ports && { ports: [...ports.values()] }
    log.info('tunnels changed', { session: tunnel.id, hosts, ...opened })
  }

  #ended(tunnel: Tunnel, reason: Error | undefined): void {
    this.#tunnels.delete(tunnel)
    this.#curious.delete(tunnel.id)
    const fields = { session: tunnel.id, remoteAddress: tunnel.remoteAddress, ...tokenOf(tunnel) }
    this.#options.log.info('agent gone', { ...fields, ...explain(reason) })
  }

  #refusedOne(remoteAddress: string, error: Error): void {
    this.#refused += 1
    const { cause } = error
    if (cause instanceof Refusal) {
      const why = cause.cause instanceof Error ? { detail: cause.cause.message } : {}
      this.#options.log.warn('agent refused', { remoteAddress, ...explain(cause), ...why })
    } else this.#options.log.info('no agent at the other end', { remoteAddress, ...explain(error) })
  }

  /** What has not said goodbye a moment after its session is cut off. */
  async #socketsClosed(): Promise<void> {
    if (this.#sockets.size === 0) return
    const closed = [...this.#sockets].map(
      (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
    )
    const deadline = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy()
    }, goodbyeMs)
    await Promise.all(closed)
    clearTimeout(deadline)
  }
}

/** Whose token it is: what it can be revoked by. */
function tokenOf({ identity }: Tunnel): LogFields {
  const { subject, tokenId, issuer } = identity
  return {
    ...(subject !== undefined && { tokenName: subject }),
    ...(tokenId !== undefined && { tokenId }),
    ...(issuer !== undefined && { issuer }),
  }
}

const goodbyeMs = 1_000

function explain(error: Error | undefined): LogFields {
  if (error === undefined) return {}
  return { reason: error.message, code: (error as { code?: unknown }).code }
}
