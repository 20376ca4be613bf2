import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { WebSocketServer } from 'ws'
import { closedPort, listen } from '../../test/e2e/targets.ts'
import { temporaryDirectory } from '../../test/support/programs.ts'
import type { Scope } from '../../test/support/scope.ts'
import type { CertificateFiles } from './certificate.ts'
import { startNginx } from './nginx.ts'
import { writeZeros } from './zeros.ts'

export const downloadBytes = 1024 ** 3

export interface Origin {
  readonly port: number
  /** The same inside TLS. */
  readonly tlsPort: number
}

/**
 * The service that all ways lead to: nginx, for what costs it the least; behind it, for uploads and
 * WebSockets, a Node server in this process.
 */
export async function startOrigin(scope: Scope, { key, chain }: CertificateFiles): Promise<Origin> {
  const root = temporaryDirectory(scope)
  writeFileSync(join(root, '100k'), Buffer.alloc(100_000, 'x'))
  for (const [name, bytes] of [
    ['1g', downloadBytes],
    ['256m', 256 * 1024 ** 2],
    ['64m', 64 * 1024 ** 2],
  ] as const) {
    writeZeros(join(root, name), bytes)
  }
  const behind = await startSink(scope)
  const [port, tlsPort] = [await closedPort(), await closedPort()]
  const servers = `
  upstream behind { server 127.0.0.1:${behind}; keepalive 64; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    listen 127.0.0.1:${tlsPort} ssl http2 backlog=4096;
    ssl_certificate ${chain};
    ssl_certificate_key ${key};
    root ${root};
    location = / { default_type text/plain; return 200 "hello, this is the origin\\n"; }
    location /behind/ { proxy_pass http://behind; }
  }`
  await startNginx(scope, servers, [port, tlsPort])
  return { port, tlsPort }
}

async function startSink(scope: Scope): Promise<number> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.end())
  })
  const echo = new WebSocketServer({ server, perMessageDeflate: false })
  echo.on('connection', (socket) => {
    socket.on('message', (data) => socket.send(data))
  })
  return listen(scope, server)
}
