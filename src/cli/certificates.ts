/** The gateway's certificates, built from its configuration. */
import { join } from 'node:path'
import { CertificateDirectory } from '../certs/certificate-directory.ts'
import { Certificates, type CertificatesOptions } from '../certs/certificates.ts'
import { CommandSocket } from '../certs/command-socket.ts'
import { DevelopmentIssuer } from '../certs/development-issuer.ts'
import { FileStore } from '../certs/file-store.ts'
import type { ServerConfig } from '../config/server.ts'
import type { Logger } from '../log.ts'
import type { ChallengeSource } from '../server/certificate-source.ts'

export interface OpenedCertificates {
  /** Once, with the gateway's gate. */
  readonly make: (decide: (hostname: string) => boolean) => Certificates
  /** Where a CA looks at us for answers. */
  readonly challenges: ChallengeSource | undefined
  /** Looks at the operator's own now; what is wrong there is logged. */
  refresh(): Promise<void>
  /** Of what `make` gave, its owner closes the rest. */
  close(): Promise<void>
}

/** The operator's own come first, then what an issuer makes and a directory keeps. */
export async function openCertificates(
  config: ServerConfig,
  log: Logger,
  version: string,
): Promise<OpenedCertificates> {
  const { tlsCertDir, acmeCa, acmeEnv } = config
  const directory =
    tlsCertDir === undefined
      ? undefined
      : await CertificateDirectory.open({ directory: tlsCertDir, log })
  let issuing: Partial<CertificatesOptions> & { challenges?: ChallengeSource } = {}
  if (acmeCa !== undefined) {
    const { openAcme } = await import('./acme-certificates.ts')
    issuing = await openAcme(acmeCa, config, log, version)
  } else if (acmeEnv === 'development') {
    issuing = await openDevelopment(config, log)
  }
  const { challenges, ...options } = issuing
  return {
    make: (decide) => new Certificates({ ...options, directory, decide, log }),
    challenges,
    refresh: async () => directory?.refresh(),
    close: async () => directory?.close(),
  }
}

/** Where `gotunnel-server certs` finds us. The gateway goes on without, and says so. */
export async function openCommands(
  { acmeCache, acmeEnv }: ServerConfig,
  certificates: Certificates,
  names: () => Iterable<string>,
  log: Logger,
): Promise<CommandSocket | undefined> {
  if (acmeEnv === 'off') return undefined // and no ACME_CACHE
  try {
    return await CommandSocket.open(acmeCache, {
      list: async () => ({
        issuance: certificates.issuance(),
        certificates: await certificates.list(names()),
      }),
      hasAtHand: (name) => certificates.hasAtHand(name),
      order: (name, options) => certificates.order(name, options),
    })
  } catch (error) {
    log.warn('gotunnel-server certs cannot reach this gateway', { error: (error as Error).message })
    return undefined
  }
}

async function openDevelopment({ acmeCache }: ServerConfig, log: Logger) {
  const issuer = await DevelopmentIssuer.load({ directory: acmeCache, log })
  log.info('visitors and agents have to trust the development CA', { file: issuer.caPath })
  return { issuer, store: new FileStore({ directory: join(acmeCache, issuer.storeName) }) }
}
