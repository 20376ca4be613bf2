import net from 'node:net'
import t from 'tap'
import { tolerant } from '../net/wires.ts'
import { startAgent, startGateway } from '../support/programs.ts'
import { serveHttp } from './targets.ts'
import { visit } from './visitor.ts'

t.test(
  'more visitors than descriptors leave some for an agent, and for whom it serves',
  async (t) => {
    const gateway = await startGateway(t, { within: ['sh', '-c', 'ulimit -n 128; exec "$@"', '-'] })
    const sentence =
      'too few file descriptors for MAX_CONNECTIONS: raise the limit (ulimit -n), or lower it'
    t.match(gateway.program.logged(sentence), [{ descriptors: 128, visitors: 96 }])

    const visitors = Array.from({ length: 150 }, () =>
      tolerant(net.connect(gateway.ports.public, '127.0.0.1').resume()),
    )
    t.teardown(() => {
      for (const socket of visitors) socket.destroy()
    })
    // The last ones; those before them may still be on their way when they are turned away.
    await Promise.all(
      visitors.slice(-20).map((each) => new Promise((gone) => each.on('close', gone))),
    )

    const site = await serveHttp(t, (_request, response) => response.end('hello'))
    const hostname = 'app.localhost'
    await startAgent(t, gateway, [{ hostname, target: site }])
    for (const socket of visitors) socket.destroy()
    const { status, body } = await visit(gateway, hostname)
    t.strictSame([status, String(body)], [200, 'hello'])
  },
)
