import type { AgentConnection, AgentSettings } from '../client/settings.ts'
import type { AgentConfig } from '../config/agent.ts'
import { Secret } from '../config/secret.ts'
import type { Logger } from '../log.ts'
import { configFileOf, connectionOf, load } from './agent-config.ts'
import type { Invocation } from './arguments.ts'
import { describeReload } from './describe-reload.ts'
import type { Life } from './main.ts'
import { watchFile } from './watch-file.ts'

type Loaded = Awaited<ReturnType<typeof load>>

/**
 * Has the agent take up its configuration file when that changes, and on SIGHUP. One that cannot be used is told
 * of, with all that is wrong, and the one before stays. Gives what ends it.
 */
export function reloadOnChange(options: {
  readonly invocation: Invocation
  readonly life: Life
  readonly log: Logger
  readonly loaded: Loaded
  readonly connection: AgentConnection
  readonly change: (settings: AgentSettings) => Promise<void>
}): () => void {
  const { invocation, life, log, change } = options
  const file = configFileOf(invocation)
  let { loaded, connection } = options
  let reloading = Promise.resolve()
  // One after the other.
  const reload = () => (reloading = reloading.then(takeUp).catch(complain))
  // Of a terminal that is closed it means the end.
  if (!process.stdin.isTTY) life.onHangup(reload)
  return watchFile(file, reload)

  async function takeUp(): Promise<void> {
    const next = await load(invocation)
    const isSameConnection = fingerprint(wayOf(next)) === fingerprint(wayOf(loaded))
    if (isSameConnection && fingerprint(next.routes) === fingerprint(loaded.routes)) {
      log.info('configuration read, nothing has changed', { file })
      return
    }
    const nextConnection = isSameConnection
      ? connection
      : await connectionOf(next.config, next.ca, invocation)
    log.info('configuration read', { file })
    await change({ connection: nextConnection, tunnels: next.routes })
    loaded = next
    connection = nextConnection
  }

  function complain(error: unknown): void {
    const text = 'the changed configuration was not taken up, the one before stays'
    log.error(text, { file, ...describeReload(error) })
  }
}

/** What a new connection is needed for, if it has changed. */
function wayOf({ config, ca }: Loaded) {
  const { gateways, skipTlsVerify, credentials, agentId }: AgentConfig = config
  return { gateways, skipTlsVerify, credentials, agentId, ca }
}

/** Two are the same if what they hold is, secrets too. To be compared, and nothing else. */
function fingerprint(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, shown) {
    const held = this[key] // before its toJSON
    if (held instanceof Map) return [...held]
    return held instanceof Secret ? held.reveal() : shown
  })
}
