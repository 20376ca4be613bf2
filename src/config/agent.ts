import {
  type AgentConnection,
  type ConnectionOptions,
  connectionFields,
  credentialFields,
  readConnection,
} from './agent-connection.ts'
import { readTunnel, type TunnelConfig, tunnelFields } from './agent-tunnels.ts'
import { type ClosingSettings, closingFields } from './closing.ts'
import { type Environment, fromEnvironment } from './environment.ts'
import { Problems } from './errors.ts'
import { readFields, type Section, type Source } from './field.ts'
import { type LogSettings, logFields } from './logging.ts'
import { proxyVariables } from './proxy.ts'
import type { RuleChecks } from './tunnel-rules.ts'

/** What gotunnel-agent is told by its config.yaml or its command line, and about its own running by its environment. */
export interface AgentConfig extends ClosingSettings, AgentConnection, LogSettings {
  /** At least one; no two have the same name or port. */
  readonly tunnels: readonly TunnelConfig[]
}

export const agentSections: readonly Section[] = [
  { title: 'the gateway', fields: connectionFields },
  { title: 'credentials', fields: credentialFields },
  { title: 'each of tunnels', fields: tunnelFields },
]

export const runningFields = { ...closingFields, ...logFields }

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
