import { parseHostPort } from '../net/address.ts'
import { type Kind, Refusal } from './field.ts'

/** Where an agent connects to, and what is spoken there. */
export type Target = Place & {
  /** What was typed, for logs and the gateway's dashboard. */
  readonly text: string
  /** How the connection is secured; absent: it is not. */
  readonly tls?: TargetTls
  /** In http mode, if it is not HTTP/1.1. */
  readonly protocol?: 'h2c' | 'h2'
}

type Place =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

export interface TargetTls {
  /** The name to ask for, and to find in the certificate, if it is not the target's host. */
  readonly serverName?: string
  readonly verify: boolean
  /** As typed. */
  readonly caFile?: string
}

export const target: Kind<Target> = {
  allowed: 'host:port, :port, port, http://, https:// or h2c://host[:port], or unix:/path',
  parse(text) {
    const path = /^unix:(?:\/\/)?(.*)$/i.exec(text)?.[1]
    if (path !== undefined) return unixTarget(path, text)
    const [, scheme = '', rest = text] = /^(https?|h2c):\/\/(.*)$/i.exec(text) ?? []
    if (scheme !== '' && /^[^/?#]*(\/.|[?#])/.test(rest)) {
      return new Refusal(`a target has no path: ${scheme.toLowerCase()}://host[:port]`)
    }
    const defaultPort = defaultPorts.get(scheme.toLowerCase())
    const place = parseHostPort(defaultPort === undefined ? rest : rest.replace(/\/$/, ''), {
      // Not 127.0.0.1: what listens on ::1 only is found too, as the Go program finds it.
      defaultHost: 'localhost',
      ...(defaultPort !== undefined && { defaultPort }),
    })
    return place && { kind: 'tcp', ...place, text, ...spokenBy(scheme.toLowerCase()) }
  },
}

const defaultPorts: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['h2c', 80],
  ['https', 443],
])

function spokenBy(scheme: string): Pick<Target, 'tls' | 'protocol'> {
  if (scheme === 'https') return { tls: { verify: true } }
  return scheme === 'h2c' ? { protocol: 'h2c' } : {}
}

/** Longer paths do not fit in a socket's address on Linux (107 bytes), and fail with an error that hides why. */
const longestPath = 107

function unixTarget(path: string, text: string): Target | Refusal {
  if (!path.startsWith('/') || path.includes('\0') || Buffer.byteLength(path) > longestPath) {
    return new Refusal(`must be unix: and an absolute path of up to ${longestPath} bytes`)
  }
  return { kind: 'unix', path, text }
}
