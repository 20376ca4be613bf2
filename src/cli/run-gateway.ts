import { Revocations } from '../auth/revocations.ts'
import type { Certificates } from '../certs/certificates.ts'
import type { ServerConfig } from '../config/server.ts'
import type { Logger } from '../log.ts'
import { formatHostPort } from '../net/address.ts'
import { Gateway } from '../server/gateway.ts'
import type { GatewayAddresses } from '../server/status.ts'
import type { Invocation } from './arguments.ts'
import { openCertificates, openCommands } from './certificates.ts'
import { descriptorLimit, visitorsWithin } from './descriptors.ts'
import { letHeapGrow } from './heap.ts'
import { createLogger } from './logger.ts'
import { type Life, stopped } from './main.ts'
import { loadServer } from './server-config.ts'
import { reload } from './server-reload.ts'
import { endOfLifeNotice, hasPatchedHttp2, programVersion } from './version.ts'

export async function runGateway(invocation: Invocation, life: Life): Promise<void> {
  const loaded = loadServer({ envFile: invocation.value('env-file'), env: process.env })
  const { config, ignored } = loaded
  if (invocation.has('check')) return printSummary(config, ignored)

  const log = createLogger(config)
  life.useLogger(log)
  const notice = endOfLifeNotice(process.version)
  if (notice) log.warn(notice)
  for (const sentence of ignored) log.warn(sentence)
  if (config.http2 === 'on' && !hasPatchedHttp2(process.version)) {
    log.warn(`Node ${process.version} has known holes in HTTP/2, which HTTP2=on opens to visitors`)
  }

  const opened = await openCertificates(config, log, programVersion())
  let certificates: Certificates | undefined
  const revocations = await openRevocations(config, log)
  const gateway = new Gateway({
    ...config,
    limits: { ...config.limits, connections: affordable(config.limits.connections, log) },
    version: programVersion(),
    http2: config.http2 === 'on' || (config.http2 === 'auto' && hasPatchedHttp2(process.version)),
    dashboardPassword: config.dashboardPassword?.reveal(),
    jwtSecrets: config.jwtSecrets.map((secret) => secret.reveal()),
    revocations,
    shutdownGraceMs: config.shutdownGraceSec * 1000,
    certificates: (decide) => (certificates = opened.make(decide)),
    challenges: opened.challenges,
    log,
  })
  const refresh = () => Promise.all([opened.refresh(), revocations?.refresh()])
  life.onHangup(() => void reload({ loaded, log, refresh }))
  await gateway.start()
  letHeapGrow()
  const names = () => gateway.status().certificates.map(({ name }) => name)
  const commands = certificates && (await openCommands(config, certificates, names, log))
  logAddresses(gateway.addresses, config, log)
  // Not by the first agent's handshake, which waits 10 s. What goes wrong is logged.
  for (const name of [config.tunnelHost, config.gatewayHost]) {
    certificates?.certificateFor(name).catch(() => {})
  }

  await stopped(life)
  await commands?.close()
  await gateway.close()
  await opened.close()
  await revocations?.close()
  log.info('closed')
}

function affordable(wanted: number, log: Logger): number {
  const descriptors = descriptorLimit()
  const visitors = visitorsWithin(descriptors, wanted)
  if (visitors < wanted) {
    const sentence =
      'too few file descriptors for MAX_CONNECTIONS: raise the limit (ulimit -n), or lower it'
    log.warn(sentence, { descriptors, maxConnections: wanted, visitors })
  }
  return visitors
}

async function openRevocations({ revocationsFile: file }: ServerConfig, log: Logger) {
  if (file === undefined) return undefined
  return Revocations.open({ file, log })
}

function logAddresses(addresses: GatewayAddresses, config: ServerConfig, log: Logger): void {
  for (const [listener, at] of Object.entries(addresses)) {
    if (at === undefined) continue
    log.info('listening', { listener, address: formatHostPort({ ...at, host: at.address }) })
  }
  const port = addresses.public?.port ?? config.gatewayPort
  log.info('ready', {
    gateway: `https://${config.gatewayHost}${port === 443 ? '' : `:${port}`}`,
    agents: `${config.tunnelHost}:${addresses.tunnel?.port ?? config.tunnelPort}`,
  })
}

function printSummary(config: ServerConfig, ignored: readonly string[]): void {
  const { gatewayHost, gatewayPort, httpPort, tunnelHost, tunnelPort, tlsCertDir } = config
  const sources = [
    tlsCertDir && `yours in ${tlsCertDir}`,
    config.acmeCa && `from ${config.acmeCa.id}, kept in ${config.acmeCache}`,
    config.acmeEnv === 'development' && `a development CA, kept in ${config.acmeCache}`,
  ]
  const dashboard = formatHostPort({
    host: config.dashboardBind ?? gatewayHost,
    port: config.dashboardPort,
  })
  const access = config.dashboardPassword ? ', with a password' : ''
  const lines = [
    'configuration ok',
    `  gateway       ${gatewayHost}, ports ${gatewayPort} and ${httpPort}`,
    `  agents        ${tunnelHost}:${tunnelPort}`,
    ...(config.tcpPorts.ranges.length > 0 ? [`  for agents    ports ${config.tcpPorts}`] : []),
    ...(config.trustedProxies.ranges.length > 0
      ? [`  proxies       ${config.trustedProxies}`]
      : []),
    `  dashboard     http://${dashboard}${access}`,
    `  certificates  ${sources.filter(Boolean).join(', then ')}`,
    ...ignored.map((sentence) => `warning: ${sentence}`),
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}
