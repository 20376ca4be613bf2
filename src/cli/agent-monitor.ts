import type { Agent } from '../client/agent.ts'
import type { Monitor } from '../client/monitor.ts'
import { listenAddress } from '../config/parse.ts'
import type { Logger } from '../log.ts'
import { formatHostPort } from '../net/address.ts'
import type { Invocation } from './arguments.ts'
import { typed } from './typed.ts'

/** What `--metrics-port` asks for. Checked before anything is begun. @throws CliError CLI_USAGE */
export function monitorAddress(invocation: Invocation) {
  return typed('--metrics-port', listenAddress, invocation.value('metrics-port'))
}

/** Listening, if that was asked for. @throws NetError */
export async function openMonitor(
  at: ReturnType<typeof monitorAddress>,
  { agent, version, log }: { agent: Agent; version: string; log: Logger },
): Promise<Monitor | undefined> {
  if (at === undefined) return undefined
  const { Monitor } = await import('../client/monitor.ts')
  const monitor = new Monitor({ agent, version })
  const { address: host, port } = await monitor.listen(at)
  log.info('listening', { listener: 'metrics', address: formatHostPort({ host, port }) })
  return monitor
}
