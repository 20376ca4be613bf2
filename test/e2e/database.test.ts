import t from 'tap'
import { Program, startAgent, startGateway } from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { startRedis } from './daemons.ts'
import { run } from './visitor.ts'

// A database with its own clients, without TLS and with it.

const skip = lacks('redis-server', 'redis-cli', 'redis-benchmark')

t.test('Redis', { skip }, async (t) => {
  const redis = await startRedis(t)
  const gateway = await startGateway(t, { env: { TCP_PORTS: '20000-29999' } })
  const agent = await startAgent(t, gateway, [
    { hostname: 'redis.localhost', target: redis, mode: 'tcp', listen_port: 0 },
  ])
  const connect = new Program(t, {
    file: 'agent.js',
    cwd: gateway.directory,
    env: {},
    args: [
      ...['connect', `redis.localhost:${gateway.ports.public}`],
      ...['--ca', gateway.caFile, '--listen', '127.0.0.1:0'],
    ],
  })
  const { address } = await connect.waitFor('listening')
  const { ports } = (await agent.waitFor('connected')) as unknown as {
    ports: { 'redis.localhost': number }
  }
  const tls = ['--tls', '--cacert', gateway.caFile, '--sni', 'redis.localhost']
  const ways: Record<string, string[]> = {
    'connect --listen': ['-p', String(address).split(':').at(-1) ?? ''],
    listen_port: ['-p', String(ports['redis.localhost'])],
    'TLS of its own': ['-p', String(gateway.ports.public), ...tls],
  }

  for (const [way, args] of Object.entries(ways)) {
    t.test(`its client has what it wrote, by ${way}`, async (t) => {
      const cli = async (words: string[], input = '') => {
        const all = ['-h', '127.0.0.1', ...args, ...words]
        const { code, stdout, stderr } = await run('redis-cli', all, ({ stdin }) => {
          stdin.end(input)
        })
        t.strictSame([code, stderr], [0, ''])
        return stdout.toString()
      }
      const value = 'v'.repeat(5_000_000)
      t.equal(await cli(['-x', 'SET', 'large'], value), 'OK\n')
      t.ok((await cli(['GET', 'large'])) === `${value}\n`)
      t.equal(await cli(['FLUSHALL']), 'OK\n')

      const commands = Array.from({ length: 20_000 }, () => 'INCR counter\r\n').join('')
      t.match(await cli(['--pipe'], commands), 'errors: 0, replies: 20000')
      t.equal(await cli(['GET', 'counter']), '20000\n')
    })
  }

  t.test('50 clients at once are served', async (t) => {
    for (const way of ['connect --listen', 'listen_port']) {
      const args = ['-h', '127.0.0.1', ...(ways[way] ?? []), '-c', '50', '-n', '20000', '-t', 'get']
      const { code, stdout } = await run('redis-benchmark', [...args, '--csv'])
      t.equal(code, 0)
      t.match(stdout.toString(), /"GET","[\d.]+"/)
      t.comment(`${way}: ${/"GET","([\d.]+)"/.exec(stdout.toString())?.[1]} requests/s`)
    }
  })

  t.test('the local port ends with its program, cleanly', async (t) => {
    t.strictSame(await connect.kill('SIGTERM'), { code: 0, signal: null })
    const opened = connect.logged('connection opened').length
    t.ok(opened > 50)
    t.equal(connect.logged('connection closed').length, opened, 'none failed')
    t.equal(connect.stderr, '')
  })
})
