import { type Environment, fromEnvironment } from './environment.ts'
import { type Position, Problems } from './errors.ts'
import { optional, readFields, required, type Source, type Values, withDefault } from './field.ts'
import { filePath, flag, isLoopback, listenHost, password, port, secrets } from './parse.ts'
import type { Secret } from './secret.ts'

export interface AccessOptions {
  /** What is wrong with a secret, if anything (`auth/secret.ts` knows). */
  readonly checkSecret: (text: string) => string | undefined
  /** Where a variable was set, if not in the environment itself. */
  readonly positionOf?: (key: string) => Position | undefined
}

/** Who may do what at a gateway. */
export const accessFields = {
  /** All that are accepted; the first is the newest. */
  jwtSecrets: required(
    'JWT_SECRET',
    secrets,
    'The secret shared with the agents. Who has it may claim any name. Of several all count, and the first one signs.',
  ),
  requireScopedTokens: withDefault(
    'REQUIRE_SCOPED_TOKENS',
    flag,
    'false',
    'Take only agents with a token that is limited to hosts, and none with the shared secret.',
  ),
  revocationsFile: optional(
    'REVOCATIONS_FILE',
    filePath,
    'File with the ids and names of tokens that are taken no more, one a line. Watched for changes.',
  ),
  dashboardPort: withDefault('DASHBOARD_PORT', port, '8080', 'Port of the dashboard.'),
  dashboardBind: optional(
    'DASHBOARD_BIND',
    listenHost,
    'Address of the dashboard. Not set: 127.0.0.1, and with a password what `BIND_ADDRESS` says. Without a password it has to be a loopback address.',
  ),
  dashboardPassword: optional(
    'DASHBOARD_PASSWORD',
    password,
    'What people log in to the dashboard with, and programs (`Authorization: Bearer`). Not set: whoever is on this machine may see it.',
  ),
  dashboardOnGateway: withDefault(
    'DASHBOARD_ON_GATEWAY',
    flag,
    'false',
    'Show the dashboard at `https://GATEWAY_HOST/` as well. Needs a password.',
  ),
}

/** The values of these fields; what is wrong with a secret is a problem too. */
export function readAccess(
  source: Source,
  problems: Problems,
  checkSecret: AccessOptions['checkSecret'],
): Partial<Values<typeof accessFields>> {
  const values = readFields(accessFields, source, problems)
  checkAll(values.jwtSecrets, source, problems, checkSecret)
  checkDashboard(values, source, problems)
  return values
}

/** What strangers can reach has a password. */
function checkDashboard(
  values: Partial<Values<typeof accessFields>>,
  source: Source,
  problems: Problems,
): void {
  const { dashboardPassword, dashboardBind, dashboardOnGateway } = values
  if (dashboardPassword !== undefined || source.entry('DASHBOARD_PASSWORD')?.text.trim()) return
  const complain = (key: string, reason: string) => {
    const at = source.entry(key)?.at
    problems.add({ key, reason, ...(at && { at }) })
  }
  if (dashboardBind !== undefined && !isLoopback(dashboardBind)) {
    complain(
      'DASHBOARD_BIND',
      `${dashboardBind} is no loopback address: set DASHBOARD_PASSWORD too`,
    )
  }
  if (dashboardOnGateway) complain('DASHBOARD_ON_GATEWAY', 'needs DASHBOARD_PASSWORD')
}

/** What `gotunnel-server token` needs to know: as much of it as there is. */
export interface TokenConfig {
  readonly jwtSecrets: readonly Secret[]
  readonly revocationsFile?: string
}

/** @throws ConfigError CONFIG_INVALID, with all that is wrong. */
export function parseTokenConfig(
  env: Environment,
  { checkSecret, positionOf }: AccessOptions,
): TokenConfig {
  const problems = new Problems()
  const source = fromEnvironment(env, positionOf)
  const { jwtSecrets: secretField, revocationsFile: fileField } = accessFields
  const fields = { jwtSecrets: { ...secretField, isRequired: false }, revocationsFile: fileField }
  const { jwtSecrets = [], revocationsFile } = readFields(fields, source, problems)
  checkAll(jwtSecrets, source, problems, checkSecret)
  problems.throwIfAny()
  return { jwtSecrets, ...(revocationsFile !== undefined && { revocationsFile }) }
}

function checkAll(
  secrets: readonly Secret[] = [],
  source: Source,
  problems: Problems,
  checkSecret: AccessOptions['checkSecret'],
): void {
  const { key } = accessFields.jwtSecrets
  const at = source.entry(key)?.at
  for (const [index, secret] of secrets.entries()) {
    const weakness = checkSecret(secret.reveal())
    if (!weakness) continue
    const reason = secrets.length === 1 ? weakness : `number ${index + 1}: ${weakness}`
    problems.add({ key, reason, ...(at && { at }) })
  }
}
