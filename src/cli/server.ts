#!/usr/bin/env node
import type { Certificates } from '../certs/certificates.ts'
import type { ServerConfig } from '../config/server.ts'
import type { Logger } from '../log.ts'
import { formatHostPort } from '../net/address.ts'
import type { GatewayAddresses } from '../server/status.ts'
import type { Invocation } from './arguments.ts'
import { type Life, main, stopped } from './main.ts'
import { serverUsage } from './server-usage.ts'

await main({
  usage: serverUsage,
  async sections() {
    const { serverSections } = await import('../config/server.ts')
    const { prefixed } = await import('../config/reference.ts')
    return prefixed('Environment', serverSections)
  },
  commands: {
    '': run,
    secret: printSecret,
    async token(invocation) {
      const { printToken } = await import('./token.ts')
      await printToken(invocation)
    },
    async 'token inspect'(invocation) {
      const { inspectToken } = await import('./token.ts')
      await inspectToken(invocation)
    },
    async certs(invocation) {
      const { printCertificates } = await import('./certs.ts')
      await printCertificates(invocation)
    },
    async 'certs issue'(invocation) {
      const { issueCertificate } = await import('./certs.ts')
      await issueCertificate(invocation)
    },
    async 'certs renew'(invocation) {
      const { renewCertificate } = await import('./certs.ts')
      await renewCertificate(invocation)
    },
  },
})

async function run(invocation: Invocation, life: Life): Promise<void> {
  const { loadServer } = await import('./server-config.ts')
  const loaded = loadServer({ envFile: invocation.value('env-file'), env: process.env })
  const { config, ignored } = loaded
  if (invocation.has('check')) return printSummary(config, ignored)

  const { createLogger } = await import('./logger.ts')
  const log = createLogger(config)
  life.useLogger(log)
  const { endOfLifeNotice, hasPatchedHttp2, programVersion } = await import('./version.ts')
  const notice = endOfLifeNotice(process.version)
  if (notice) log.warn(notice)
  for (const sentence of ignored) log.warn(sentence)
  if (config.http2 === 'on' && !hasPatchedHttp2(process.version)) {
    log.warn(`Node ${process.version} has known holes in HTTP/2, which HTTP2=on opens to visitors`)
  }

  const { Gateway } = await import('../server/gateway.ts')
  const { openCertificates, openCommands } = await import('./certificates.ts')
  const opened = await openCertificates(config, log, programVersion())
  let certificates: Certificates | undefined
  const revocations = await openRevocations(config, log)
  const gateway = new Gateway({
    ...config,
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
  const { reload } = await import('./server-reload.ts')
  const refresh = () => Promise.all([opened.refresh(), revocations?.refresh()])
  life.onHangup(() => void reload({ loaded, log, refresh }))
  await gateway.start()
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

async function openRevocations({ revocationsFile: file }: ServerConfig, log: Logger) {
  if (file === undefined) return undefined
  const { Revocations } = await import('../auth/revocations.ts')
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

async function printSecret(): Promise<void> {
  const { generateSecret } = await import('../auth/secret.ts')
  process.stdout.write(`${generateSecret()}\n`)
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
