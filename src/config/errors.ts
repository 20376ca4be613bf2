import { CodedError } from '../errors.ts'

/**
 * - `CONFIG_INVALID`: values are missing, unknown or not allowed; `problems` has all of them.
 * - `CONFIG_FILE_MISSING`: a file that was named does not exist.
 * - `CONFIG_FILE_UNREADABLE`: it exists, but cannot be read as text.
 */
export type ConfigErrorCode = 'CONFIG_INVALID' | 'CONFIG_FILE_MISSING' | 'CONFIG_FILE_UNREADABLE'

export class ConfigError extends CodedError<ConfigErrorCode> {
  readonly problems: readonly Problem[]

  constructor(
    code: ConfigErrorCode,
    message: string,
    options: ErrorOptions & { problems?: readonly Problem[] } = {},
  ) {
    super(code, message, options)
    this.problems = options.problems ?? []
  }
}

/** One thing that is wrong with a configuration, for the person who typed it. */
export interface Problem {
  /** `GATEWAY_PORT`, `tunnels[1].target`; absent when it is about the whole file. */
  readonly key?: string
  /** What was typed. Never a secret's. */
  readonly value?: string
  /** What is allowed, or what is wrong: `must be a port, 0 to 65535`. */
  readonly reason: string
  /** The word that was probably meant. */
  readonly suggestion?: string
  /** Where it stands. Absent: in the environment. */
  readonly at?: Position
}

/** A place in a file; lines and columns count from 1. */
export interface Position {
  readonly file: string
  readonly line?: number
  readonly column?: number
}

/** One line, without control characters: `config.yaml:7:11: tunnels[1].mode: "htp": must be http or tcp; did you mean "http"?` */
export function formatProblem({ key, value, reason, suggestion, at }: Problem): string {
  const parts = [at && formatPosition(at), key && visible(key), value && quote(value), reason]
  const line = parts.filter(Boolean).join(': ')
  return suggestion === undefined ? line : `${line}; did you mean ${quote(suggestion)}?`
}

export function formatPosition({ file, line, column }: Position): string {
  return [visible(file), line, column].filter((part) => part !== undefined).join(':')
}

/** Gathers problems, so that they are told together and not one a start. */
export class Problems {
  readonly found: Problem[] = []

  add(problem: Problem): void {
    this.found.push(problem)
  }

  /** @throws ConfigError CONFIG_INVALID, when there are any. */
  throwIfAny(): void {
    const count = this.found.length
    if (count === 0) return
    const message = `the configuration has ${count === 1 ? 'a problem' : `${count} problems`}`
    throw new ConfigError('CONFIG_INVALID', message, { problems: this.found })
  }
}

const shownLength = 200 // enough for a path, and to recognise what one typed

function quote(text: string): string {
  const shown = text.length > shownLength ? `${text.slice(0, shownLength)}…` : text
  return visible(JSON.stringify(shown))
}

/** What a terminal would obey instead of print, as escapes: C0, C1, line separators, direction marks. */
export function visible(text: string): string {
  return text.replace(
    /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
