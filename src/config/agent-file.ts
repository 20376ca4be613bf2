/** The agent's config.yaml. Apart from the rest for what reads no file: the parser of YAML is large. */
import { dirname, resolve } from 'node:path'
import { type AgentConfig, runningFields } from './agent.ts'
import {
  type ConnectionOptions,
  connectionFields,
  credentialFields,
  readConnection,
} from './agent-connection.ts'
import { parseTunnels, type TunnelConfig } from './agent-tunnels.ts'
import { fromEnvironment } from './environment.ts'
import { Problems } from './errors.ts'
import { type Fields, readFields } from './field.ts'
import { interpolated } from './interpolate.ts'
import type { Target } from './target.ts'
import type { RuleChecks } from './tunnel-rules.ts'
import { readYaml, type YamlMap } from './yaml.ts'

export interface AgentConfigOptions extends ConnectionOptions, RuleChecks {
  /** For messages, and as the place relative paths start from. */
  readonly file: string
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

function keysOf(fields: Fields): string[] {
  return Object.values(fields).map((field) => field.key)
}
