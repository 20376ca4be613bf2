import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  cli,
  sharedSecret,
  startGateway,
  temporaryDirectory,
  tunnelHost,
} from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { serveHttp } from './targets.ts'
import { visit } from './visitor.ts'

// The agent on a terminal: a real one, that script(1) makes.

const skip = lacks('script')

t.test(
  'shows the connection, the tunnels and the requests, and gives the terminal back',
  { skip },
  async (t) => {
    const site = await serveHttp(t, (_request, response) => response.end('hello'))
    const gateway = await startGateway(t)
    const directory = temporaryDirectory(t)
    const config = {
      tunnel_addr: `${tunnelHost}:${gateway.ports.tunnel}`,
      ca_file: gateway.caFile,
      jwt_secret: sharedSecret,
      tunnels: [
        { hostname: 'app.localhost', target: `127.0.0.1:${site}` },
        { hostname: 'db.localhost', target: '127.0.0.1:5432', mode: 'tcp' },
      ],
    }
    const file = join(directory, 'config.yaml')
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 })
    const agent = `exec env -u NODE_OPTIONS "${process.execPath}" "${join(cli, 'agent.js')}" --config "${file}"`
    const terminal = spawn('script', ['-qefc', `stty cols 100 rows 30; ${agent}`, '/dev/null'], {
      env: { PATH: process.env.PATH, TERM: 'xterm', SHELL: '/bin/sh' },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    const closed = once(terminal, 'close')
    t.teardown(() => terminal.kill('SIGKILL'))
    let shown = ''
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text))
    const until = async (pattern: RegExp) => {
      while (!pattern.test(shown))
        await once(terminal.stdout, 'data', { signal: AbortSignal.timeout(30_000) })
    }

    await until(/connected.* for \d+ s/)
    await until(/https:\/\/app\.localhost → 127\.0\.0\.1:\d+ {2}0 requests/)
    t.match(shown, /db\.localhost +→ 127\.0\.0\.1:5432 {2}0 connections/)
    await visit(gateway, 'app.localhost', '/some/page?secret=1')
    await until(/200 .*app\.localhost\/some\/page/)
    await until(/1 request\b/)
    t.notMatch(shown, 'secret=1')
    t.equal(shown.lastIndexOf('\x1b[?1049l'), -1)

    terminal.stdin.write('\x03') // Ctrl+C
    const [code] = await closed
    t.equal(code, 0)
    t.ok(shown.lastIndexOf('\x1b[?1049l') > shown.lastIndexOf('\x1b[?1049h'))
  },
)
