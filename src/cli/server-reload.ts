import { serverSections } from '../config/server.ts'
import { describeReload } from './describe-reload.ts'
import type { ProgramLogger } from './logger.ts'
import { type LoadedServer, loadServer } from './server-config.ts'

/** What is taken up while the gateway runs. */
const changeable = ['LOG_LEVEL']

/**
 * What a gateway does on SIGHUP: reads its settings again, of which LOG_LEVEL has an effect at once, and looks at
 * certificates and revocations. Settings that cannot be used change nothing, and are told of.
 */
export async function reload({
  loaded,
  log,
  refresh,
}: {
  /** As it was at the start. */
  readonly loaded: LoadedServer
  readonly log: ProgramLogger
  readonly refresh: () => Promise<unknown>
}): Promise<void> {
  const { envFile, environment } = loaded
  try {
    const next = loadServer({ envFile, env: environment.withoutFile })
    log.setLevel(next.config.logLevel)
    const settings = changedKeys(environment.env, next.environment.env)
    log.info('settings, certificates and revocations are read again', {
      logLevel: next.config.logLevel,
    })
    if (settings.length > 0) log.warn('these settings change with the next start', { settings })
  } catch (error) {
    log.error('the settings were not taken up, those before stay', describeReload(error))
  }
  await refresh()
}

type Values = Readonly<Record<string, string | undefined>>

function changedKeys(before: Values, after: Values): string[] {
  const keys = serverSections.flatMap(({ fields }) => Object.values(fields).map(({ key }) => key))
  return keys.filter((key) => !changeable.includes(key) && before[key] !== after[key])
}
