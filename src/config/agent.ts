import { dirname, resolve } from 'node:path'
import {
  type AgentConnection,
  type ConnectionOptions,
  connectionFields,
  credentialFields,
  readConnection,
} from './agent-connection.ts'
import { parseTunnels, readTunnel, type TunnelConfig, tunnelFields } from './agent-tunnels.ts'
import { type ClosingSettings, closingFields } from './closing.ts'
import { type Environment, fromEnvironment } from './environment.ts'
import { Problems } from './errors.ts'
import { type Fields, readFields, type Section, type Source } from './field.ts'
import { interpolated } from './interpolate.ts'
import { type LogSettings, logFields } from './logging.ts'
import { proxyVariables } from './proxy.ts'
import type { Target } from './target.ts'
import type { RuleChecks } from './tunnel-rules.ts'
import { readYaml, type YamlMap } from './yaml.ts'

/** What gotunnel-agent is told by its config.yaml or its command line, and about its own running by its environment. */
export interface AgentConfig extends ClosingSettings, AgentConnection, LogSettings {
  /** At least one; no two have the same name or port. */
  readonly tunnels: readonly TunnelConfig[]
}

export interface AgentConfigOptions extends ConnectionOptions, RuleChecks {
  /** For messages, and as the place relative paths start from. */
  readonly file: string
}

export const agentSections: readonly Section[] = [
  { title: 'the gateway', fields: connectionFields },
  { title: 'credentials', fields: credentialFields },
  { title: 'each of tunnels', fields: tunnelFields },
]

const runningFields = { ...closingFields, ...logFields }

/** From the environment, not from the file. */
export const agentEnvironment: Section = {
  title: 'running and proxies',
  fields: { ...runningFields, ...proxyVariables },
}

/**
 * What all of the agent's commands take from the environment.
 * @throws ConfigError CONFIG_INVALID
 */
export function parseAgentEnvironment(env: Environment): LogSettings {
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
  const { file, env } = options
  const problems = new Problems()
  const running = readFields(runningFields, fromEnvironment(env), problems)
  const root = readYaml(text, file, problems)
  if (!root) problems.throwIfAny()
  const config = root && parseRoot(root)
  problems.throwIfAny()
  return Object.freeze({ ...running, ...config }) as AgentConfig // complete, since nothing was wrong

  function parseRoot(map: YamlMap) {
    map.allowOnly(
      [...keysOf(connectionFields), ...keysOf(credentialFields), 'tunnels'],
      refusedKeys,
    )
    const connection = readConnection(interpolated(map, env), options, problems)
    return {
      ...connection,
      ...(connection.caFile && { caFile: resolve(dirname(file), connection.caFile) }),
      tunnels: parseTunnels(map, env, problems, options).map((each) =>
        withPaths(each, dirname(file)),
      ),
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

/**
 * The configuration of one tunnel, without a file: by the keys that the file has.
 * @throws ConfigError CONFIG_INVALID, with all that is wrong.
 */
export function parseOneTunnel(
  source: Source,
  options: ConnectionOptions & RuleChecks,
): AgentConfig {
  const problems = new Problems()
  const running = readFields(runningFields, fromEnvironment(options.env), problems)
  const connection = readConnection(source, options, problems)
  const tunnel = readTunnel(source, problems, options)
  problems.throwIfAny()
  return Object.freeze({ ...running, ...connection, tunnels: [tunnel] }) as AgentConfig // complete, as above
}

function keysOf(fields: Fields): string[] {
  return Object.values(fields).map((field) => field.key)
}
