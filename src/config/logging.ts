import { type Values, withDefault } from './field.ts'
import { choice } from './parse.ts'

/** What both programs take from the environment about their logs. */
export const logFields = {
  logLevel: withDefault(
    'LOG_LEVEL',
    choice(['debug', 'info', 'warn', 'error']),
    'info',
    'The least important lines to log.',
  ),
  logFormat: withDefault(
    'LOG_FORMAT',
    choice(['json', 'pretty', 'auto']),
    'auto',
    'JSON lines, or short ones for people. `auto`: pretty on a terminal, JSON elsewhere; the agent shows a live status on a terminal.',
  ),
}

export type LogSettings = Values<typeof logFields>
