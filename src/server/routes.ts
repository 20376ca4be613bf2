import { namesOf, type OfferedRoute } from './offer.ts'
import type { Route } from './upstream.ts'

/** What an agent's tunnels claim, one route a name; `ports` are those they got, by their keys. */
export function claimsOf(
  offered: readonly OfferedRoute[],
  ports: ReadonlyMap<string, number>,
  held: Pick<Route, 'holder' | 'owner'>,
): Route[] {
  const routes = new Map<string, Route[]>()
  for (const { hostname, listenPort, isSsh, ...rest } of offered) {
    const names = namesOf({ hostname, isSsh }, ports.get(rest.key))
    for (const name of names)
      routes.set(name, [...(routes.get(name) ?? []), { ...rest, ...held, name }])
  }
  return [...routes.values()].flatMap(shared)
}

/** Tunnels for paths of one name are claimed together: the name has one holder. */
function shared(routes: readonly Route[]): Route[] {
  const [first] = routes
  if (first === undefined) return []
  if (routes.length === 1 && !first.path) return [first]
  const byPath = new Map(routes.map((route) => [(route.path ?? '').toLowerCase(), route]))
  return [{ ...first, routes: byPath }]
}
