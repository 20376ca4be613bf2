import { spawn } from 'node:child_process'
import { once, setMaxListeners } from 'node:events'
import { join } from 'node:path'
import { signToken } from '../src/auth/jwt.ts'
import { Agent } from '../src/client/agent.ts'
import { dialTls } from '../src/transport/tls.ts'
import {
  cli,
  type Gateway,
  sharedSecret,
  startAgent,
  startGateway,
} from '../test/support/programs.ts'
import { residentKiB } from './accounting.ts'
import { compare, type Result, type Suite, suiteOf } from './measure.ts'
import { type BenchScope, inScope } from './scope.ts'

const manyAgents = 1_000
const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** The two programs by themselves: how soon they are there, and what they hold. */
export const programsSuite: Suite = suiteOf({ 'start-up': startUp, memory })

async function* startUp(rounds: number): AsyncGenerator<Result> {
  const printing =
    (...args: string[]) =>
    async () => {
      const startMs = performance.now()
      await once(spawn(process.execPath, args, { stdio: 'ignore' }), 'exit')
      return [performance.now() - startMs]
    }
  yield* await compare(
    [{ name: 'start-up', unit: 'ms', better: 'less' }],
    {
      'node alone': printing('-e', '0'),
      'server --version': printing(join(cli, 'server.js'), '--version'),
      'agent --version': printing(join(cli, 'agent.js'), '--version'),
      'server to ready': () =>
        inScope(async (scope) => {
          const startMs = performance.now()
          await startGateway(scope)
          return [performance.now() - startMs]
        }),
      'agent to connected': () =>
        inScope(async (scope) => {
          const gateway = await startGateway(scope)
          const startMs = performance.now()
          await startAgent(scope, gateway, [{ hostname: 'app.localhost', target: 9 }])
          return [performance.now() - startMs]
        }),
    },
    rounds,
  )
}

async function* memory(): AsyncGenerator<Result> {
  yield* await compare(
    [
      { name: 'resident, idle', unit: 'MiB', better: 'less' },
      { name: `for each of ${manyAgents} agents`, unit: 'KiB', better: 'less' },
    ],
    {
      gateway: () =>
        inScope(async (scope) => {
          const gateway = await startGateway(scope, { env: { MAX_AGENTS: '5000' } })
          const before = residentKiB(gateway.program.pid)
          await connectAgents(scope, gateway)
          const after = residentKiB(gateway.program.pid)
          return [before / 1024, (after - before) / manyAgents]
        }),
      agent: () =>
        inScope(async (scope) => {
          const gateway = await startGateway(scope)
          const agent = await startAgent(scope, gateway, [{ hostname: 'app.localhost', target: 9 }])
          return [residentKiB(agent.pid) / 1024]
        }),
    },
    1,
    { warmUps: 0 },
  )
}

/** All in this process. */
async function connectAgents(scope: BenchScope, { ports, ca }: Gateway): Promise<void> {
  const stop = new AbortController()
  setMaxListeners(0, stop.signal)
  const dial = dialTls({ host: 'localhost', port: ports.tunnel, ca, timeoutMs: 60_000 })
  const running: Promise<void>[] = []
  const connected = Array.from({ length: manyAgents }, (_, at) => {
    const agent = new Agent({
      connection: {
        gateways: [{ dial }],
        token: () => signToken({ secret: sharedSecret, issuer: 'bench', expireSec: 3600 }),
      },
      tunnels: [
        {
          hostname: `app-${at}.localhost`,
          mode: 'http',
          target: { host: '127.0.0.1', port: 9, text: '9' },
        },
      ],
      log: silent,
    })
    const isConnected = new Promise<void>((resolve) => {
      agent.on('state', (state) => state === 'connected' && resolve())
    })
    running.push(agent.run(stop.signal))
    return isConnected
  })
  scope.teardown(async () => {
    stop.abort()
    await Promise.all(running)
  })
  await Promise.all(connected)
}
