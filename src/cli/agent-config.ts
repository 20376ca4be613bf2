import { hostname as machineName } from 'node:os'
import { readToken } from '../auth/compact-form.ts'
import { isPasswordHash } from '../auth/password.ts'
import { checkSecret } from '../auth/secret.ts'
import type { TokenLife } from '../client/expiry-warning.ts'
import type { Route } from '../client/forward.ts'
import type { AgentGateway } from '../client/gateways.ts'
import type { AgentConnection } from '../client/settings.ts'
import type { AgentConfig } from '../config/agent.ts'
import { readText } from '../config/load.ts'
import { describeProxy } from '../config/proxy.ts'
import { formatHostPort } from '../net/address.ts'
import { pathRouteKey, portRouteKey } from '../protocol/messages.ts'
import { dialTls } from '../transport/tls.ts'
import { deriveAgentId } from './agent-id.ts'
import type { Invocation } from './arguments.ts'
import { readCertificates } from './ca-file.ts'
import { oneTunnel } from './one-tunnel.ts'
import { programVersion } from './version.ts'

// From what was typed, and the files it names, to what the agent's parts want.

/** The configuration, and the files it names. */
export async function load(invocation: Invocation) {
  const config = await loadConfig(invocation)
  const ca = config.caFile === undefined ? undefined : readCertificates(config.caFile, 'ca_file')
  return { config, ca, routes: routesOf(config) }
}

/** How the agent comes to its gateway, and as whom. */
export async function connectionOf(
  config: AgentConfig,
  ca: string | undefined,
  invocation: Invocation,
): Promise<AgentConnection> {
  return {
    gateways: gatewaysOf(config, ca),
    token: await tokenSource(config),
    tokenLife: tokenLife(config),
    agent: {
      id: config.agentId ?? deriveAgentId(invocation),
      name: machineName(),
      version: programVersion(),
      platform: `${process.platform}-${process.arch}`,
    },
  }
}

/** Where its gateways are, and how each is dialled. */
export function gatewaysOf(
  { gateways, skipTlsVerify }: AgentConfig,
  ca: string | undefined,
): AgentGateway[] {
  return gateways.map(({ host, port, proxy }) => ({
    dial: dialTls({ host, port, proxy, verify: !skipTlsVerify, ca }),
    address: formatHostPort({ host, port }),
    proxy: proxy && describeProxy(proxy),
  }))
}

export function configFileOf(invocation: Invocation): string {
  return invocation.value('config') ?? 'config.yaml'
}

/** From the file, or for one tunnel from the command line. */
async function loadConfig(invocation: Invocation): Promise<AgentConfig> {
  if (['http', 'tcp', 'tls'].includes(invocation.command.name)) return oneTunnel(invocation)
  const { parseAgentConfig } = await import('../config/agent-file.ts')
  const file = configFileOf(invocation)
  const text = readText(file, {
    hint: 'copy config.yaml.example, or name another one with --config',
  })
  return parseAgentConfig(text, { file, env: process.env, checkSecret, isPasswordHash })
}

/** A token for each connection: signed anew with the secret, or the one that was given. */
export async function tokenSource({ credentials }: AgentConfig): Promise<() => string> {
  if (credentials.kind === 'token') return () => credentials.token.reveal()
  const { signToken } = await import('../auth/jwt.ts')
  const { issuer, expireSec } = credentials
  return () => signToken({ secret: credentials.secret.reveal(), issuer, expireSec })
}

/** Of a token that was given; who has the secret always has a new one. */
export function tokenLife({ credentials }: AgentConfig): TokenLife | undefined {
  if (credentials.kind !== 'token') return undefined
  try {
    const { issuedAtSec, expiresAtSec } = readToken(credentials.token.reveal())
    return expiresAtSec === undefined ? undefined : { issuedAtSec, expiresAtSec }
  } catch {
    return undefined // what is wrong with it, the gateway says
  }
}

/** Each tunnel with the key that the gateway asks for it by, and the CA that its target is trusted by. */
function routesOf({ tunnels }: AgentConfig): Route[] {
  return tunnels.map(({ target: { tls, protocol, ...target }, path = '', ...tunnel }) => {
    const { caFile, ...rest } = tls ?? { verify: true }
    const ca = caFile === undefined ? undefined : readCertificates(caFile, 'target_ca_file')
    return {
      ...tunnel,
      hostname: tunnel.hostname
        ? pathRouteKey(tunnel.hostname, path)
        : portRouteKey(tunnel.listenPort ?? 0),
      target: { ...target, ...(tls && { tls: { ...rest, ...(ca !== undefined && { ca }) } }) },
      ...(protocol && { protocol }),
    }
  })
}
