import { ConfigError, formatProblem } from '../config/errors.ts'
import type { LogFields } from '../log.ts'

/** Why a configuration could not be taken up, for a log: all that is wrong with it. */
export function describeReload(error: unknown): LogFields {
  const reason = error instanceof Error ? error.message : String(error)
  if (!(error instanceof ConfigError) || error.problems.length === 0) return { reason }
  return { reason, problems: error.problems.map(formatProblem) }
}
