import { readToken } from '../../auth/compact-form.ts'
import type { AgentConfig } from '../../config/agent.ts'
import { isPortRouteKey, parsePathRouteKey } from '../../protocol/messages.ts'
import { load, tokenSource } from '../agent-config.ts'
import type { Invocation } from '../arguments.ts'
import { CliError } from '../errors.ts'
import type { Life } from '../main.ts'
import { type Finding, formatFinding, ok } from './finding.ts'
import { addressesOf, checkGateway } from './gateway.ts'
import { checkPublicName, checkScope, checkTarget } from './tunnels.ts'

/**
 * `gotunnel-agent doctor`: all that an agent depends on, looked at in the order in which it needs it.
 * @throws CliError CLI_UNWELL when something failed.
 */
export async function doctor(invocation: Invocation, life: Life): Promise<void> {
  const isColoured = process.stdout.isTTY && !process.env.NO_COLOR
  let failures = 0
  for await (const finding of findings(invocation, life)) {
    if (finding.state === 'failed') failures += 1
    process.stdout.write(formatFinding(finding, isColoured))
  }
  if (failures > 0) throw new CliError('CLI_UNWELL', `${failures} of the checks failed`)
}

async function* findings(invocation: Invocation, { signal }: Life): AsyncGenerator<Finding> {
  const { config, ca, routes } = await load(invocation)
  yield ok(
    'configuration',
    `good, with ${routes.length} ${routes.length === 1 ? 'tunnel' : 'tunnels'}`,
  )
  const token = await tokenSource(config)
  for (const address of config.gateways) {
    const verify = !config.skipTlsVerify
    yield* checkGateway({ address, verify, ca, token, signal })
  }
  const scope = checkScope(readToken(token()), routes)
  if (scope !== undefined) yield scope
  const gateway = await gatewayAddresses(config)
  for (const route of routes) {
    if (!isPortRouteKey(route)) {
      yield await checkPublicName(parsePathRouteKey(route.hostname).hostname, gateway)
    }
    yield await checkTarget(route)
  }
}

/** Those that are to be found. */
async function gatewayAddresses({ gateways }: AgentConfig): Promise<Set<string>> {
  const found = await Promise.allSettled(gateways.map(({ host }) => addressesOf(host)))
  return new Set(found.flatMap((each) => (each.status === 'fulfilled' ? each.value : [])))
}
