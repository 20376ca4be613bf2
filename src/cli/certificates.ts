/** The gateway's certificates, built from its configuration. */
import { join } from 'node:path'
import { CertificateDirectory } from '../certs/certificate-directory.ts'
import { Certificates, type CertificatesOptions } from '../certs/certificates.ts'
import type { CommandSocket } from '../certs/command-socket.ts'
import { Failures } from '../certs/failures.ts'
import { FileStore } from '../certs/file-store.ts'
import type { AcmeCa } from '../config/acme.ts'
import type { ServerConfig } from '../config/server.ts'
import type { Logger } from '../log.ts'
import type { ChallengeSource } from '../server/certificate-source.ts'
import { readCertificates } from './ca-file.ts'

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
  if (acmeCa !== undefined) issuing = await openAcme(acmeCa, config, log, version)
  else if (acmeEnv === 'development') issuing = await openDevelopment(config, log)
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
  const { CommandSocket } = await import('../certs/command-socket.ts')
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

async function openAcme(ca: AcmeCa, config: ServerConfig, log: Logger, version: string) {
  const { folderOf } = await import('../certs/acme/directory.ts')
  const { AcmeIssuer } = await import('../certs/acme/acme-issuer.ts')
  const { Challenges } = await import('../certs/acme/challenges.ts')
  const { Budget } = await import('../certs/budget.ts')
  const { StateFile } = await import('../certs/state-file.ts')
  const { acmeCaFile, acmeEmail, acmeEabKid, acmeEabHmac, acmeProfile } = config
  const directory = folderOf(config.acmeCache, ca.directoryUrl)
  const stateFile = (name: string) => new StateFile({ path: join(directory, name), log })
  const challenges = new Challenges()
  const issuer = await AcmeIssuer.open({
    ...{ ...ca, directory, challenges, log },
    userAgent: `gotunnel/${version}`,
    ca: acmeCaFile === undefined ? undefined : readCertificates(acmeCaFile, 'ACME_CA_FILE'),
    email: acmeEmail,
    ...(acmeEabKid &&
      acmeEabHmac && { externalAccount: { kid: acmeEabKid, hmac: acmeEabHmac.reveal() } }),
    profile: acmeProfile,
  })
  const perDomain = config.acmeDomainBudget
  return {
    issuer,
    challenges,
    store: new FileStore({ directory: join(directory, 'certs') }),
    failures: await Failures.load(stateFile('failures.json'), Date.now()),
    budget: await Budget.load({ perDomain, file: stateFile('issued.json'), log }),
  }
}

async function openDevelopment({ acmeCache }: ServerConfig, log: Logger) {
  const { DevelopmentIssuer } = await import('../certs/development-issuer.ts')
  const issuer = await DevelopmentIssuer.load({ directory: acmeCache, log })
  log.info('visitors and agents have to trust the development CA', { file: issuer.caPath })
  return { issuer, store: new FileStore({ directory: join(acmeCache, issuer.storeName) }) }
}
