import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startDaemon } from '../../test/e2e/daemons.ts'
import { temporaryDirectory } from '../../test/support/programs.ts'
import type { Scope } from '../../test/support/scope.ts'

/** An nginx of one process, so that its CPU time is one number; gives its process id. */
export function startNginx(
  scope: Scope,
  servers: string,
  ports: readonly number[],
): Promise<number> {
  const directory = temporaryDirectory(scope)
  const file = join(directory, 'nginx.conf')
  mkdirSync(join(directory, 'temporary'))
  writeFileSync(file, configuration(directory, servers))
  return startDaemon(scope, 'nginx', ['-e', 'stderr', '-c', file], ports)
}

function configuration(directory: string, servers: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${directory}/temporary;`)
    .join('\n  ')
  return `
daemon off;
master_process off;
pid ${directory}/pid;
error_log stderr crit;
worker_rlimit_nofile 65536;
events { worker_connections 20000; }
http {
  ${temporary}
  access_log ${directory}/access.log;
  sendfile on;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_max_body_size 0;
  proxy_http_version 1.1;
  proxy_request_buffering off;
  proxy_read_timeout 1h;
  proxy_set_header Host $host;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $hop;
  map $http_upgrade $hop { default upgrade; '' ''; }
  ${servers}
}
`
}
