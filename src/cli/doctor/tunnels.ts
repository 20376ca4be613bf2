import { PassThrough } from 'node:stream'
import type { Identity } from '../../auth/identity.ts'
import { allowsHost } from '../../auth/scope.ts'
import { dialTarget } from '../../client/dial-target.ts'
import type { Route } from '../../client/forward.ts'
import { isPortRouteKey, parsePathRouteKey } from '../../protocol/messages.ts'
import { type Finding, failed, ok, warning } from './finding.ts'
import { addressesOf } from './gateway.ts'

/** Whether the service behind a tunnel takes connections, TLS included where it has some. */
export async function checkTarget(route: Route): Promise<Finding> {
  const subject = 'target'
  const stream = new PassThrough()
  try {
    const socket = await dialTarget(stream, route)
    socket.destroy()
    return ok(subject, `${route.target.text} takes connections`)
  } catch (error) {
    return failed(subject, (error as Error).message)
  } finally {
    stream.destroy()
  }
}

/** Whether visitors who look the public name up come to the gateway. */
export async function checkPublicName(
  hostname: string,
  gateway: ReadonlySet<string>,
): Promise<Finding> {
  const subject = 'public name'
  try {
    const addresses = await addressesOf(hostname)
    const shown = `${hostname} is ${addresses.join(', ')}`
    if (gateway.size === 0 || addresses.some((address) => gateway.has(address))) {
      return ok(subject, shown)
    }
    const advice =
      'unless a load balancer or a CDN is there, its DNS record must have that of the gateway'
    return warning(subject, `${shown}, the gateway ${[...gateway].join(', ')}: ${advice}`)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const advice = 'make a DNS record for it with the address of the gateway'
    return failed(subject, `${hostname} cannot be looked up (${code}): ${advice}`)
  }
}

/** Whether a token that was given is for what is offered. The gateway asks the same. */
export function checkScope({ scope }: Identity, routes: readonly Route[]): Finding | undefined {
  if (scope === undefined) return undefined
  const beyond = routes
    .filter((route) => !isPortRouteKey(route))
    .map(({ hostname }) => parsePathRouteKey(hostname).hostname)
    .filter((hostname) => !allowsHost(scope, hostname.toLowerCase()))
  const allowed = scope.hosts.join(', ') || 'no name'
  if (beyond.length === 0) return ok('scope', `the token is for ${allowed}`)
  return failed(
    'scope',
    `the token is for ${allowed}, not for ${beyond.join(', ')}: get one that is`,
  )
}
