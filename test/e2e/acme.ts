import net from 'node:net'
import { join } from 'node:path'
import tls from 'node:tls'
import type { Test } from 'tap'
import { folderOf } from '../../src/certs/acme/directory.ts'
import { closeServer, listen } from '../../src/net/listen.ts'
import { type AcmeProxy, startAcmeProxy } from '../support/acme-proxy.ts'
import { type Pebble, type PebbleOptions, startPebble } from '../support/pebble.ts'
import {
  type AgentOptions,
  type Gateway,
  type GatewayOptions,
  type Offer,
  startAgent,
  startGateway,
  temporaryDirectory,
} from '../support/programs.ts'
import { certs } from './certs-command.ts'

/*
 * The real gateway with a CA that looks at it: Pebble, behind a proxy that counts. Names lead to Pebble's
 * address, where two doors hand on to the ports of the gateway that runs just then.
 */

export interface World {
  readonly pebble: Pebble
  readonly proxy: AcmeProxy
  /** The gateway's working directory, the same after a restart. */
  readonly directory: string
  /** What of it has to do with this CA. */
  readonly cache: string
  readonly doors: { readonly http: Door; readonly tls: Door }
  /** A gateway that has certificates for its own names, unless `isWaited` is false. */
  start(options?: GatewayOptions & { isWaited?: boolean }): Promise<Gateway>
}

export async function createWorld(t: Test, options: PebbleOptions = {}): Promise<World> {
  const pebble = await startPebble(t, options)
  const proxy = await startAcmeProxy(t, pebble)
  const directory = temporaryDirectory(t)
  const doors = {
    http: await openDoor(t, pebble.address, pebble.httpPort),
    tls: await openDoor(t, pebble.address, pebble.tlsPort),
  }
  return {
    ...{ pebble, proxy, directory, doors },
    cache: folderOf(join(directory, 'certificates'), proxy.directoryUrl),
    async start({ isWaited = true, env, ...rest } = {}) {
      const gateway = await startGateway(t, {
        ...{ directory, caFile: pebble.rootFile, ...rest },
        env: {
          ...{ GATEWAY_HOST: 'gateway.example.com', TUNNEL_HOST: 'tunnel.example.com' },
          ...{ ACME_ENV: 'production', ACME_DIRECTORY_URL: proxy.directoryUrl },
          ACME_CA_FILE: proxy.caFile,
          ...env,
        },
      })
      doors.http.leadsTo = gateway.ports.http || undefined // where it could not be bound
      doors.tls.leadsTo = gateway.ports.public
      if (!isWaited) return gateway
      await gateway.program.waitFor('certificate issued', { hostname: 'gateway.example.com' })
      await gateway.program.waitFor('certificate issued', { hostname: 'tunnel.example.com' })
      return gateway
    },
  }
}

export interface Door {
  leadsTo: number | undefined
  /** Connections that came. */
  count: number
}

async function openDoor(t: Test, host: string, port: number): Promise<Door> {
  const door: Door = { leadsTo: undefined, count: 0 }
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    door.count += 1
    if (door.leadsTo === undefined) {
      socket.destroy()
      return
    }
    const onward = net.connect(door.leadsTo, '127.0.0.1')
    for (const each of [socket, onward]) {
      sockets.add(each)
      each.on('error', () => {})
      each.once('close', () => sockets.delete(each))
    }
    socket.pipe(onward).pipe(socket)
    socket.once('close', () => onward.destroy())
  })
  await listen(server, { host, port })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    return closeServer(server)
  })
  return door
}

/** An agent of the gateway; nobody here resolves the gateway's name, so it asks for it by address. */
export function startAgentOf(
  t: Test,
  gateway: Gateway,
  offers: readonly Offer[],
  options: AgentOptions = {},
) {
  const tunnel_addr = `127.0.0.1:${gateway.ports.tunnel}`
  const config = { tunnel_addr, skip_tls_verify: true, ca_file: undefined, ...options.config }
  return startAgent(t, gateway, offers, { ...options, config })
}

/** The serial number of the certificate that a visitor gets who trusts the CA; fails where there is none. */
export function serialOf(gateway: Pick<Gateway, 'ports' | 'ca'>, name: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const to = { host: '127.0.0.1', port: gateway.ports.public, servername: name, ca: gateway.ca }
    const socket = tls.connect({ ...to, session: undefined }, () => {
      const { serialNumber } = socket.getPeerCertificate()
      socket.destroy()
      resolve(serialNumber)
    })
    socket.once('error', reject)
  })
}

/** `gotunnel-server certs …` for a gateway of this world. */
export function certsIn(world: World, ...args: string[]) {
  const { directory, proxy } = world
  const env = {
    ACME_CACHE: join(directory, 'certificates'),
    ACME_DIRECTORY_URL: proxy.directoryUrl,
  }
  return certs(directory, env, args)
}
