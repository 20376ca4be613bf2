import { join } from 'node:path'
import { AcmeIssuer } from '../certs/acme/acme-issuer.ts'
import { Challenges } from '../certs/acme/challenges.ts'
import { folderOf } from '../certs/acme/directory.ts'
import { Budget } from '../certs/budget.ts'
import { Failures } from '../certs/failures.ts'
import { FileStore } from '../certs/file-store.ts'
import { StateFile } from '../certs/state-file.ts'
import type { AcmeCa } from '../config/acme.ts'
import type { ServerConfig } from '../config/server.ts'
import type { Logger } from '../log.ts'
import { readCertificates } from './ca-file.ts'

/** Certificates from a CA that speaks ACME, and what is kept beside them. */
export async function openAcme(ca: AcmeCa, config: ServerConfig, log: Logger, version: string) {
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
