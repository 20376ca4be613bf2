import { join } from '../client/connect.ts'
import { Problems } from '../config/errors.ts'
import { alpnNames, listenAddress, tunnelAddress } from '../config/parse.ts'
import { proxyChooser } from '../config/proxy.ts'
import { formatHostPort, type HostPort } from '../net/address.ts'
import type { ProxyServer } from '../net/proxy-server.ts'
import type { Remedies } from '../transport/dial-failure.ts'
import { type DialTlsOptions, dialTls } from '../transport/tls.ts'
import type { Invocation } from './arguments.ts'
import { readCertificates } from './ca-file.ts'
import { type Life, stopped } from './main.ts'
import { openStdio } from './stdio.ts'
import { typed } from './typed.ts'

/** `gotunnel-agent connect`: the visitor's side of a tcp tunnel. */
export async function connect(invocation: Invocation, life: Life): Promise<void> {
  const listenAt = typed('--listen', listenAddress, invocation.value('listen'))
  const tunnel = tunnelOf(invocation)
  if (listenAt === undefined) await joinStdio(tunnel, life)
  else await serveLocally(listenAt, tunnel, life)
}

function tunnelOf(invocation: Invocation): DialTlsOptions {
  // The command line is not accepted without it.
  const at = typed('HOST[:PORT]', tunnelAddress, invocation.argument as string)
  const alpn = typed('--alpn', alpnNames, invocation.value('alpn'))
  const caFile = invocation.value('ca')
  return {
    ...at,
    proxy: proxyFor(at),
    alpn,
    ca: caFile === undefined ? undefined : readCertificates(caFile, '--ca'),
    verify: !invocation.has('insecure'),
    remedies,
  }
}

/** As the environment has it. */
function proxyFor(at: HostPort): ProxyServer | undefined {
  const problems = new Problems()
  const choose = proxyChooser(undefined, process.env, problems)
  problems.throwIfAny()
  return choose(at).proxy
}

const remedies: Remedies = {
  unknownCa: "name the gateway's CA certificate with --ca (or use --insecure, for a test)",
  otherName: 'use the name of the tunnel as HOST',
  unknownName: 'check the name, and that its agent is connected',
  noGateway: "check that this is the gateway's public port",
}

async function joinStdio(tunnel: DialTlsOptions, { signal }: Life): Promise<void> {
  const remote = await dialTls(tunnel)(signal)
  const stdio = openStdio()
  // Somebody who types would have to end a connection that has ended already.
  if (process.stdin.isTTY) remote.once('end', () => stdio.endInput())
  await join(remote, stdio, signal)
}

async function serveLocally(at: HostPort, tunnel: DialTlsOptions, life: Life): Promise<void> {
  const { parseAgentEnvironment } = await import('../config/agent.ts')
  const { createLogger } = await import('./logger.ts')
  const { LocalPort } = await import('../client/local-port.ts')
  const log = createLogger(parseAgentEnvironment(process.env))
  life.useLogger(log)
  if (!tunnel.verify) log.warn("the gateway's certificate is not checked (--insecure)")

  const localPort = new LocalPort({ dial: dialTls(tunnel), log })
  const { address: host, port } = await localPort.listen(at)
  log.info('listening', { address: formatHostPort({ host, port }), tunnel: formatHostPort(tunnel) })
  await stopped(life)
  await localPort.close()
  log.info('closed')
}
