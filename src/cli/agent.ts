#!/usr/bin/env node
import type { TokenLife } from '../client/expiry-warning.ts'
import type { Route } from '../client/forward.ts'
import type { AgentGateway } from '../client/gateways.ts'
import type { AgentConfig } from '../config/agent.ts'
import { agentUsage } from './agent-usage.ts'
import type { Invocation } from './arguments.ts'
import { type Life, main } from './main.ts'

await main({
  usage: agentUsage,
  async sections() {
    const { agentEnvironment, agentSections } = await import('../config/agent.ts')
    const { prefixed } = await import('../config/reference.ts')
    return [
      ...prefixed('config.yaml', agentSections),
      ...prefixed('Environment', [agentEnvironment]),
    ]
  },
  commands: {
    '': run,
    http: run,
    tcp: run,
    tls: run,
    async connect(invocation, life) {
      const { connect } = await import('./connect.ts')
      await connect(invocation, life)
    },
  },
})

async function run(invocation: Invocation, life: Life): Promise<void> {
  const { config, ca, routes } = await load(invocation)
  if (invocation.has('check')) return printSummary(config)

  const { createLogger } = await import('./logger.ts')
  const log = createLogger(config)
  life.useLogger(log)
  const { endOfLifeNotice, programVersion } = await import('./version.ts')
  const notice = endOfLifeNotice(process.version)
  if (notice) log.warn(notice)
  if (config.skipTlsVerify) log.warn("the gateway's certificate is not checked (skip_tls_verify)")

  const { Agent } = await import('../client/agent.ts')
  const { hostname: machineName } = await import('node:os')
  const { deriveAgentId } = await import('./agent-id.ts')
  const agent = new Agent({
    gateways: await gatewaysOf(config, ca),
    token: await tokenSource(config),
    tokenLife: await tokenLife(config),
    tunnels: routes,
    agent: {
      id: config.agentId ?? deriveAgentId(invocation),
      name: machineName(),
      version: programVersion(),
      platform: `${process.platform}-${process.arch}`,
    },
    log,
  })
  await agent.run(life.signal)
  log.info('closed')
}

/** The configuration, and the files it names. */
async function load(invocation: Invocation) {
  const config = await loadConfig(invocation)
  const { readCertificates } = await import('./ca-file.ts')
  const ca = config.caFile === undefined ? undefined : readCertificates(config.caFile, 'ca_file')
  return { config, ca, routes: await routesOf(config) }
}

async function gatewaysOf(
  { gateways, skipTlsVerify }: AgentConfig,
  ca: string | undefined,
): Promise<AgentGateway[]> {
  const { dialTls } = await import('../transport/tls.ts')
  const { describeProxy } = await import('../config/proxy.ts')
  const { formatHostPort } = await import('../net/address.ts')
  return gateways.map(({ host, port, proxy }) => ({
    dial: dialTls({ host, port, proxy, verify: !skipTlsVerify, ca }),
    address: formatHostPort({ host, port }),
    proxy: proxy && describeProxy(proxy),
  }))
}

/** From the file, or for one tunnel from the command line. */
async function loadConfig(invocation: Invocation): Promise<AgentConfig> {
  if (invocation.command.name !== '') {
    const { oneTunnel } = await import('./one-tunnel.ts')
    return oneTunnel(invocation)
  }
  const { readText } = await import('../config/load.ts')
  const { parseAgentConfig } = await import('../config/agent.ts')
  const { checkSecret } = await import('../auth/secret.ts')
  const file = invocation.value('config') ?? 'config.yaml'
  const text = readText(file, {
    hint: 'copy config.yaml.example, or name another one with --config',
  })
  return parseAgentConfig(text, { file, env: process.env, checkSecret })
}

/** A token for each connection: signed anew with the secret, or the one that was given. */
async function tokenSource({ credentials }: AgentConfig): Promise<() => string> {
  if (credentials.kind === 'token') return () => credentials.token.reveal()
  const { signToken } = await import('../auth/jwt.ts')
  const { issuer, expireSec } = credentials
  return () => signToken({ secret: credentials.secret.reveal(), issuer, expireSec })
}

/** Of a token that was given; who has the secret always has a new one. */
async function tokenLife({ credentials }: AgentConfig): Promise<TokenLife | undefined> {
  if (credentials.kind !== 'token') return undefined
  const { readToken } = await import('../auth/jwt.ts')
  try {
    const { issuedAtSec, expiresAtSec } = readToken(credentials.token.reveal())
    return expiresAtSec === undefined ? undefined : { issuedAtSec, expiresAtSec }
  } catch {
    return undefined // what is wrong with it, the gateway says
  }
}

/** Each tunnel with the key that the gateway asks for it by, and the CA that its target is trusted by. */
async function routesOf({ tunnels }: AgentConfig): Promise<Route[]> {
  const { portRouteKey } = await import('../protocol/messages.ts')
  const { readCertificates } = await import('./ca-file.ts')
  return tunnels.map(({ target: { tls, protocol, ...target }, ...tunnel }) => {
    const { caFile, ...rest } = tls ?? { verify: true }
    const ca = caFile === undefined ? undefined : readCertificates(caFile, 'target_ca_file')
    return {
      ...tunnel,
      hostname: tunnel.hostname ?? portRouteKey(tunnel.listenPort ?? 0),
      target: { ...target, ...(tls && { tls: { ...rest, ...(ca !== undefined && { ca }) } }) },
      ...(protocol && { protocol }),
    }
  })
}

async function printSummary(config: AgentConfig): Promise<void> {
  const { describeProxy } = await import('../config/proxy.ts')
  const { formatHostPort } = await import('../net/address.ts')
  const { gateways, skipTlsVerify, caFile, credentials, tunnels } = config
  const trust = skipTlsVerify ? 'not checked' : (caFile ?? 'public CAs')
  const lines = [
    'configuration ok',
    ...gateways.map(({ proxy, ...address }) => {
      const way = proxy ? `by ${describeProxy(proxy)}, ` : ''
      return `  gateway      ${formatHostPort(address)} (${way}certificate: ${trust})`
    }),
    `  credentials  ${credentials.kind === 'token' ? 'a token' : 'the shared secret'}`,
    ...tunnels.map(
      (tunnel) => `  ${tunnel.mode.padEnd(12)} ${publicSide(tunnel)} → ${tunnel.target.text}`,
    ),
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** `ssh.example.com, port 2222`, as far as the configuration tells. */
function publicSide({ hostname, listenPort, ssh }: AgentConfig['tunnels'][number]): string {
  const port = listenPort === 0 ? 'any port' : listenPort !== undefined && `port ${listenPort}`
  return [hostname, port, ssh && 'plain SSH'].filter(Boolean).join(', ')
}
