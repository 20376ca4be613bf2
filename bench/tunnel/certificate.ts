import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DevelopmentIssuer } from '../../src/certs/development-issuer.ts'
import { temporaryDirectory } from '../../test/support/programs.ts'
import type { Scope } from '../../test/support/scope.ts'

export interface CertificateFiles {
  readonly key: string
  readonly chain: string
}

/** Like the ones that the gateway makes, so that handshakes cost the same: ECDSA, P-256. */
export async function makeCertificate(scope: Scope, hostname: string): Promise<CertificateFiles> {
  const directory = temporaryDirectory(scope)
  const silent = { debug() {}, info() {}, warn() {}, error() {} }
  const issuer = await DevelopmentIssuer.load({ directory, log: silent })
  const { key, chain } = await issuer.issue(hostname)
  const files = { key: join(directory, 'key.pem'), chain: join(directory, 'chain.pem') }
  writeFileSync(files.key, key, { mode: 0o600 })
  writeFileSync(files.chain, chain)
  return files
}
