import { type Kind, Refusal } from '../config/field.ts'
import { CliError } from './errors.ts'

/** What was typed for an option or an argument, as what it stands for. @throws CliError CLI_USAGE */
export function typed<T>(name: string, kind: Kind<T>, text: string): T
export function typed<T>(name: string, kind: Kind<T>, text: string | undefined): T | undefined
export function typed<T>(name: string, kind: Kind<T>, text: string | undefined): T | undefined {
  if (text === undefined) return undefined
  const value = kind.parse(text)
  if (value !== undefined && !(value instanceof Refusal)) return value
  const reason = value instanceof Refusal ? value.reason : `must be ${kind.allowed}`
  throw new CliError('CLI_USAGE', `${name}: ${JSON.stringify(text)}: ${reason}`)
}
