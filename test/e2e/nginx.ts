import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import { temporaryDirectory } from '../support/programs.ts'
import { pathOf } from '../support/tools.js'
import { closedPort } from './targets.ts'

/** An nginx that answers everything with 200, and what it has served: `POST /path?query`. */
export async function startNginx(t: Test) {
  const directory = temporaryDirectory(t)
  const port = await closedPort()
  const log = join(directory, 'served')
  const config = join(directory, 'nginx.conf')
  writeFileSync(
    config,
    `daemon off; master_process off; worker_processes 1; pid ${directory}/pid;
     events { worker_connections 512; }
     http {
       log_format served escape=none '$request_method $request_uri $status';
       access_log ${log} served;
       client_body_temp_path ${directory}; proxy_temp_path ${directory}; fastcgi_temp_path ${directory};
       uwsgi_temp_path ${directory}; scgi_temp_path ${directory};
       server { listen 127.0.0.1:${port}; location / { return 200 ok; } }
     }`,
  )
  const args = ['-c', config, '-e', join(directory, 'errors')]
  const child = spawn(pathOf('nginx') ?? 'nginx', args, { stdio: 'inherit' })
  t.teardown(async () => {
    child.kill('SIGKILL')
    await once(child, 'close')
  })
  await answers(port)
  return {
    port,
    /** Only what it took for good. */
    served: () =>
      readFileSync(log, 'utf8')
        .split('\n')
        .flatMap((line) => (line.endsWith(' 200') ? [line.slice(0, -4)] : [])),
  }
}

async function answers(port: number): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return
    } catch (error) {
      if (tries === 500) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    } finally {
      socket.destroy()
    }
  }
}
