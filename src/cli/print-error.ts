import { ConfigError, formatProblem } from '../config/errors.ts'
import { CodedError } from '../errors.ts'
import type { Usage } from './arguments.ts'

/**
 * What a person is told on the standard error: one line, the problems of a configuration under it,
 * the causes with LOG_LEVEL=debug, and a hint where one helps.
 */
export function describeError(error: unknown, { name }: Usage): string {
  const lines = [`error: ${headline(error)}`]
  if (error instanceof ConfigError) {
    lines.push(...error.problems.map((problem) => `  ${formatProblem(problem)}`))
  }
  if (process.env.LOG_LEVEL === 'debug') lines.push(...causes(error))
  const code = error instanceof CodedError ? error.code : ''
  if (code === 'CLI_USAGE' || code === 'CONFIG_INVALID')
    lines.push(`hint: ${name} --help has all there is to type`)
  return `${lines.join('\n')}\n`
}

/** For what should not have happened; with the stack, as nobody knows yet where to look. */
export function describeCrash(what: string, error: unknown, stack: string): string {
  return `error: ${what}: ${headline(error)}\n${stack}\n`
}

function headline(error: unknown): string {
  if (!(error instanceof Error)) return oneLine(String(error))
  const { code } = error as { code?: unknown }
  const text = oneLine(error.message || error.name)
  return typeof code === 'string' ? `${text} (${code})` : text
}

function causes(error: unknown): string[] {
  const lines: string[] = []
  let cause = error instanceof Error ? error.cause : undefined
  for (let depth = 0; cause !== undefined && depth < 8; depth += 1) {
    lines.push(`  caused by: ${headline(cause)}`)
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return lines
}

/** Without what a terminal obeys: messages quote what was typed, and what peers say. */
function oneLine(text: string): string {
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g, ' ')
}
