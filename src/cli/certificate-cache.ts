/** What a gateway has left in its directories: for when none runs that could be asked. */
import { join } from 'node:path'
import { folderOf } from '../certs/acme/directory.ts'
import { CertificateDirectory } from '../certs/certificate-directory.ts'
import { developmentStoreName } from '../certs/development-issuer.ts'
import { Failures } from '../certs/failures.ts'
import { FileStore } from '../certs/file-store.ts'
import { readPrivateFile } from '../certs/private-file.ts'
import { StateFile } from '../certs/state-file.ts'
import { type CertificateStatus, statusOf } from '../certs/status.ts'
import { StoredCertificates } from '../certs/stored-certificates.ts'
import { acmeCaOf, type CertificateValues } from '../config/acme.ts'
import type { Logger } from '../log.ts'

/** The operator's, and those of the CA that is configured; nothing is written. */
export async function readCertificateCache(
  config: CertificateValues,
  log: Logger,
): Promise<CertificateStatus[]> {
  const { acmeCache, tlsCertDir } = config
  const own = tlsCertDir
    ? await CertificateDirectory.open({ directory: tlsCertDir, log })
    : undefined
  const ca = acmeCaOf(config)
  const folder = ca && folderOf(acmeCache, ca.directoryUrl)
  const failures = folder && new StateFile({ path: join(folder, 'failures.json'), log })
  const directory = folder ? join(folder, 'certs') : await developmentStore(config)
  const store = directory === undefined ? undefined : new FileStore({ directory })
  const nowMs = Date.now()
  try {
    return statusOf([], {
      ...{ own, nowMs, issuerId: ca?.id ?? config.acmeEnv, ordering: new Set() },
      kept: await new StoredCertificates({ store, log }).all(),
      failures: failures ? await Failures.load(failures, nowMs) : new Failures(),
    })
  } finally {
    await own?.close()
  }
}

async function developmentStore({ acmeCache, acmeEnv }: CertificateValues) {
  const ca = acmeEnv === 'development' && (await readPrivateFile(join(acmeCache, 'ca.pem')))
  return ca ? join(acmeCache, developmentStoreName(ca)) : undefined
}
