import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isListening, startDaemon, startSshd } from '../../test/e2e/daemons.ts'
import { closedPort } from '../../test/e2e/targets.ts'
import { startAgent, startGateway, temporaryDirectory } from '../../test/support/programs.ts'
import type { Scope } from '../../test/support/scope.ts'
import { type CertificateFiles, makeCertificate } from './certificate.ts'
import { startDistance } from './distance.ts'
import { startNginx } from './nginx.ts'
import { startOrigin } from './origin.ts'

/** The name that visitors ask for, in all ways: every machine knows it, and every load generator takes it. */
export const hostname = 'localhost'

/** One way from visitors to the origin. */
export interface Way {
  readonly name: string
  /** Where visitors connect, by TLS. */
  readonly port: number
  /** What runs on the public side, and what beside the service: process ids. */
  readonly gateway: readonly number[]
  readonly agent: readonly number[]
  readonly hasHttp2: boolean
}

/**
 * nginx without a tunnel is the limit, Node without one the limit of what is written in it; ssh's behind nginx
 * is what one would do without us. The public side may be far from the service.
 */
export async function startWays(scope: Scope, roundTripMs = 0): Promise<Way[]> {
  const certificate = await makeCertificate(scope, hostname)
  const origin = await startOrigin(scope, certificate)
  const far: Distance = async (port) =>
    roundTripMs === 0 ? port : startDistance(scope, port, roundTripMs)
  return [
    await proxyOnly(scope, certificate, await far(origin.port)),
    await bareNode(scope, certificate, await far(origin.port)),
    await sshBehindProxy(scope, certificate, origin.port, far),
    await ours(scope, 'http', origin.port, far),
    await ours(scope, 'tcp', origin.port, far),
    await ours(scope, 'tls', origin.tlsPort, far),
  ]
}

/** The port to connect to in place of this one. */
type Distance = (port: number) => Promise<number>

async function proxyOnly(scope: Scope, certificate: CertificateFiles, to: number): Promise<Way> {
  const { port, pid } = await startProxy(scope, certificate, to)
  return { name: 'nginx, no tunnel', port, gateway: [pid], agent: [], hasHttp2: true }
}

async function bareNode(scope: Scope, { key, chain }: CertificateFiles, to: number): Promise<Way> {
  const port = await closedPort()
  const program = fileURLToPath(new URL('bare-node.js', import.meta.url))
  const args = [program, `${port}`, `${to}`, key, chain]
  const pid = await startDaemon(scope, process.execPath, args, [port])
  return { name: 'Node, no tunnel', port, gateway: [pid], agent: [], hasHttp2: false }
}

async function sshBehindProxy(
  scope: Scope,
  certificate: CertificateFiles,
  target: number,
  far: Distance,
): Promise<Way> {
  const sshd = await startSshd(scope)
  const forwarded = await closedPort()
  const config = join(temporaryDirectory(scope), 'config')
  writeFileSync(config, sshd.clientOptions.join('\n'), { mode: 0o600 })
  const forward = `127.0.0.1:${forwarded}:127.0.0.1:${target}`
  const sshPort = await far(sshd.port)
  const args = ['-F', config, '-N', '-R', forward, '-p', String(sshPort), '127.0.0.1']
  const ssh = spawn('ssh', args, { stdio: 'ignore' })
  scope.teardown(() => ssh.kill())
  if (!(await isListening(forwarded, ssh))) throw new Error('ssh -R did not start')
  const { port, pid } = await startProxy(scope, certificate, forwarded)
  return {
    name: 'ssh -R, nginx',
    port,
    gateway: [pid, sshd.pid],
    agent: [ssh.pid as number],
    hasHttp2: true,
  }
}

async function startProxy(scope: Scope, { key, chain }: CertificateFiles, to: number) {
  const port = await closedPort()
  const servers = `
  upstream origin { server 127.0.0.1:${to}; keepalive 512; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} ssl http2 backlog=4096;
    ssl_certificate ${chain};
    ssl_certificate_key ${key};
    location / { proxy_pass http://origin; }
  }`
  return { port, pid: await startNginx(scope, servers, [port]) }
}

async function ours(
  scope: Scope,
  mode: 'http' | 'tcp' | 'tls',
  target: number,
  far: Distance,
): Promise<Way> {
  const gateway = await startGateway(scope, {
    env: {
      TUNNEL_HOST: 'tunnel.localhost',
      HTTP2: 'on',
      MAX_CONNECTIONS_PER_ADDRESS: '15000',
    },
  })
  const config = { tunnel_addr: `tunnel.localhost:${await far(gateway.ports.tunnel)}` }
  const agent = await startAgent(scope, gateway, [{ hostname, mode, target }], { config })
  gateway.program.ignoreLog()
  agent.ignoreLog()
  return {
    name: `ours, ${mode}`,
    port: gateway.ports.public,
    gateway: [gateway.program.pid],
    agent: [agent.pid],
    hasHttp2: mode !== 'tcp',
  }
}
