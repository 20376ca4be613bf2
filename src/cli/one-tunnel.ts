import { isPasswordHash } from '../auth/password.ts'
import { checkSecret } from '../auth/secret.ts'
import { type AgentConfig, parseOneTunnel } from '../config/agent.ts'
import type { Source } from '../config/field.ts'
import type { Invocation } from './arguments.ts'

/** Where each key of a config.yaml is taken from instead; what is typed counts before the environment. */
const places: Readonly<Record<string, { option?: string; variable?: string }>> = {
  tunnel_addr: { option: 'server', variable: 'TUNNEL_ADDR' },
  token: { option: 'token', variable: 'GOTUNNEL_TOKEN' },
  jwt_secret: { option: 'secret', variable: 'JWT_SECRET' },
  ca_file: { option: 'ca' },
  skip_tls_verify: { option: 'insecure' },
  proxy: { option: 'proxy' },
  hostname: { option: 'hostname' },
  listen_port: { option: 'listen-port' },
  ssh: { option: 'ssh' },
  basic_auth: { option: 'basic-auth' },
  allow_ips: { option: 'allow-ips' },
  deny_ips: { option: 'deny-ips' },
  host_header: { option: 'host-header' },
}

/** `gotunnel-agent http 3000 --hostname app.example.com`: the configuration that a file would have. */
export function oneTunnel(invocation: Invocation): AgentConfig {
  const { env } = process
  return parseOneTunnel(sourceOf(invocation, env), { env, checkSecret, isPasswordHash })
}

function sourceOf(invocation: Invocation, env: NodeJS.ProcessEnv): Source {
  const typed = (key: string) => {
    const { option = '' } = places[key] ?? {}
    return invocation.value(option) ?? (invocation.has(option) ? 'true' : undefined)
  }
  const entries: Readonly<Record<string, () => string | undefined>> = {
    mode: () => invocation.command.name,
    target: () => invocation.argument,
    // Both may be in the environment: then the token, which was made for us, is meant.
    token: () => typed('token') ?? (typed('jwt_secret') ? undefined : env.GOTUNNEL_TOKEN),
    jwt_secret: () => {
      const isTokenMeant = typed('token') ?? env.GOTUNNEL_TOKEN
      return typed('jwt_secret') ?? (isTokenMeant ? undefined : env.JWT_SECRET)
    },
  }
  return {
    entry(key) {
      const { variable = '' } = places[key] ?? {}
      const text = entries[key] ? entries[key]() : (typed(key) ?? env[variable])
      return text === undefined ? undefined : { text }
    },
    pathOf(key) {
      if (key === 'target') return 'TARGET'
      const { option, variable } = places[key] ?? {}
      return [option && `--${option}`, variable].filter(Boolean).join(' or ') || key
    },
  }
}
