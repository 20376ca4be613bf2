import type { HostPort } from '../net/address.ts'
import type { ProxyServer } from '../net/proxy-server.ts'
import type { Environment } from './environment.ts'
import type { Problems } from './errors.ts'
import {
  complain,
  optional,
  readFields,
  required,
  type Source,
  type Values,
  withDefault,
} from './field.ts'
import {
  filePath,
  flag,
  gatewayAddresses,
  identifier,
  integer,
  secret,
  shortText,
  token,
} from './parse.ts'
import { proxyChooser, proxyField } from './proxy.ts'
import type { Secret } from './secret.ts'

/** How an agent reaches its gateway, and what it has to show there. */
export interface AgentConnection {
  /** At least one; they are tried in turn. */
  readonly gateways: readonly GatewayAddress[]
  readonly skipTlsVerify: boolean
  readonly caFile?: string
  readonly credentials: Credentials
  readonly agentId?: string
}

export interface GatewayAddress extends HostPort {
  readonly proxy?: ProxyServer
}

/** The shared secret, to sign tokens with; or a token somebody else has signed. */
export type Credentials =
  | {
      readonly kind: 'secret'
      readonly secret: Secret
      readonly issuer: string
      readonly expireSec: number
    }
  | { readonly kind: 'token'; readonly token: Secret }

export const connectionFields = {
  tunnelAddrs: required(
    'tunnel_addr',
    gatewayAddresses,
    "The gateway's address for agents. Of several the next one is tried when one cannot be reached or goes away.",
  ),
  skipTlsVerify: withDefault(
    'skip_tls_verify',
    flag,
    'false',
    "Do not check the gateway's certificate. For trials only: use `ca_file`.",
  ),
  caFile: optional(
    'ca_file',
    filePath,
    'PEM file with the CA to trust, in place of the public ones. Relative to this file.',
  ),
  proxy: proxyField,
}

export const credentialFields = {
  secret: optional('jwt_secret', secret, 'The secret shared with the gateway.'),
  issuer: withDefault('jwt_issuer', shortText, 'gotunnel', 'Who signs, as the gateway logs it.'),
  expireSec: withDefault(
    'jwt_expire_sec',
    integer({ min: 60, max: 31_536_000, unit: 'seconds' }),
    '3600',
    'How long a token is valid. A new one is signed for each connection.',
  ),
  token: optional('token', token, 'A token to present, in place of `jwt_secret`.'),
  agentId: optional(
    'agent_id',
    identifier,
    'By what the gateway knows this agent again, so that it takes its names over from its last session. No two agents with the same credentials may have the same. Not set: made of this machine and the path of this file.',
  ),
}

export interface ConnectionOptions {
  readonly env: Environment
  /** What is wrong with a secret, if anything (`auth/secret.ts` knows). */
  readonly checkSecret: (text: string) => string | undefined
}

/** Complete only once `problems.throwIfAny()` has passed. */
export function readConnection(
  source: Source,
  { env, checkSecret }: ConnectionOptions,
  problems: Problems,
): Partial<AgentConnection> {
  const { tunnelAddrs = [], proxy, ...connection } = readFields(connectionFields, source, problems)
  const proxyFor = proxyChooser(proxy, env, problems)
  const { agentId, ...rest } = readFields(credentialFields, source, problems)
  const weakness = rest.secret && checkSecret(rest.secret.reveal())
  if (weakness) complain(source, problems, 'jwt_secret', weakness)
  const credentials = chooseCredentials(rest, source, problems)
  return {
    ...(connection as Partial<AgentConnection>),
    gateways: tunnelAddrs.map((address) => ({ ...address, ...proxyFor(address) })),
    ...(agentId && { agentId }),
    ...(credentials && { credentials }),
  }
}

function chooseCredentials(
  values: Partial<Values<typeof credentialFields>>,
  source: Source,
  problems: Problems,
): Credentials | undefined {
  const has = (key: string) => {
    const entry = source.entry(key)
    return entry !== undefined && (entry.refused !== undefined || entry.text.trim() !== '')
  }
  const secretKey = source.pathOf?.('jwt_secret') ?? 'jwt_secret'
  if (has('jwt_secret') && has('token')) {
    const reason = `is here beside ${secretKey}: keep the one that is meant`
    complain(source, problems, 'token', reason)
  } else if (!has('jwt_secret') && !has('token')) {
    const reason = "is required: the gateway's JWT_SECRET; or give a token"
    complain(source, problems, 'jwt_secret', reason)
  }
  const { secret: shared, token: given, issuer, expireSec } = values
  if (given) return { kind: 'token', token: given }
  if (!shared || issuer === undefined || expireSec === undefined) return undefined
  return { kind: 'secret', secret: shared, issuer, expireSec }
}
