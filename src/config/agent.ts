import { dirname, resolve } from 'node:path'
import type { HostPort } from '../net/address.ts'
import { parseTunnels, type TunnelConfig, tunnelFields } from './agent-tunnels.ts'
import { Problems } from './errors.ts'
import {
  type Fields,
  optional,
  readFields,
  required,
  type Section,
  type Source,
  type Values,
  withDefault,
} from './field.ts'
import { interpolated } from './interpolate.ts'
import { type LogSettings, logFields } from './logging.ts'
import {
  filePath,
  flag,
  hostAndPort,
  identifier,
  integer,
  secret,
  shortText,
  token,
} from './parse.ts'
import type { Secret } from './secret.ts'
import type { Target } from './target.ts'
import { readYaml, type YamlMap } from './yaml.ts'

/** What gotunnel-agent is told by its config.yaml, and about logs by its environment. */
export interface AgentConfig extends LogSettings {
  readonly tunnelAddr: HostPort
  readonly skipTlsVerify: boolean
  /** Absolute, or relative to the working directory. */
  readonly caFile?: string
  readonly credentials: Credentials
  readonly agentId?: string
  /** At least one; no two have the same name or port. */
  readonly tunnels: readonly TunnelConfig[]
}

/** The shared secret, to sign tokens with; or a token somebody else has signed. */
export type Credentials =
  | {
      readonly kind: 'secret'
      readonly secret: Secret
      readonly issuer: string
      readonly expireSec: number
    }
  | { readonly kind: 'token'; readonly token: Secret }

export interface AgentConfigOptions {
  /** For messages, and as the place relative paths start from. */
  readonly file: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** What is wrong with a secret, if anything (`auth/secret.ts` knows). */
  readonly checkSecret: (text: string) => string | undefined
}

const connectionFields = {
  tunnelAddr: required(
    'tunnel_addr',
    hostAndPort({ defaultPort: 9443 }),
    "The gateway's address for agents.",
  ),
  skipTlsVerify: withDefault(
    'skip_tls_verify',
    flag,
    'false',
    "Do not check the gateway's certificate. For trials only: use `ca_file`.",
  ),
  caFile: optional(
    'ca_file',
    filePath,
    'PEM file with the CA to trust, in place of the public ones. Relative to this file.',
  ),
}

const credentialFields = {
  secret: optional('jwt_secret', secret, 'The secret shared with the gateway.'),
  issuer: withDefault('jwt_issuer', shortText, 'gotunnel', 'Who signs, as the gateway logs it.'),
  expireSec: withDefault(
    'jwt_expire_sec',
    integer({ min: 60, max: 31_536_000, unit: 'seconds' }),
    '3600',
    'How long a token is valid. A new one is signed for each connection.',
  ),
  token: optional('token', token, 'A token to present, in place of `jwt_secret`.'),
  agentId: optional('agent_id', identifier, 'Name of this agent. Not set: made at each start.'),
}

export const agentSections: readonly Section[] = [
  { title: 'the gateway', fields: connectionFields },
  { title: 'credentials', fields: credentialFields },
  { title: 'each of tunnels', fields: tunnelFields },
]

/** From the environment, not from the file. */
export const agentEnvironment: Section = { title: 'logs', fields: logFields }

/**
 * What all of the agent's commands take from the environment.
 * @throws ConfigError CONFIG_INVALID
 */
export function parseAgentEnvironment(env: AgentConfigOptions['env']): LogSettings {
  const problems = new Problems()
  const logs = readFields(logFields, fromEnvironment(env), problems)
  problems.throwIfAny()
  return logs as LogSettings // complete, since nothing was wrong
}

const refusedKeys = {
  tunnel_hostnames: 'is gone: the gateway knows its names by itself; remove it',
}

/** @throws ConfigError CONFIG_INVALID, with all that is wrong. */
export function parseAgentConfig(text: string, options: AgentConfigOptions): AgentConfig {
  const { file, env, checkSecret } = options
  const problems = new Problems()
  const logs = readFields(logFields, fromEnvironment(env), problems)
  const root = readYaml(text, file, problems)
  if (!root) problems.throwIfAny()
  const config = root && parseRoot(root)
  problems.throwIfAny()
  return Object.freeze({ ...logs, ...config }) as AgentConfig // complete, since nothing was wrong

  function parseRoot(map: YamlMap) {
    map.allowOnly(
      [...keysOf(connectionFields), ...keysOf(credentialFields), 'tunnels'],
      refusedKeys,
    )
    const source = interpolated(map, env)
    const connection = readFields(connectionFields, source, problems)
    const { agentId, ...rest } = readFields(credentialFields, source, problems)
    const weakness = rest.secret && checkSecret(rest.secret.reveal())
    if (weakness) {
      const at = map.entry('jwt_secret')?.at
      problems.add({ key: 'jwt_secret', reason: weakness, ...(at && { at }) })
    }
    return {
      ...connection,
      ...(connection.caFile && { caFile: resolve(dirname(file), connection.caFile) }),
      ...(agentId && { agentId }),
      credentials: chooseCredentials(rest, source, problems),
      tunnels: parseTunnels(map, env, problems).map((each) => withPaths(each, dirname(file))),
    }
  }
}

/** Relative paths start from where the file is. */
function withPaths(tunnel: Partial<TunnelConfig>, directory: string): Partial<TunnelConfig> {
  const { tls, ...target } = tunnel.target ?? {}
  if (tls?.caFile === undefined) return tunnel
  const caFile = resolve(directory, tls.caFile)
  return { ...tunnel, target: { ...(target as Target), tls: { ...tls, caFile } } }
}

function chooseCredentials(
  values: Partial<Values<typeof credentialFields>>,
  source: Source,
  problems: Problems,
): Credentials | undefined {
  const has = (key: string) => {
    const entry = source.entry(key)
    return entry !== undefined && (entry.refused !== undefined || entry.text.trim() !== '')
  }
  const complain = (key: string, reason: string) => {
    const at = source.entry(key)?.at ?? source.at
    problems.add({ key, reason, ...(at && { at }) })
  }
  if (has('jwt_secret') && has('token')) {
    complain('token', 'is here beside jwt_secret: keep the one that is meant')
  } else if (!has('jwt_secret') && !has('token')) {
    complain('jwt_secret', "is required: the gateway's JWT_SECRET; or give a token")
  }
  const { secret: shared, token: given, issuer, expireSec } = values
  if (given) return { kind: 'token', token: given }
  if (!shared || issuer === undefined || expireSec === undefined) return undefined
  return { kind: 'secret', secret: shared, issuer, expireSec }
}

function fromEnvironment(env: AgentConfigOptions['env']): Source {
  return {
    entry(key) {
      const text = env[key]
      return text === undefined ? undefined : { text }
    },
  }
}

function keysOf(fields: Fields): string[] {
  return Object.values(fields).map((field) => field.key)
}
