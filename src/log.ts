/** What the program's parts may say to its owner. The adapter (winston) is in `cli/logger.ts`. */
export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

/** Facts beside a short constant sentence. Never a token, a secret or a body. */
export type LogFields = Readonly<Record<string, unknown>>
