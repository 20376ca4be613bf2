import { isIP } from 'node:net'
import { formatHostPort, type HostPort, parseHostPort } from '../net/address.ts'
import { AddressRanges, parseAddressRange } from '../net/address-ranges.ts'
import type { ProxyServer } from '../net/proxy-server.ts'
import { type Environment, fromEnvironment } from './environment.ts'
import type { Problems } from './errors.ts'
import { type Kind, optional, Refusal, readFields } from './field.ts'
import { Secret } from './secret.ts'

/** Secret, for it may have a password in it. */
const proxyUrl: Kind<ProxyServer | 'none'> = {
  allowed: 'http://[user:password@]host:port, socks5://[user:password@]host:port, or none',
  isSecret: true,
  parse(text) {
    const typed = text.trim()
    return typed === 'none' ? typed : parseProxyUrl(typed)
  },
}

export const proxyField = optional(
  'proxy',
  proxyUrl,
  "A proxy to reach the gateway by. Not set: as the environment's `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` have it.",
)

/** What other programs take from the environment too; also in lower case. */
export const proxyVariables = {
  httpsProxy: optional(
    'HTTPS_PROXY',
    proxyUrl,
    'A proxy to reach the gateway by, where the file names none.',
  ),
  allProxy: optional('ALL_PROXY', proxyUrl, 'The same, where there is no `HTTPS_PROXY`.'),
  noProxy: optional(
    'NO_PROXY',
    noProxyList(),
    'Hosts that need neither of the two. A name stands for those below it too; `*` for all.',
  ),
}

/**
 * Which proxy each gateway is reached by: `chosen`, or what the environment says where nothing is.
 */
export function proxyChooser(
  chosen: ProxyServer | 'none' | undefined,
  env: Environment,
  problems: Problems,
): (to: HostPort) => { proxy?: ProxyServer } {
  const ofEnvironment = chosen === undefined ? proxyOfEnvironment(env, problems) : () => chosen
  return (to) => {
    const proxy = ofEnvironment(to)
    return proxy === undefined || proxy === 'none' ? {} : { proxy }
  }
}

function proxyOfEnvironment(env: Environment, problems: Problems) {
  const source = fromEnvironment(withLowerCase(env))
  const { httpsProxy, allProxy, noProxy } = readFields(proxyVariables, source, problems)
  return (to: HostPort) => (noProxy?.(to) ? undefined : (httpsProxy ?? allProxy))
}

/** `https_proxy` is as common as `HTTPS_PROXY`, which counts where both are there. */
function withLowerCase(env: Environment): Environment {
  const keys = Object.values(proxyVariables).map(({ key }) => key)
  return Object.fromEntries(keys.map((key) => [key, env[key]?.trim() || env[key.toLowerCase()]]))
}

function noProxyList(): Kind<(to: HostPort) => boolean> {
  return {
    allowed:
      'names, addresses and ranges of them, each with a port or without, such as localhost,.example.com,10.0.0.0/8',
    parse: (text) => {
      const tests = text
        .split(',')
        .flatMap((entry) => (entry.trim() ? exemption(entry.trim()) : []))
      return (to) => tests.some((isExempt) => isExempt(to))
    },
  }
}

/** As curl and most others read them; what makes no sense there exempts nothing. */
function exemption(entry: string): (to: HostPort) => boolean {
  if (entry === '*') return () => true
  const range = parseAddressRange(entry)
  if (range !== undefined) {
    const ranges = new AddressRanges([range])
    return ({ host }) => ranges.matches(host)
  }
  const [, name = '', port] =
    /^\*?\.?([^:]*|\[[^\]]*\])(?::(\d+))?$/.exec(entry.toLowerCase()) ?? []
  const bare = name.replace(/^\[|\]$|\.$/g, '')
  return (to) => {
    if (bare === '' || (port !== undefined && Number(port) !== to.port)) return false
    const host = to.host.toLowerCase().replace(/\.$/, '')
    return host === bare || (isIP(host) === 0 && host.endsWith(`.${bare}`))
  }
}

/** `undefined` for what is none. What is wrong is said without what was typed. */
function parseProxyUrl(text: string): ProxyServer | Refusal | undefined {
  const [, scheme = 'http', rest = ''] = /^(?:([a-z0-9]+):\/\/)?(.*)$/i.exec(text) ?? []
  const kind = schemes.get(scheme.toLowerCase())
  if (kind === undefined)
    return new Refusal(`must be ${proxyUrl.allowed}; ${scheme}:// is not supported`)
  const at = rest.lastIndexOf('@')
  const address = parseHostPort(rest.slice(at + 1).replace(/\/$/, ''), {
    defaultPort: kind === 'http' ? 80 : 1080,
  })
  if (address === undefined) return undefined
  if (at === -1) return { kind, ...address }
  const [username = '', ...password] = rest.slice(0, at).split(':')
  try {
    const secret = new Secret(decodeURIComponent(password.join(':')))
    return {
      kind,
      ...address,
      credentials: { username: decodeURIComponent(username), password: secret },
    }
  } catch {
    return new Refusal('has a % that begins no percent-encoding: write it as %25')
  }
}

const schemes: ReadonlyMap<string, ProxyServer['kind']> = new Map([
  ['http', 'http'],
  ['socks5', 'socks5'],
  // curl's name for "look names up there", which is what we do in any case.
  ['socks5h', 'socks5'],
])

/** Without its credentials. */
export function describeProxy(proxy: ProxyServer): string {
  return `${proxy.kind}://${formatHostPort(proxy)}`
}
