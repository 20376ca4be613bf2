import { createServer, type Server } from 'node:net'
import { NetError, type NetErrorCode } from '../../net/errors.ts'
import { listen } from '../../net/listen.ts'
import { type PortRange, PortRanges } from '../../net/port-ranges.ts'
import { reset } from '../../net/reset.ts'
import { AckError } from '../../protocol/messages.ts'
import type { Registry } from '../../registry/registry.ts'
import { portName, portOfName } from '../claims.ts'
import { Refusal } from '../offer.ts'
import type { Route } from '../upstream.ts'
import { type Reception, visitorSocketOptions } from './reception.ts'
import type { TcpEdge } from './tcp-edge.ts'

export interface TcpPortsOptions {
  /** The ports that agents may ask for. */
  readonly allowed: readonly PortRange[]
  readonly bindAddress: string | undefined
  readonly registry: Registry<Route>
  readonly reception: Reception
  readonly tcp: TcpEdge
}

export interface WantedPort {
  /** 0: any. */
  readonly port: number
  /** One that is open for this agent already, and would do. */
  readonly kept?: number | undefined
}

interface OpenPort {
  readonly server: Server
  /** Who counts on it: whoever holds its name, and whoever opened it and has not claimed that yet. */
  users: number
}

/**
 * Public ports of agents' own. One is opened before its name (`tcp:2222`) is claimed, so that the agent can
 * be told which it has, and closed when that name is released, unless it was opened again meanwhile for the
 * next session of the same agent; its visitors go to whoever holds the name as they come. Connections
 * outlive their port.
 */
export class TcpPorts {
  readonly #options: TcpPortsOptions
  readonly #allowed: PortRanges
  /** Also those that are just being opened. */
  readonly #open = new Map<number, OpenPort>()

  constructor(options: TcpPortsOptions) {
    this.#options = options
    this.#allowed = new PortRanges(options.allowed)
    options.registry.on('release', ({ name }) => {
      const port = portOfName(name)
      if (port !== undefined) this.close([port])
    })
  }

  /**
   * Listens on the ports asked for, on all of them or on none, and gives them in the same order; 0 is any of
   * those allowed, here and by the `scope`. Until they are claimed, they are the caller's to close.
   * @throws Refusal PORT_NOT_ALLOWED, PORT_TAKEN
   */
  async open(wanted: readonly WantedPort[], scope?: PortRanges): Promise<number[]> {
    const allowed = scope === undefined ? this.#allowed : this.#allowed.within(scope)
    const opened = new Map<number, number>()
    try {
      // Those that matter first, lest 0 takes one of them.
      for (const isAny of [false, true]) {
        for (const [index, each] of wanted.entries()) {
          if ((each.port === 0) !== isAny) continue
          opened.set(index, this.#openAgain(each, allowed) ?? (await this.#openNew(each, allowed)))
        }
      }
    } catch (error) {
      this.close([...opened.values()])
      throw error
    }
    return wanted.map((_port, index) => opened.get(index) as number)
  }

  /** Takes no more visitors; those who are there stay. */
  closeAll(): void {
    for (const [port, { server }] of this.#open) this.#end(port, server)
  }

  /** The same for ports that have no other user. */
  close(ports: Iterable<number>): void {
    for (const port of ports) {
      const open = this.#open.get(port)
      if (open === undefined) continue
      open.users -= 1
      if (open.users === 0) this.#end(port, open.server)
    }
  }

  #end(port: number, server: Server): void {
    // One that is just being bound would never say how that went; `#listen` closes it.
    if (server.listening) server.close()
    this.#open.delete(port)
  }

  #openAgain({ kept }: WantedPort, allowed: PortRanges): number | undefined {
    const open = kept === undefined || !allowed.matches(kept) ? undefined : this.#open.get(kept)
    if (open === undefined) return undefined
    open.users += 1
    return kept
  }

  #openNew({ port }: WantedPort, allowed: PortRanges): Promise<number> {
    return port === 0 ? this.#openAny(allowed) : this.#openOne(port, allowed)
  }

  async #openOne(port: number, allowed: PortRanges): Promise<number> {
    if (!allowed.matches(port)) throw new Refusal('PORT_NOT_ALLOWED', AckError.portNotAllowed(port))
    if (this.#open.has(port)) throw new Refusal('PORT_TAKEN', AckError.portTaken(port))
    try {
      await this.#listen(port)
      return port
    } catch (cause) {
      throw hasCode(cause, 'NET_PORT_FORBIDDEN')
        ? new Refusal('PORT_NOT_ALLOWED', AckError.portNotAllowed(port), { cause })
        : new Refusal('PORT_TAKEN', AckError.portTaken(port), { cause })
    }
  }

  async #openAny({ ranges }: PortRanges): Promise<number> {
    if (ranges.length === 0) throw new Refusal('PORT_NOT_ALLOWED', AckError.portNotAllowed(0))
    for (const port of portsFromAnywhere(ranges)) {
      if (this.#open.has(port)) continue
      try {
        await this.#listen(port)
        return port
      } catch (cause) {
        const isOthers = hasCode(cause, 'NET_PORT_TAKEN') || hasCode(cause, 'NET_PORT_FORBIDDEN')
        if (!isOthers) throw new Refusal('PORT_TAKEN', AckError.noFreePort, { cause })
      }
    }
    throw new Refusal('PORT_TAKEN', AckError.noFreePort)
  }

  async #listen(port: number): Promise<void> {
    const { bindAddress, registry, reception, tcp } = this.#options
    const name = portName(port)
    const server = createServer(visitorSocketOptions, (socket) => {
      reception.receive(socket, (visitor) => {
        const route = registry.lookup(name)
        if (route !== undefined) void tcp.forward(socket, route, visitor)
        else reset(socket, new Error(`nobody holds ${name}`)) // not yet, or no more
      })
    })
    this.#open.set(port, { server, users: 1 })
    try {
      await listen(server, { port, host: bindAddress })
    } catch (error) {
      this.#open.delete(port)
      throw error
    }
    server.on('error', () => {}) // accepting failed, once: for want of descriptors, mostly
    if (this.#open.get(port)?.server !== server) server.close() // all were closed meanwhile
  }
}

/** All of them once: a port that was just given up may still have visitors of its last holder. */
function* portsFromAnywhere(ranges: readonly PortRange[]): Generator<number> {
  const count = ranges.reduce((sum, { min, max }) => sum + max - min + 1, 0)
  const start = Math.floor(Math.random() * count)
  for (let index = 0; index < count; index += 1) {
    yield portAt(ranges, (start + index) % count)
  }
}

function portAt(ranges: readonly PortRange[], index: number): number {
  for (const { min, max } of ranges) {
    if (index <= max - min) return min + index
    index -= max - min + 1
  }
  return 0
}

function hasCode(error: unknown, code: NetErrorCode): boolean {
  return error instanceof NetError && error.code === code
}
