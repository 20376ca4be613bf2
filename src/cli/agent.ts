#!/usr/bin/env node
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
    async doctor(invocation, life) {
      const { doctor } = await import('./doctor/doctor.ts')
      await doctor(invocation, life)
    },
    async connect(invocation, life) {
      const { connect } = await import('./connect.ts')
      await connect(invocation, life)
    },
    async 'hash-password'(invocation) {
      const { printLogin } = await import('./hash-password.ts')
      await printLogin(invocation)
    },
  },
})

async function run(invocation: Invocation, life: Life): Promise<void> {
  const { runAgent } = await import('./run-agent.ts')
  await runAgent(invocation, life)
}
