import { Agent } from '../client/agent.ts'
import type { AgentSettings } from '../client/settings.ts'
import type { AgentConfig } from '../config/agent.ts'
import { describeProxy } from '../config/proxy.ts'
import { formatHostPort } from '../net/address.ts'
import { connectionOf, load } from './agent-config.ts'
import { monitorAddress, openMonitor } from './agent-monitor.ts'
import { reloadOnChange } from './agent-reload.ts'
import type { Invocation } from './arguments.ts'
import { letHeapGrow } from './heap.ts'
import type { LiveStatus } from './live/live-status.ts'
import { createLogger } from './logger.ts'
import type { Life } from './main.ts'
import { endOfLifeNotice, programVersion } from './version.ts'

export async function runAgent(invocation: Invocation, life: Life): Promise<void> {
  const loaded = await load(invocation)
  const { config, ca, routes: tunnels } = loaded
  const metricsAt = monitorAddress(invocation)
  if (invocation.has('check')) return printSummary(config)

  const live = await liveStatus(config, programVersion())
  const log = live ?? createLogger(config)
  life.useLogger(log)
  const notice = endOfLifeNotice(process.version)
  if (notice) log.warn(notice)
  if (config.skipTlsVerify) log.warn("the gateway's certificate is not checked (skip_tls_verify)")

  const connection = await connectionOf(config, ca, invocation)
  const agent = new Agent({
    ...{ connection, tunnels, log },
    graceMs: config.shutdownGraceSec * 1000,
    ...(live && { onRequests: live.onRequests }),
  })
  live?.watch(agent)
  const monitor = await openMonitor(metricsAt, { agent, version: programVersion(), log })
  let stopReloading: (() => void) | undefined
  if (invocation.command.name === '') {
    const change = (settings: AgentSettings) => agent.change(settings)
    stopReloading = reloadOnChange({ invocation, life, log, loaded, connection, change })
  }
  letHeapGrow()
  await agent.run(life.signal)
  stopReloading?.()
  await monitor?.close()
  log.info('closed')
}

/** For people at a terminal, unless they have asked for a log of some form. */
async function liveStatus(
  { logFormat, logLevel, gateways }: AgentConfig,
  version: string,
): Promise<LiveStatus | undefined> {
  const { stdout: terminal } = process
  const isWanted = logFormat === 'auto' && logLevel !== 'debug' && process.env.TERM !== 'dumb'
  if (!terminal.isTTY || !isWanted) return undefined
  const { LiveStatus } = await import('./live/live-status.ts')
  const gateway = gateways.map(formatHostPort).join(', ')
  return new LiveStatus({ terminal, version, gateway })
}

function printSummary(config: AgentConfig): void {
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
function publicSide(tunnel: AgentConfig['tunnels'][number]): string {
  const { hostname, path = '', listenPort, ssh } = tunnel
  const port = listenPort === 0 ? 'any port' : listenPort !== undefined && `port ${listenPort}`
  return [hostname && hostname + path, port, ssh && 'plain SSH'].filter(Boolean).join(', ')
}
