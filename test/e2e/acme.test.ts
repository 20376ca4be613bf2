import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { lacks } from '../support/tools.js'
import { createWorld, startAgentOf } from './acme.ts'
import { serveHttp } from './targets.ts'

const skip = lacks('pebble') || lacks('pebble-challtestsrv')
const ok = (t: Parameters<typeof serveHttp>[0]) =>
  serveHttp(t, (_request, response) => void response.end('hello'))

t.test('certificates on demand', { skip }, async (t) => {
  const world = await createWorld(t)
  const gateway = await world.start()
  const target = await ok(t)
  const offer = (hostname: string) => ({ hostname, target })

  t.test(
    'the first curl gets the certificate and its answer at once',
    { skip: lacks('curl') },
    async (t) => {
      await startAgentOf(t, gateway, [offer('app.example.com')])
      const url = `https://app.example.com:${gateway.ports.public}/`
      const to = `app.example.com:${gateway.ports.public}:127.0.0.1`
      const startMs = performance.now()
      const args = ['-sS', '--cacert', gateway.caFile, '--resolve', to, url]
      const { stdout } = await promisify(execFile)('curl', args)
      t.equal(stdout, 'hello')
      t.comment(`${Math.round(performance.now() - startMs)} ms`)
      t.ok(performance.now() - startMs < 2_000)
    },
  )
})
