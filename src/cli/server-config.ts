import { checkSecret } from '../auth/secret.ts'
import { type Environment, loadEnvironment, readText, requireDirectory } from '../config/load.ts'
import { findIgnoredKeys, parseServerConfig, type ServerConfig } from '../config/server.ts'

export interface LoadedServer {
  readonly envFile: string | undefined
  readonly environment: Environment
  readonly config: ServerConfig
  /** What a person may have meant for us, and we do not take, as sentences. */
  readonly ignored: readonly string[]
}

/** The configuration, checked with the files it names. Without `envFile` from .env, if there is one. */
export function loadServer({
  envFile,
  env,
}: {
  readonly envFile: string | undefined
  readonly env: Environment['env']
}): LoadedServer {
  const isOptional = envFile === undefined
  const environment = loadEnvironment(env, envFile ?? '.env', { isOptional })
  const { positionOf, keysOfFile } = environment
  const config = parseServerConfig(environment.env, { checkSecret, positionOf })
  if (config.tlsCertDir !== undefined) {
    requireDirectory(config.tlsCertDir, 'TLS_CERT_DIR', positionOf('TLS_CERT_DIR'))
  }
  if (config.revocationsFile !== undefined) {
    readText(config.revocationsFile, { hint: 'REVOCATIONS_FILE names it; an empty one will do' })
  }
  return { envFile, environment, config, ignored: findIgnoredKeys(keysOfFile) }
}
