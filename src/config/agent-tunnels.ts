import { canonicalHostname } from '../net/hostname.ts'
import type { Environment } from './environment.ts'
import type { Problems } from './errors.ts'
import {
  complain,
  optional,
  readFields,
  required,
  type Source,
  type Values,
  withDefault,
} from './field.ts'
import { interpolated } from './interpolate.ts'
import { alpnNames, choice, filePath, flag, hostname, idleTime, port } from './parse.ts'
import { type Target, target } from './target.ts'
import { type RuleChecks, readRules, ruleFields, type TunnelRules } from './tunnel-rules.ts'
import type { YamlMap } from './yaml.ts'

/** What an agent offers: a name, or a port, or both; and the service behind it. */
export interface TunnelConfig extends TunnelRules {
  /** As it was typed. Absent only where there is a `listenPort`. */
  readonly hostname?: string
  /** In http mode, that it is for what is beneath this alone. */
  readonly path?: string
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

const ownFields = {
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

export const tunnelFields = { ...ownFields, ...ruleFields }

/** The list `tunnels` of the file; each is complete only once `problems.throwIfAny()` has passed. */
export function parseTunnels(
  map: YamlMap,
  env: Environment,
  problems: Problems,
  checks: RuleChecks,
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
    item.allowOnly(keys, {})
    const source = interpolated(item, env)
    const tunnel = readTunnel(source, problems, checks)
    once.check(item, tunnel)
    return tunnel
  })
}

/** Complete only once `problems.throwIfAny()` has passed. */
export function readTunnel(
  source: Source,
  problems: Problems,
  checks: RuleChecks,
): Partial<TunnelConfig> {
  requireName(source, problems)
  const values = readFields(ownFields, source, problems)
  const rules = readRules(source, problems, { ...checks, target: values.target })
  const tunnel = { ...tidied(values), ...rules }
  checkModes(source, tunnel, problems)
  checkTarget(source, values, problems)
  return tunnel
}

const keys = Object.values(tunnelFields).map((field) => field.key)

type Typed = Partial<Values<typeof ownFields>>
type FieldName = keyof typeof tunnelFields

/** The modes that a field has a meaning in; a field that is not here has one in all. */
const modesOf: { readonly [Name in FieldName]?: readonly TunnelConfig['mode'][] } = {
  listenPort: ['tcp'],
  ssh: ['tcp'],
  alpn: ['tcp'],
  proxyProtocol: ['tcp', 'tls'],
  idleTimeoutSec: ['tcp', 'tls'],
  responseTimeoutSec: ['http'],
  path: ['http'],
  stripPrefix: ['http'],
  hostHeader: ['http'],
  requestHeaders: ['http'],
  responseHeaders: ['http'],
  basicAuth: ['http'],
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
  const complainOf = (name: FieldName, reason: string) => {
    complain(source, problems, tunnelFields[name].key, reason)
  }
  if (target.tls === undefined) {
    const { targetSni, targetVerify, targetCaFile, targetHttp2 } = values
    const reason = 'is for https:// targets only'
    if (targetSni) complainOf('targetSni', reason)
    if (targetVerify === false) complainOf('targetVerify', reason)
    if (targetCaFile) complainOf('targetCaFile', reason)
    if (targetHttp2) complainOf('targetHttp2', `${reason}; write h2c://host:port`)
  }
  const isHttp = target.tls !== undefined || target.protocol !== undefined
  if (isHttp && mode !== 'http') {
    complainOf('target', `https:// and h2c:// are for mode http; this tunnel has mode ${mode}`)
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
  complain(source, problems, key, `is required: ${kind.allowed}; or give a listen_port`)
}

function checkModes(source: Source, set: Partial<TunnelConfig>, problems: Problems): void {
  const { mode } = set
  if (mode === undefined) return
  for (const [name, modes] of Object.entries(modesOf) as [FieldName, readonly string[]][]) {
    if (modes.includes(mode) || !Object.hasOwn(set, name)) continue
    const reason = `is for mode ${modes.join(' and ')}; this tunnel has mode ${mode}`
    complain(source, problems, tunnelFields[name].key, reason)
  }
}

/** What only one tunnel can have: a name with its path, a port, the plain SSH. */
class Once {
  readonly #problems: Problems
  readonly #lines = new Map<string, number | undefined>()
  readonly #modes = new Map<string, TunnelConfig['mode']>()

  constructor(problems: Problems) {
    this.#problems = problems
  }

  check(item: YamlMap, tunnel: Partial<TunnelConfig>): void {
    const { hostname, path = '', mode = 'http', listenPort, ssh } = tunnel
    const name = hostname && canonicalHostname(hostname)
    // Paths that differ in case alone are one to some targets, so none of the two could be served.
    if (name) this.#take(item, path ? 'path' : 'hostname', name + path.toLowerCase())
    if (name) this.#takeMode(item, name, mode)
    if (listenPort) this.#take(item, 'listen_port', `port ${listenPort}`)
    // Such a tunnel is known by its port, and of two with 0 nobody knows which is meant.
    else if (listenPort === 0 && hostname === undefined) {
      this.#take(item, 'listen_port', 'a 0 without a hostname')
    }
    if (ssh) this.#take(item, 'ssh', 'plain SSH')
  }

  /** Several may share a hostname by their paths, which are of http. */
  #takeMode(item: YamlMap, hostname: string, mode: TunnelConfig['mode']): void {
    const others = this.#modes.get(hostname) ?? mode
    this.#modes.set(hostname, others)
    if (mode === others) return
    complain(item, this.#problems, 'mode', `${hostname} has mode ${others} in another tunnel`)
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
