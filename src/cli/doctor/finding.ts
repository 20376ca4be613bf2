import { styleText } from 'node:util'

/** What one check has found. */
export interface Finding {
  readonly state: 'ok' | 'warning' | 'failed'
  /** What was looked at, in a word or two. */
  readonly subject: string
  /** What was seen, and after a failure what to do. */
  readonly text: string
}

export function ok(subject: string, text: string): Finding {
  return { state: 'ok', subject, text }
}

/** May be meant so, or was not to be found out. */
export function warning(subject: string, text: string): Finding {
  return { state: 'warning', subject, text }
}

export function failed(subject: string, text: string): Finding {
  return { state: 'failed', subject, text }
}

const marks = {
  ok: { text: 'ok  ', colour: 'green' },
  warning: { text: '?   ', colour: 'yellow' },
  failed: { text: 'FAIL', colour: 'red' },
} as const

export function formatFinding({ state, subject, text }: Finding, isColoured: boolean): string {
  const mark = marks[state]
  const shown = isColoured ? styleText(mark.colour, mark.text) : mark.text
  return `${shown}  ${subject.padEnd(14)} ${text}\n`
}
