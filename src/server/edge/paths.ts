/*
 * Several tunnels on one name, each for the paths beneath one. A target may read a path otherwise than
 * we do: `/a/../admin`, `//admin`, `/%61dmin`, `/ADMIN` are `/admin` to some. What one reading gives to one
 * tunnel and another to another goes to neither, since the rules of the one may be what keeps strangers out.
 */

import type { Route } from '../upstream.ts'

/**
 * The route for the target of a request, of those that share its name: that of the longest path.
 * Undefined where there is none; `ambiguous` where that depends on who reads.
 */
export function routeFor(claim: Route, target: string): Route | 'ambiguous' | undefined {
  const { routes } = claim
  if (routes === undefined) return claim
  // That of OPTIONS is beneath no path, and meant for all of the name.
  if (target === '*') return routes.find((route) => !route.path)
  const path = target.split('?', 1)[0] ?? ''
  const route = longest(routes, path)
  if (route === undefined) return undefined
  return isClear(path) &&
    readings(path).every((reading) => longest(routes, reading, fold) === route)
    ? route
    : 'ambiguous'
}

/** What the target of the route is asked for. */
export function targetFor({ path, rules }: Route, target: string): string {
  if (!rules?.stripPrefix || path === undefined || !target.startsWith(path)) return target
  const rest = target.slice(path.length)
  return rest.startsWith('/') ? rest : `/${rest}`
}

function longest(
  routes: readonly Route[],
  path: string,
  form = (text: string) => text,
): Route | undefined {
  let found: Route | undefined
  for (const route of routes) {
    const { path: prefix = '' } = route
    const isBeneath =
      form(path).startsWith(form(prefix)) && /^(?:\/|$)/.test(path.slice(prefix.length))
    if (isBeneath && prefix.length >= (found?.path ?? '').length) found = route
  }
  return found
}

/** Of ASCII, so that a text stays as long as it is. */
function fold(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/**
 * Not so where an escape is bad UTF-8, which lenient readers take for a `/`; where escapes are escaped again and
 * again; and where it would take long to read it in all ways.
 */
function isClear(path: string): boolean {
  if (!isOdd(path)) return true
  if (path.length > longestRead || /%c[01]/i.test(path)) return false
  const plain = decodings.reduce((text, decode) => decode(text), path)
  return decoded(plain) === plain
}

const longestRead = 4096

/** Whether some may read it otherwise than as it stands. */
function isOdd(path: string): boolean {
  return /[%\\;\t]|\/\/|[. ](?:\/|$)/.test(path)
}

/** All that servers make of a path: each of the steps may be taken, or not. */
function readings(path: string): string[] {
  if (!isOdd(path)) return [path]
  let texts = [path]
  for (const step of steps) texts = [...new Set(texts.flatMap((text) => [text, step(text)]))]
  return texts
}

type Step = (path: string) => string

/** `%61`, `%2561`, `%252561` */
const decodings: readonly Step[] = [decoded, decoded, decoded]

const steps: readonly Step[] = [
  ...decodings,
  (path) => path.replace(/\0.*/s, '').replace(/[\t\r\n]/g, ''),
  (path) => path.replace(/\\/g, '/'),
  (path) => path.replace(/;[^/]*/g, ''),
  (path) => path.replace(/\/{2,}/g, '/'),
  withoutDots,
  (path) => path.replace(/(?<=[^/. ])[. ]+(?=\/|$)/g, ''), // as Windows does to names of files
]

/** Every escape of ASCII: those beyond it are in no tunnel's path. */
function decoded(path: string): string {
  return path.replace(/%(?:u00)?([0-7][0-9a-f])/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
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
