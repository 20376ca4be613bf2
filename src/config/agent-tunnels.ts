import { canonicalHostname } from '../net/hostname.ts'
import type { Problems } from './errors.ts'
import { optional, readFields, required, type Source, type Values, withDefault } from './field.ts'
import { interpolated } from './interpolate.ts'
import { alpnNames, choice, filePath, flag, hostname, idleTime, port } from './parse.ts'
import { type Target, target } from './target.ts'
import type { YamlMap } from './yaml.ts'

/** What an agent offers: a name, or a port, or both; and the service behind it. */
export interface TunnelConfig {
  /** As it was typed. Absent only where there is a `listenPort`. */
  readonly hostname?: string
  readonly mode: 'http' | 'tcp' | 'tls'
  readonly target: Target
  /** The gateway's public port for this tunnel; 0: any. In tcp mode only, as `ssh` and `alpn` are. */
  readonly listenPort?: number
  readonly ssh?: true
  readonly alpn?: readonly string[]
  /** How the target is told who the visitor is; in tcp and tls mode only, as `idleTimeoutSec` is. */
  readonly proxyProtocol?: 'v1' | 'v2'
  readonly idleTimeoutSec?: number
  /** How long a request waits for its answer; 0: as long as it takes. In http mode only. */
  readonly responseTimeoutSec?: number
}

export const tunnelFields = {
  hostname: optional('hostname', hostname, 'The public name. **Required** without `listen_port`.'),
  target: required('target', target, 'The service behind it.'),
  targetSni: optional(
    'target_sni',
    hostname,
    "The name to ask an `https://` target for, and to find in its certificate. Not set: the target's host.",
  ),
  targetVerify: withDefault(
    'target_verify',
    flag,
    'true',
    'Whether the certificate of an `https://` target must be valid.',
  ),
  targetCaFile: optional(
    'target_ca_file',
    filePath,
    'PEM file with the CA that an `https://` target is trusted by, in place of the public ones. Relative to this file.',
  ),
  targetHttp2: withDefault(
    'target_http2',
    flag,
    'false',
    'Speak HTTP/2 to an `https://` target, which gRPC needs. To others `h2c://` does.',
  ),
  responseTimeoutSec: optional(
    'response_timeout',
    idleTime,
    "How long the target may take until its answer begins; then visitors get a 504. Not set: the gateway's `RESPONSE_TIMEOUT_SEC`. Mode http.",
  ),
  mode: withDefault(
    'mode',
    choice(['http', 'tcp', 'tls']),
    'http',
    '`http`: requests, by name. `tcp`: any protocol inside TLS, by SNI. `tls`: the same, for a target that has its own certificate: the gateway does not look inside.',
  ),
  listenPort: optional(
    'listen_port',
    port,
    "A public port of the gateway for this tunnel alone, for clients without TLS. The gateway's `TCP_PORTS` must allow it. Mode tcp.",
  ),
  ssh: withDefault(
    'ssh',
    flag,
    'false',
    "Plain SSH on the gateway's public port (`ssh -p 443`) is for this tunnel. One of a gateway. Mode tcp.",
  ),
  proxyProtocol: withDefault(
    'proxy_protocol',
    choice(['none', 'v1', 'v2']),
    'none',
    "Tell the target the visitor's address, by a PROXY protocol header. The target must expect one. Modes tcp and tls.",
  ),
  alpn: optional(
    'alpn',
    alpnNames,
    'What TLS clients may agree on, the best first. A list, or with commas. Mode tcp.',
  ),
  idleTimeoutSec: optional(
    'idle_timeout',
    idleTime,
    'End a connection that is silent both ways for so long. Not set: never. Modes tcp and tls.',
  ),
}

const tunnelLimit = 1000 // as many as the protocol takes in one registration

const notYet = 'is not in this version yet'
const refusedKeys = { host_header: notYet }

type Environment = Readonly<Record<string, string | undefined>>

/** The list `tunnels` of the file; each is complete only once `problems.throwIfAny()` has passed. */
export function parseTunnels(
  map: YamlMap,
  env: Environment,
  problems: Problems,
): Partial<TunnelConfig>[] {
  const items = map.list('tunnels')
  const key = 'tunnels'
  if (items === undefined || items.length === 0) {
    const reason = 'is required: a list with at least one hostname and target'
    if (problems.found.every((problem) => !problem.key?.startsWith(key))) {
      problems.add({ key, reason, at: map.at })
    }
    return []
  }
  if (items.length > tunnelLimit) {
    const reason = `has ${items.length} tunnels; ${tunnelLimit} are allowed`
    problems.add({ key, reason, at: map.at })
    return []
  }
  const once = new Once(problems)
  return items.map((item) => {
    item.allowOnly(keys, refusedKeys)
    const source = interpolated(item, env)
    const tunnel = readTunnel(source, problems)
    once.check(item, tunnel)
    return tunnel
  })
}

/** Complete only once `problems.throwIfAny()` has passed. */
export function readTunnel(source: Source, problems: Problems): Partial<TunnelConfig> {
  requireName(source, problems)
  const values = readFields(tunnelFields, source, problems)
  checkModes(source, values, problems)
  checkTarget(source, values, problems)
  return tidied(values)
}

