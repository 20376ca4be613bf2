/** `gotunnel-server certs`: asks the gateway that runs; without one there is the directory to look into. */
import { request } from 'node:http'
import { json } from 'node:stream/consumers'
import {
  type CertificateList,
  commandPath,
  type OrderedCertificate,
  type OrderRefusal,
} from '../certs/command-socket.ts'
import { CertificateError } from '../certs/errors.ts'
import { type CertificateValues, parseCertificateConfig } from '../config/acme.ts'
import { loadEnvironment } from '../config/load.ts'
import type { Invocation } from './arguments.ts'
import { readCertificateCache } from './certificate-cache.ts'
import { describeCertificates, describeOrdered } from './certs-text.ts'
import { CliError } from './errors.ts'

/** What there is, and what becomes of it. */
export async function printCertificates(invocation: Invocation): Promise<void> {
  const config = configuration(invocation)
  const isOff = config.acmeEnv === 'off' // then there is no ACME_CACHE, and no socket
  const list = isOff ? undefined : await ask<CertificateList>(config, 'GET', '/certificates')
  if (list === undefined && !isOff) {
    process.stderr.write(`${noGateway(config)}: this is what is stored there\n`)
  }
  const certificates = list?.certificates ?? (await readCertificateCache(config, stderrLog))
  process.stdout.write(describeCertificates(certificates, list?.issuance))
}

/** `certs issue`: one for a name that has none. */
export function issueCertificate(invocation: Invocation): Promise<void> {
  return order(invocation, '')
}

/** `certs renew`: a new one, whether or not it is time. */
export function renewCertificate(invocation: Invocation): Promise<void> {
  return order(invocation, '?renew')
}

async function order(invocation: Invocation, query: string): Promise<void> {
  const config = configuration(invocation)
  const name = invocation.argument ?? ''
  if (config.acmeEnv === 'off') {
    const text = 'ACME_ENV=off: nobody issues certificates, there are those in TLS_CERT_DIR'
    throw new CliError('CLI_NO_GATEWAY', text)
  }
  const path = `/certificates/${encodeURIComponent(name)}${query}`
  const answer = await ask<OrderedCertificate | OrderRefusal>(config, 'POST', path)
  if (answer === undefined) {
    const text = `${noGateway(config)}, and only a running one gets certificates: start it first`
    throw new CliError('CLI_NO_GATEWAY', text)
  }
  if ('code' in answer) {
    throw new CertificateError(answer.code, answer.message)
  }
  process.stdout.write(describeOrdered(name, answer))
}

function configuration(invocation: Invocation): CertificateValues {
  const file = invocation.value('env-file')
  const isOptional = file === undefined
  const { env, positionOf } = loadEnvironment(process.env, file ?? '.env', { isOptional })
  return parseCertificateConfig(env, positionOf)
}

function noGateway({ acmeCache }: CertificateValues): string {
  return `no gateway runs with ACME_CACHE=${acmeCache}`
}

/** `undefined`: nobody listens there. @throws CliError CLI_NO_GATEWAY, where it cannot be asked. */
async function ask<T>(
  { acmeCache }: CertificateValues,
  method: string,
  path: string,
): Promise<T | undefined> {
  const socketPath = commandPath(acmeCache)
  try {
    return await new Promise<T>((resolve, reject) => {
      const signal = AbortSignal.timeout(TIMEOUT_MS)
      const asking = request({ socketPath, method, path, signal }, (response) => {
        json(response).then((body) => resolve(body as T), reject)
      })
      asking.on('error', reject).end()
    })
  } catch (cause) {
    const { code = '', message } = cause as NodeJS.ErrnoException
    if (['ENOENT', 'ENOTDIR', 'ECONNREFUSED'].includes(code)) return undefined
    const reason =
      code === 'EACCES' ? 'not as this user: run this as the user the gateway runs as' : message
    const text = `the gateway cannot be asked at ${socketPath}: ${reason}`
    throw new CliError('CLI_NO_GATEWAY', text, { cause })
  }
}

/** The gateway answers within a minute, also while an order goes on. */
const TIMEOUT_MS = 90_000

const warn = (message: string, fields: object = {}) => {
  process.stderr.write(`warning: ${message}: ${Object.values(fields).join(': ')}\n`)
}
const stderrLog = { debug: () => {}, info: () => {}, warn, error: warn }
