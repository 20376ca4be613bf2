import { allowsHost, type Scope } from '../auth/scope.ts'
import { AckError, type Outcome, pathRouteKey } from '../protocol/messages.ts'
import { RegistryError } from '../registry/errors.ts'
import { isSameAgent, type Owner } from '../registry/owner.ts'
import type { Registry } from '../registry/registry.ts'
import { portOfName, sshName } from './claims.ts'
import type { TcpPorts, WantedPort } from './edge/tcp-ports.ts'
import { type OfferedRoute, Refusal } from './offer.ts'
import { claimsOf } from './routes.ts'
import type { RouteStatus } from './status.ts'
import type { Route, Upstream } from './upstream.ts'

/** What an agent offers, with the public ports that are open for it; by the keys of its routes. */
export interface Registration {
  readonly owner: Owner
  readonly offered: readonly OfferedRoute[]
  readonly ports: ReadonlyMap<string, number>
}

export interface RegistrationOptions {
  readonly registry: Registry<Route>
  readonly ports: Pick<TcpPorts, 'open' | 'close'>
}

/**
 * Opens the ports that are asked for; those that the agent has had until now are kept, also where any would do.
 * Until `claim` they are the caller's to close. `holder`: the tunnel that has them, if it is this one's next state.
 * @throws Refusal HOST_NOT_ALLOWED, SSH_NOT_ALLOWED, PORT_NOT_ALLOWED, PORT_TAKEN
 */
export async function prepare(
  owner: Owner,
  offered: readonly OfferedRoute[],
  scope: Scope | undefined,
  { registry, ports, holder }: RegistrationOptions & { readonly holder?: Upstream },
): Promise<Registration> {
  checkScope(offered, scope)
  const keys = offered.filter(({ listenPort }) => listenPort !== undefined).map(({ key }) => key)
  const isItsOwn = (route: Route) => route.holder === holder || isSameAgent(route.owner, owner)
  const opened = await ports.open(wantedPorts(offered, registry, isItsOwn), scope?.ports)
  return { owner, offered, ports: new Map(keys.map((key, n) => [key, opened[n] as number])) }
}

/**
 * All its names for this holder, in place of those that it has; or nothing changes.
 * @throws Refusal HOST_TAKEN, PORT_TAKEN, SSH_TAKEN
 */
export function claim(
  { owner, offered, ports }: Registration,
  holder: Upstream,
  registry: Registry<Route>,
): void {
  const routes = claimsOf(offered, ports, { holder, owner })
  try {
    registry.replace(holder, routes)
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error
    const name = error.claimedName
    throw takenRefusal(name, routes.find((route) => route.name === name)?.key ?? name)
  }
}

export function statusOf({ offered, ports }: Registration): RouteStatus[] {
  return offered.map(({ hostname, path, key, isSsh, mode, target }) => {
    const name = hostname === undefined ? undefined : pathRouteKey(hostname, path)
    return { name, port: ports.get(key), isSsh, mode, target }
  })
}

/** For the agent. */
export function outcomeOf({ offered, ports }: Registration): Pick<Outcome, 'hosts' | 'ports'> {
  const hosts = [...new Set(offered.flatMap(({ hostname }) => hostname ?? []))]
  return ports.size > 0 ? { hosts, ports } : { hosts }
}

/** Ports are checked where they are opened. */
function checkScope(offered: readonly OfferedRoute[], scope: Scope | undefined): void {
  for (const { hostname, key, isSsh } of offered) {
    if (hostname !== undefined && !allowsHost(scope, hostname)) {
      throw new Refusal('HOST_NOT_ALLOWED', AckError.hostNotAllowed(key))
    }
    if (isSsh && scope?.ssh === false) {
      throw new Refusal('SSH_NOT_ALLOWED', AckError.sshNotAllowed(key))
    }
  }
}

function wantedPorts(
  offered: readonly OfferedRoute[],
  registry: Registry<Route>,
  isItsOwn: (route: Route) => boolean,
): WantedPort[] {
  const wanted = offered.flatMap(({ key, listenPort }) =>
    listenPort === undefined ? [] : [{ key, port: listenPort }],
  )
  const had = wanted.length > 0 ? portsOf(registry, isItsOwn) : new Map<number, string>()
  return wanted.map(({ key, port }) => {
    const kept = port > 0 ? port : [...had].find(([, itsKey]) => itsKey === key)?.[0]
    // Once each: of two tunnels for one port the second one has to be refused.
    return kept !== undefined && had.delete(kept) ? { port, kept } : { port }
  })
}

/** Those that the agent has now, with the keys of their routes. */
function portsOf(
  registry: Registry<Route>,
  isItsOwn: (route: Route) => boolean,
): Map<number, string> {
  const ports = new Map<number, string>()
  for (const route of registry) {
    const port = portOfName(route.name)
    if (port !== undefined && isItsOwn(route)) ports.set(port, route.key)
  }
  return ports
}

function takenRefusal(name: string, key: string): Refusal {
  const port = portOfName(name)
  if (name === sshName) return new Refusal('SSH_TAKEN', AckError.sshTaken(key))
  if (port !== undefined) return new Refusal('PORT_TAKEN', AckError.portTaken(port))
  return new Refusal('HOST_TAKEN', AckError.hostTaken(key))
}
