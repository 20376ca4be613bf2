import { readToken } from '../auth/compact-form.ts'
import type { Identity } from '../auth/identity.ts'
import { mintToken, signerOf } from '../auth/jwt.ts'
import { isRevokedBy, parseRevocations } from '../auth/revocations.ts'
import { checkSecret } from '../auth/secret.ts'
import { parseTokenConfig, type TokenConfig } from '../config/access.ts'
import { loadEnvironment, readText } from '../config/load.ts'
import { hostPatterns, identifier, lifetime, portRanges } from '../config/parse.ts'
import { PortRanges } from '../net/port-ranges.ts'
import type { Invocation } from './arguments.ts'
import { CliError } from './errors.ts'
import { describeToken } from './token-text.ts'
import { typed } from './typed.ts'

/** `gotunnel-server token`: the token alone goes to the standard output, what it is to the other. */
export async function printToken(invocation: Invocation): Promise<void> {
  const name = typed('--name', identifier, needed(invocation, 'name', 'whom the token is for'))
  const hosts = typed('--hosts', hostPatterns, invocation.value('hosts')) ?? []
  const ports = typed('--ports', portRanges, invocation.value('ports'))
  const ssh = invocation.has('ssh')
  if (hosts.length === 0 && ports === undefined) {
    throw new CliError('CLI_USAGE', '--hosts or --ports is needed: what the token may register')
  }
  const life = typed('--expires', lifetime, invocation.value('expires') ?? '365d')
  const { jwtSecrets } = configuration(invocation)
  const [newest] = jwtSecrets
  if (newest === undefined) {
    throw new CliError(
      'CLI_USAGE',
      "JWT_SECRET is needed, the gateway's: in the environment or .env",
    )
  }

  const token = mintToken({
    secret: newest.reveal(),
    name,
    scope: { hosts, ports: ports ?? new PortRanges([]), ssh },
    expireSec: life === 'never' ? undefined : life,
  })
  process.stdout.write(`${token}\n`)
  process.stderr.write(describeToken(readToken(token), []))
}

/** `gotunnel-server token inspect`: what it says, and what a gateway with our settings would say to it. */
export async function inspectToken(invocation: Invocation): Promise<void> {
  const token = invocation.argument ?? (await fromStandardInput())
  const config = configuration(invocation)
  const identity = readToken(token.trim())
  const facts: [string, string][] = [
    ['signature', signatureOf(token.trim(), config)],
    ...revocationOf(identity, config),
  ]
  process.stdout.write(describeToken(identity, facts))
}

function signatureOf(token: string, { jwtSecrets }: TokenConfig): string {
  if (jwtSecrets.length === 0) return 'not checked: there is no JWT_SECRET here'
  const signer = signerOf(
    token,
    jwtSecrets.map((secret) => secret.reveal()),
  )
  if (signer === -1) return 'bad: not made with JWT_SECRET'
  return jwtSecrets.length === 1 ? 'good' : `good, made with number ${signer + 1} of JWT_SECRET`
}

function revocationOf(identity: Identity, { revocationsFile }: TokenConfig): [string, string][] {
  if (revocationsFile === undefined) return []
  const entries = parseRevocations(readText(revocationsFile, { hint: 'REVOCATIONS_FILE names it' }))
  return [['revoked', isRevokedBy(entries, identity) ? `yes, in ${revocationsFile}` : 'no']]
}

function configuration(invocation: Invocation): TokenConfig {
  const file = invocation.value('env-file')
  const { env, positionOf } = loadEnvironment(process.env, file ?? '.env', {
    isOptional: file === undefined,
  })
  return parseTokenConfig(env, { checkSecret, positionOf })
}

function needed(invocation: Invocation, option: string, what: string): string {
  const value = invocation.value(option)
  if (value !== undefined) return value
  throw new CliError('CLI_USAGE', `--${option} is needed: ${what}`)
}

const inputLimit = 65_536 // far beyond any token

async function fromStandardInput(): Promise<string> {
  if (process.stdin.isTTY) {
    throw new CliError('CLI_USAGE', 'token inspect needs TOKEN, or one on the standard input')
  }
  let text = ''
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += chunk
    if (text.length > inputLimit) break
  }
  return text
}
