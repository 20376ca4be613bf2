import { AddressRanges } from '../net/address-ranges.ts'
import { PortRanges } from '../net/port-ranges.ts'
import { type AccessOptions, accessFields, readAccess } from './access.ts'
import {
  type AcmeCa,
  acmeCaOf,
  type CertificateValues,
  certificateFields,
  checkCertificates,
} from './acme.ts'
import { type ClosingSettings, closingFields } from './closing.ts'
import { type Environment, fromEnvironment } from './environment.ts'
import { Problems } from './errors.ts'
import {
  type Field,
  optional,
  readFields,
  required,
  type Section,
  type Values,
  withDefault,
} from './field.ts'
import { type LogSettings, logFields } from './logging.ts'
import {
  addressRanges,
  canonicalName,
  choice,
  flag,
  integer,
  ipAddress,
  port,
  portRanges,
} from './parse.ts'
import { closest } from './suggest.ts'

/** What gotunnel-server is told by its environment. */
export interface ServerConfig
  extends Omit<Values<typeof nameFields>, 'tcpPorts' | 'trustedProxies'>,
    Omit<Values<typeof accessFields>, 'dashboardBind'>,
    CertificateValues,
    Values<typeof protocolFields>,
    LogSettings,
    ClosingSettings,
    Values<typeof accessLogFields> {
  /** The CA that is asked; undefined where it is none that speaks ACME. */
  readonly acmeCa: AcmeCa | undefined
  /** Empty where there are none. */
  readonly tcpPorts: PortRanges
  readonly trustedProxies: AddressRanges
  /** Undefined: all addresses. */
  readonly dashboardBind: string | undefined
  readonly limits: Values<typeof limitFields>
}

const nameFields = {
  gatewayHost: required(
    'GATEWAY_HOST',
    canonicalName,
    'Public name of the gateway itself, where its own pages are.',
  ),
  gatewayPort: withDefault('GATEWAY_PORT', port, '443', 'Public port for https and TLS.'),
  httpPort: withDefault('HTTP_PORT', port, '80', 'Public port for http; redirects to https.'),
  tunnelHost: required('TUNNEL_HOST', canonicalName, 'Public name that agents connect to.'),
  tunnelPort: withDefault('TUNNEL_PORT', port, '9443', 'Port that agents connect to.'),
  bindAddress: optional(
    'BIND_ADDRESS',
    ipAddress,
    'The one address to listen on. Not set: all, IPv6 and IPv4.',
  ),
  tcpPorts: optional(
    'TCP_PORTS',
    portRanges,
    'Public ports that agents may ask for (`listen_port`). Not set: none.',
  ),
  trustedProxies: optional(
    'TRUSTED_PROXIES',
    addressRanges,
    "Load balancers in front. What connects from there must begin with a PROXY protocol header (version 1 or 2), which has the visitor's address.",
  ),
}

const protocolFields = {
  http2: withDefault(
    'HTTP2',
    choice(['auto', 'on', 'off']),
    'auto',
    'Whether visitors may have HTTP/2. `auto`: where the Node that runs it is patched (22.23, 24.21, 26.10 or newer of these lines), for older ones can be made to crash by it.',
  ),
}

const limitFields = {
  connections: withDefault(
    'MAX_CONNECTIONS',
    integer({ min: 1, max: 1_000_000 }),
    '15000',
    'Visitors connected at one time; three quarters of the file descriptors (`ulimit -n`) at most.',
  ),
  connectionsPerAddress: withDefault(
    'MAX_CONNECTIONS_PER_ADDRESS',
    integer({ min: 1, max: 1_000_000 }),
    '1000',
    'Visitors connected at one time from one IP address.',
  ),
  streamsPerConnection: withDefault(
    'MAX_STREAMS_PER_CONNECTION',
    integer({ min: 1, max: 1000 }),
    '100',
    "Requests at one time on one visitor's connection, with HTTP/2.",
  ),
  agents: withDefault(
    'MAX_AGENTS',
    integer({ min: 1, max: 100_000 }),
    '2000',
    'Agents connected at one time.',
  ),
  pendingAgents: withDefault(
    'MAX_PENDING_AGENTS',
    integer({ min: 1, max: 100_000 }),
    '1000',
    'Connections of agents that are not admitted yet.',
  ),
  headerBytes: withDefault(
    'MAX_HEADER_BYTES',
    integer({ min: 1024, max: 1_048_576, unit: 'bytes' }),
    '65536',
    "A request's header block; beyond it the answer is 431.",
  ),
  headerLines: withDefault(
    'MAX_HEADER_LINES',
    integer({ min: 10, max: 1000 }),
    '100',
    "A request's header lines; beyond it the answer is 431.",
  ),
  headerTimeoutSec: withDefault(
    'HEADER_TIMEOUT_SEC',
    integer({ min: 1, max: 3600, unit: 'seconds' }),
    '10',
    "How long a request's header may take to arrive; beyond it the answer is 408.",
  ),
  idleTimeoutSec: withDefault(
    'IDLE_TIMEOUT_SEC',
    integer({ min: 1, max: 86_400, unit: 'seconds' }),
    '120',
    "How long nothing may move on a visitor's connection, in mode http.",
  ),
  responseTimeoutSec: withDefault(
    'RESPONSE_TIMEOUT_SEC',
    integer({ min: 0, max: 86_400, unit: 'seconds' }),
    '60',
    "How long a service may take until its answer begins; beyond it the answer is 504. 0: as long as it likes. A tunnel's `response_timeout` comes first.",
  ),
  minUploadRate: withDefault(
    'MIN_UPLOAD_RATE',
    integer({ min: 0, max: 1_000_000, unit: 'bytes' }),
    '100',
    'Bytes a second that an upload of known length must have, over 20 s; beneath it the answer is 408. 0: any number will do.',
  ),
}