const keys = Object.values(tunnelFields).map((field) => field.key)

type Typed = Partial<Values<typeof tunnelFields>>
type FieldName = keyof typeof tunnelFields

/** The modes that a field has a meaning in; a field that is not here has one in all. */
const modesOf: { readonly [Name in FieldName]?: readonly TunnelConfig['mode'][] } = {
  listenPort: ['tcp'],
  ssh: ['tcp'],
  alpn: ['tcp'],
  proxyProtocol: ['tcp', 'tls'],
  idleTimeoutSec: ['tcp', 'tls'],
  responseTimeoutSec: ['http'],
}

/** What is set, and is not what it is anyway. */
function tidied(values: Typed): Partial<TunnelConfig> {
  const { ssh, proxyProtocol, idleTimeoutSec, target, ...rest } = values
  const { targetSni, targetVerify, targetCaFile, targetHttp2, ...more } = rest
  return {
    ...(more as Partial<TunnelConfig>),
    ...(target && { target: secured(target, values) }),
    ...(ssh && { ssh }),
    ...(proxyProtocol && proxyProtocol !== 'none' && { proxyProtocol }),
    ...(idleTimeoutSec && { idleTimeoutSec }),
  }
}

/** The target, with what other keys say of its TLS. */
function secured(
  target: Target,
  { targetSni, targetVerify, targetCaFile, ...rest }: Typed,
): Target {
  if (target.tls === undefined) return target
  const tls = {
    verify: targetVerify ?? true,
    ...(targetSni && { serverName: targetSni }),
    ...(targetCaFile && { caFile: targetCaFile }),
  }
  return { ...target, tls, ...(rest.targetHttp2 && { protocol: 'h2' }) }
}

function checkTarget(source: Source, values: Typed, problems: Problems): void {
  const { mode, target } = values
  if (mode === undefined || target === undefined) return
  const complain = (name: FieldName, reason: string) => {
    const { key } = tunnelFields[name]
    const at = source.entry(key)?.at ?? source.at
    problems.add({ key: source.pathOf?.(key) ?? key, reason, ...(at && { at }) })
  }
  if (target.tls === undefined) {
    const { targetSni, targetVerify, targetCaFile, targetHttp2 } = values
    const reason = 'is for https:// targets only'
    if (targetSni) complain('targetSni', reason)
    if (targetVerify === false) complain('targetVerify', reason)
    if (targetCaFile) complain('targetCaFile', reason)
    if (targetHttp2) complain('targetHttp2', `${reason}; write h2c://host:port`)
  }
  const isHttp = target.tls !== undefined || target.protocol !== undefined
  if (isHttp && mode !== 'http') {
    complain('target', `https:// and h2c:// are for mode http; this tunnel has mode ${mode}`)
  }
}

function requireName(source: Source, problems: Problems): void {
  const isTyped = ({ key }: { key: string }) => {
    const entry = source.entry(key)
    return entry !== undefined && (entry.refused !== undefined || entry.text.trim() !== '')
  }
  const { hostname, listenPort } = tunnelFields
  if (isTyped(hostname) || isTyped(listenPort)) return
  const { key, kind } = hostname
  const at = source.entry(key)?.at ?? source.at
  const reason = `is required: ${kind.allowed}; or give a listen_port`
  problems.add({ key: source.pathOf?.(key) ?? key, reason, ...(at && { at }) })
}

function checkModes(source: Source, values: Typed, problems: Problems): void {
  const { mode } = values
  if (mode === undefined) return
  const set = tidied(values)
  for (const [name, modes] of Object.entries(modesOf) as [FieldName, readonly string[]][]) {
    if (modes.includes(mode) || !Object.hasOwn(set, name)) continue
    const { key } = tunnelFields[name]
    const reason = `is for mode ${modes.join(' and ')}; this tunnel has mode ${mode}`
    const at = source.entry(key)?.at ?? source.at
    problems.add({ key: source.pathOf?.(key) ?? key, reason, ...(at && { at }) })
  }
}

/** What only one tunnel can have: a name, a port, the plain SSH. */
class Once {
  readonly #problems: Problems
  readonly #lines = new Map<string, number | undefined>()

  constructor(problems: Problems) {
    this.#problems = problems
  }

  check(item: YamlMap, { hostname, listenPort, ssh }: Typed): void {
    const name = hostname && canonicalHostname(hostname)
    if (name) this.#take(item, 'hostname', name)
    if (listenPort) this.#take(item, 'listen_port', `port ${listenPort}`)
    // Such a tunnel is known by its port, and of two with 0 nobody knows which is meant.
    else if (listenPort === 0 && hostname === undefined) {
      this.#take(item, 'listen_port', 'a 0 without a hostname')
    }
    if (ssh) this.#take(item, 'ssh', 'plain SSH')
  }

  #take(item: YamlMap, key: string, what: string): void {
    const at = item.entry(key)?.at ?? item.at
    if (this.#lines.has(what)) {
      const reason = `${what} is in line ${this.#lines.get(what)} already`
      this.#problems.add({ key: item.pathOf(key), reason, at })
    } else {
      this.#lines.set(what, at.line)
    }
  }
}
