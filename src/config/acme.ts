/** Where certificates come from: the fields, and what of them goes together. */
import { type Environment, fromEnvironment } from './environment.ts'
import { type Position, Problems } from './errors.ts'
import { optional, readFields, type Values, withDefault } from './field.ts'
import {
  choice,
  email,
  filePath,
  hmacKey,
  httpsUrl,
  identifier,
  integer,
  shortText,
} from './parse.ts'

export const certificateFields = {
  acmeEnv: withDefault(
    'ACME_ENV',
    choice(['production', 'staging', 'development', 'off']),
    'production',
    "Who issues certificates. `production`: Let's Encrypt, whose terms you agree to by it. `staging`: its CA for trials, which no browser trusts. `development`: a CA of our own, made at the first start. `off`: nobody, so TLS_CERT_DIR must have them.",
  ),
  acmeCache: withDefault(
    'ACME_CACHE',
    filePath,
    './cert-cache',
    'Directory for what was issued, the account at the CA, and the development CA. Keep it.',
  ),
  acmeEmail: optional('ACME_EMAIL', email, 'Where the CA may write to about the account.'),
  acmeDirectoryUrl: optional(
    'ACME_DIRECTORY_URL',
    httpsUrl,
    "Another CA that speaks ACME, in place of Let's Encrypt: the URL of its directory.",
  ),
  acmeCaFile: optional(
    'ACME_CA_FILE',
    filePath,
    'PEM file with the CA to trust when speaking with that directory. Not set: the public ones.',
  ),
  acmeEabKid: optional(
    'ACME_EAB_KID',
    shortText,
    'For a CA that wants an account with it first (ZeroSSL, Google): the key id it gave you.',
  ),
  acmeEabHmac: optional('ACME_EAB_HMAC', hmacKey, 'The HMAC key that goes with it.'),
  acmeProfile: optional(
    'ACME_PROFILE',
    identifier,
    'The kind of certificate to ask for, where the CA has several: `shortlived`, `tlsserver`.',
  ),
  acmeDomainBudget: withDefault(
    'ACME_DOMAIN_BUDGET',
    integer({ min: 1, max: 1_000_000 }),
    '40',
    "New certificates in 7 days for all names of one registered domain; renewals do not count. Let's Encrypt gives 50.",
  ),
  tlsCertDir: optional(
    'TLS_CERT_DIR',
    filePath,
    'Directory with certificates of your own (`name.crt` beside `name.key`), watched for changes. They come first.',
  ),
}

export type CertificateValues = Values<typeof certificateFields>

/** The CA to ask, where it is one that speaks ACME. */
export interface AcmeCa {
  /** For logs and the dashboard. */
  readonly id: string
  readonly directoryUrl: string
}

export function acmeCaOf(values: CertificateValues): AcmeCa | undefined {
  const { acmeEnv, acmeDirectoryUrl } = values
  if (acmeEnv === 'development' || acmeEnv === 'off') return undefined
  if (acmeDirectoryUrl === undefined) return LETS_ENCRYPT[acmeEnv]
  return { id: new URL(acmeDirectoryUrl).hostname, directoryUrl: acmeDirectoryUrl }
}

const LETS_ENCRYPT = {
  production: {
    id: 'letsencrypt.org',
    directoryUrl: 'https://acme-v02.api.letsencrypt.org/directory',
  },
  staging: {
    id: 'staging of letsencrypt.org',
    directoryUrl: 'https://acme-staging-v02.api.letsencrypt.org/directory',
  },
} as const

/** What does not go together. */
export function checkCertificates(
  values: Partial<CertificateValues>,
  complain: (key: string, reason: string) => void,
): void {
  const { acmeEnv, acmeDirectoryUrl, acmeEabKid, acmeEabHmac, tlsCertDir } = values
  if (acmeEnv === 'off' && tlsCertDir === undefined) {
    complain(
      'ACME_ENV',
      'no certificates: leave out ACME_ENV=off, or set TLS_CERT_DIR (a directory with yours)',
    )
  }
  const isOurs = acmeEnv === 'development' || acmeEnv === 'off'
  if (isOurs && acmeDirectoryUrl !== undefined) {
    complain('ACME_DIRECTORY_URL', `has no effect with ACME_ENV=${acmeEnv}: remove one of them`)
  }
  if ((acmeEabKid === undefined) !== (acmeEabHmac === undefined)) {
    const [given, missing] = acmeEabKid === undefined ? ['HMAC', 'KID'] : ['KID', 'HMAC']
    complain(`ACME_EAB_${given}`, `needs ACME_EAB_${missing} beside it`)
  }
}

/** What `gotunnel-server certs` needs to know. @throws ConfigError CONFIG_INVALID, with all that is wrong. */
export function parseCertificateConfig(
  env: Environment,
  positionOf?: (key: string) => Position | undefined,
): CertificateValues {
  const problems = new Problems()
  const values = readFields(certificateFields, fromEnvironment(env, positionOf), problems)
  problems.throwIfAny()
  return values as CertificateValues
}