const accessLogFields = {
  logQuery: withDefault(
    'ACCESS_LOG_QUERY',
    flag,
    'false',
    'Log each request with its query, which may hold what nobody else should see.',
  ),
}

export const serverSections: readonly Section[] = [
  { title: 'names and ports', fields: nameFields },
  { title: 'access', fields: accessFields },
  { title: 'certificates', fields: certificateFields },
  { title: 'protocols', fields: protocolFields },
  { title: 'limits', fields: limitFields },
  { title: 'running', fields: { ...closingFields, ...logFields, ...accessLogFields } },
]

/** @throws ConfigError CONFIG_INVALID, with all that is wrong. */
export function parseServerConfig(env: Environment, options: AccessOptions): ServerConfig {
  const { checkSecret, positionOf } = options
  const problems = new Problems()
  const source = fromEnvironment(env, positionOf)
  const names = readFields(nameFields, source, problems)
  const access = readAccess(source, problems, checkSecret)
  const certificates = readFields(certificateFields, source, problems)
  const protocols = readFields(protocolFields, source, problems)
  const limits = readFields(limitFields, source, problems)
  const rest = readFields({ ...closingFields, ...logFields, ...accessLogFields }, source, problems)

  checkCertificates(certificates, complain)
  findSharedPort({ ...names, ...access }, complain)
  const own = namedOwnPort({ ...names, ...access }, names.tcpPorts)
  if (own) complain('TCP_PORTS', `has port ${own.port}, which is ${own.key}'s already`)
  problems.throwIfAny()

  function complain(key: string, reason: string): void {
    const at = positionOf?.(key)
    problems.add({ key, reason, ...(at && { at }) })
  }
  // Complete, since nothing was wrong.
  return Object.freeze({
    ...names,
    ...access,
    dashboardBind:
      access.dashboardBind ?? (access.dashboardPassword ? names.bindAddress : '127.0.0.1'),
    ...certificates,
    ...protocols,
    ...rest,
    acmeCa: acmeCaOf(certificates as CertificateValues),
    tcpPorts: names.tcpPorts ?? new PortRanges([]),
    trustedProxies: names.trustedProxies ?? new AddressRanges([]),
    limits,
  }) as ServerConfig
}

type Ports = Partial<
  Record<'gatewayPort' | 'httpPort' | 'tunnelPort' | 'dashboardPort', number | undefined>
>

function findSharedPort(ports: Ports, complain: (key: string, reason: string) => void): void {
  const holders = new Map<number, string>()
  for (const { key, port } of ownPorts(ports)) {
    const holder = holders.get(port)
    if (holder === undefined) holders.set(port, key)
    else complain(key, `port ${port} is ${holder}'s already; each needs its own`)
  }
}

/** One of ours that is named for agents by itself; one within a range is just taken. */
function namedOwnPort(ports: Ports, forAgents: PortRanges | undefined) {
  const single = forAgents?.ranges.filter(({ min, max }) => min === max).map(({ min }) => min)
  return ownPorts(ports).find(({ port }) => single?.includes(port))
}

function ownPorts(ports: Ports): { key: string; port: number }[] {
  const names = ['gatewayPort', 'httpPort', 'tunnelPort', 'dashboardPort'] as const
  return names.flatMap((name) => {
    const { key } = name === 'dashboardPort' ? accessFields[name] : nameFields[name]
    const port = ports[name]
    return port ? [{ key, port }] : []
  })
}

/**
 * What a person may have meant for us, and we do not take: names in a `.env` file that look like one of ours
 * misspelt. Sentences for a warning, without any values.
 */
export function findIgnoredKeys(keysOfFile: readonly string[]): string[] {
  const known = serverSections.flatMap(({ fields }) => Object.values(fields).map(keyOf))
  return keysOfFile
    .filter((key) => !known.includes(key))
    .flatMap((key) => {
      const meant = closest(key, known, 1 / 6) // nearer than usual: the file may be shared with other programs
      return meant ? [`${key} has no effect: did you mean ${meant}?`] : []
    })
}

function keyOf(field: Field<unknown>): string {
  return field.key
}
