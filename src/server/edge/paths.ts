/*
 * Several tunnels on one name, each for the paths beneath one. A target may read a path otherwise than
 * we do: `/a/../admin`, `//admin`, `/%61dmin`, `/ADMIN` are `/admin` to some. What one reading gives to one
 * tunnel and another to another goes to neither, since the rules of the one may be what keeps strangers out.
 */

import { longestPrefix } from '../../net/path-prefix.ts'
import type { Route } from '../upstream.ts'

/**
 * The route for the target of a request, of those that share its name: that of the longest path.
 * Undefined where there is none; `ambiguous` where that depends on who reads.
 */
export function routeFor(claim: Route, target: string): Route | 'ambiguous' | undefined {
  const { routes } = claim
  if (routes === undefined) return claim
  // That of OPTIONS is beneath no path, and meant for all of the name.
  if (target === '*') return routes.get('')
  const path = target.split('?', 1)[0] ?? ''
  const route = longest(routes, path, (found, prefix) => found.path === prefix)
  if (route === undefined) return undefined
  const isClear = readings(path)?.every((reading) => longest(routes, reading) === route)
  return isClear ? route : 'ambiguous'
}

/** What the target of the route is asked for. */
export function targetFor({ path, rules }: Route, target: string): string {
  if (!rules?.stripPrefix || path === undefined || !target.startsWith(path)) return target
  const rest = target.slice(path.length)
  return rest.startsWith('/') ? rest : `/${rest}`
}

/** In any case, unless `isMeant` is more particular. */
function longest(
  routes: ReadonlyMap<string, Route>,
  path: string,
  isMeant: (route: Route, prefix: string) => boolean = () => true,
): Route | undefined {
  let end = path.length > longestPrefix ? path.lastIndexOf('/', longestPrefix) : path.length
  for (; end >= 0; end = end > 0 ? path.lastIndexOf('/', end - 1) : -1) {
    const prefix = path.slice(0, end)
    const route = routes.get(prefix.toLowerCase())
    if (route !== undefined && isMeant(route, prefix)) return route
  }
  return undefined
}

/** Enough for what is in use: all readings of a path of 4 KiB that has a few escapes. */
const mostCharacters = 32_768

/** All that servers make of a path. Undefined where that is too much, or where anything goes. */
function readings(path: string): readonly string[] | undefined {
  if (!/[%\\;\t]|\/\/|[. ](?:\/|$)/.test(path)) return [path] // one that all take as it stands
  if (/%(?:c[01]|e0%[89]|f0%8)/i.test(path)) return undefined // bad UTF-8, that some read as a `/`
  const texts = new Set([path])
  let characters = 0
  for (const text of texts) {
    characters += text.length
    if (characters > mostCharacters) return undefined
    for (const step of steps) texts.add(step(text)) // what is added has its turn as well
  }
  return [...texts]
}

/** They are taken by one or the other server, in whatever order. None makes a text longer. */
const steps: readonly ((path: string) => string)[] = [
  (path) => unescaped(path, /^[0-7][0-9a-f]$/i),
  (path) => unescaped(path, /^(?:2[de]|3[0-9]|[46][1-9a-f]|[57][0-9a]|5f|7e)$/i), // RFC 3986 §6.2.2.2
  (path) => path.replace(/\0.*/s, '').replace(/[\t\r\n]/g, ''),
  (path) => path.replace(/\\/g, '/'),
  (path) => path.replace(/^\/{2,}[^/]*(?=\/)/, ''), // `//x/admin`, as a URL without its scheme
  (path) => path.replace(/;[^/]*/g, ''),
  (path) => path.replace(/\/{2,}/g, '/'),
  withoutDots,
  (path) => path.replace(/(?<=[^/. ])[. ]+(?=\/|$)/g, ''), // as Windows does to names of files
]

/** Without the escapes of such characters of ASCII: those beyond it are in no tunnel's path. */
function unescaped(path: string, codes: RegExp): string {
  return path.replace(/%(?:u00)?([0-9a-f]{2})/gi, (written, hex: string) =>
    codes.test(hex) ? String.fromCharCode(Number.parseInt(hex, 16)) : written,
  )
}

/** RFC 3986 §5.2.4 */
function withoutDots(path: string): string {
  const segments: string[] = []
  for (const segment of path.split('/').slice(1)) {
    if (segment === '..') segments.pop()
    else if (segment !== '.') segments.push(segment)
  }
  return `/${segments.join('/')}`
}
