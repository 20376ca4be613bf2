import t from 'tap'
import { startAgent, startGateway } from '../support/programs.ts'
import { lacks, lacksNewerNode, newerNode } from '../support/tools.js'
import { serveHttp } from './targets.ts'
import { run } from './visitor.ts'

// Thousands of requests by h2load, in both versions: all of them are answered, and well. How fast is not asked.

const requests = 2_000
const body = 'x'.repeat(10_000)

t.test('h2load', { skip: lacks('h2load') || lacksNewerNode() }, async (t) => {
  const target = await serveHttp(t, (request, response) => {
    request.resume().on('end', () => response.end(body))
  })
  const gateway = await startGateway(t, { node: newerNode })
  const agent = await startAgent(t, gateway, [{ hostname: 'app.localhost', target }])
  const url = `https://app.localhost:${gateway.ports.public}/`
  const load = (...args: string[]) => {
    const many = ['--requests', String(requests), '--clients', '20']
    const connectTo = `--connect-to=127.0.0.1:${gateway.ports.public}`
    return run('h2load', [...many, connectTo, ...args, url])
  }

  for (const [name, args] of Object.entries({
    'HTTP/2, 20 requests at once on each connection': ['--max-concurrent-streams', '20'],
    'HTTP/2, uploads': ['--max-concurrent-streams', '5', '--data', import.meta.filename],
    'HTTP/1.1': ['--h1'],
  })) {
    t.test(name, async (t) => {
      const { code, stdout } = await load(...args)
      t.equal(code, 0)
      const said = String(stdout)
      const all = `${requests} total, ${requests} started, ${requests} done, ${requests} succeeded`
      t.match(said, `requests: ${all}, 0 failed, 0 errored, 0 timeout`)
      t.match(said, `status codes: ${requests} 2xx, 0 3xx, 0 4xx, 0 5xx`)
      t.match(said, new RegExp(`\\(${requests * body.length}\\) data`))
      t.comment(/^finished in .*/m.exec(said)?.[0])
    })
  }

  t.test('nobody warns', { buffered: false }, async (t) => {
    for (const program of [gateway.program, agent]) {
      t.strictSame(program.warnings, [])
      t.equal(program.stderr, '', 'nor does Node, of what we set of it')
    }
  })
})
