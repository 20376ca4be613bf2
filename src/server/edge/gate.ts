import type { Registry } from '../../registry/registry.ts'
import { admits } from '../rules.ts'
import type { Route } from '../upstream.ts'
import type { DepartedNames } from './departed-names.ts'
import { type EdgeError, edgeErrors } from './error-page.ts'
import { Logins } from './logins.ts'
import { routeFor } from './paths.ts'
import type { CheckedRequest } from './request-guard.ts'

export interface GateOptions {
  readonly registry: Registry<Route>
  readonly departed: DepartedNames
}

/** Where a request goes, and whether it may: the route for its host and path, and that route's rules. */
export class Gate {
  readonly #registry: Registry<Route>
  readonly #departed: DepartedNames
  readonly #logins = new Logins()

  constructor({ registry, departed }: GateOptions) {
    this.#registry = registry
    this.#departed = departed
  }

  /** The route, or how to refuse a visitor from that address. */
  routeOf({ host, target }: CheckedRequest, address: string): Route | EdgeError {
    const claim = this.#registry.lookup(host)
    if (claim === undefined && this.#departed.isAwaited(host)) return edgeErrors.agentAway
    if (claim?.mode !== 'http') return edgeErrors.hostUnknown
    const route = routeFor(claim, target)
    if (route === undefined) return edgeErrors.pathUnknown
    if (route === 'ambiguous') return edgeErrors.badRequest
    return route.rules === undefined || admits(route.rules, address) ? route : edgeErrors.forbidden
  }

  /** Who has logged in, where the route asks for that; or how to refuse. It may take seconds. */
  async userOf(
    { rules }: Route,
    rawHeaders: readonly string[],
    address: string,
  ): Promise<string | EdgeError> {
    return this.#logins.userOf(rules?.passwords ?? new Map(), rawHeaders, address)
  }
}
