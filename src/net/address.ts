import { isIPv4, isIPv6 } from 'node:net'

/** Where to dial. `host` is a name or an IP address, an IPv6 one without brackets. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

/**
 * `name:80`, `127.0.0.1:80` or `[::1]:80`; with a `defaultPort` the port may be missing, with a
 * `defaultHost` the host may be (`:80`, `80`). Undefined for anything else. The host is as typed:
 * targets are also names that are none in DNS (`my_service`, as compose files have them).
 */
export function parseHostPort(
  text: string,
  defaults: { defaultPort?: number; defaultHost?: string; lowestPort?: 0 | 1 } = {},
): HostPort | undefined {
  const parts = /^[0-9]+$/.test(text) ? [text, '', text] : FORM.exec(text)
  if (parts === null) return undefined
  const host = parts[1] ? hostOf(parts[1]) : defaults.defaultHost
  const port = parts[2] === undefined ? defaults.defaultPort : portOf(parts[2], defaults.lowestPort)
  return host === undefined || port === undefined ? undefined : { host, port }
}

/** What `parseHostPort` reads back to the same: IPv6 addresses in brackets. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

// An IPv6 address outside of brackets is refused: `::1:80` could mean two things.
const FORM = /^(\[[^[\]]*\]|[^:[\]]*)(?::([0-9]+))?$/
const NAME =
  /^(?=.{1,253}\.?$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i

function hostOf(text: string): string | undefined {
  if (text.startsWith('[')) {
    const address = text.slice(1, -1)
    return isIPv6(address) ? address : undefined
  }
  if (!NAME.test(text)) return undefined
  // `1.2.3.400`, `127.1`: getaddrinfo makes some address of them, hardly the one that was meant.
  const isNumeric = /(?:^|\.)[0-9]+\.?$/.test(text)
  return isNumeric && !isIPv4(text) ? undefined : text
}

/** Port 0 is no place to dial, but one to listen on. */
function portOf(text: string, lowest = 1): number | undefined {
  if (!/^(?:0|[1-9][0-9]{0,4})$/.test(text)) return undefined
  const port = Number(text)
  return port >= lowest && port <= 65_535 ? port : undefined
}
