/** Log lines, as JSON and for people. One entry is one line; what may stand in it is in `log-values.ts`. */
import type { LogFields } from '../log.ts'
import {
  cap,
  escapeControls,
  isPlainError,
  isPlainText,
  type PlainError,
  PlainValues,
} from './log-values.ts'

export interface LogLine {
  readonly time: Date
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields?: LogFields | undefined
}

/**
 * Lines of JSON, written out field by field: a gateway writes one a request. What comes again in line after
 * line is kept: the fields' names, and the time as text for as long as its millisecond lasts.
 */
export class JsonFormat {
  readonly #names = new FieldNames()
  #time = new Date(Number.NaN)
  #isoTime = ''

  format({ time, level, message, fields = {} }: LogLine): string {
    const values = new PlainValues()
    let line = `{"time":"${this.#iso(time)}","level":"${level}","message":${jsonText(message)}`
    values.each(fields, (key, value) => {
      line += this.#names.get(key) + jsonValue(value, values)
    })
    return `${line}}`
  }

  #iso(time: Date): string {
    if (time.getTime() !== this.#time.getTime()) {
      this.#time = time
      this.#isoTime = time.toISOString()
    }
    return this.#isoTime
  }
}

/** A program's fields have few names; should a stranger make them up, they are not kept. */
const mostNames = 500

/** Gives what stands before a field's value. */
class FieldNames {
  readonly #known = new Map<string, string>()

  get(key: string): string {
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const name = `,${jsonText(standard.test(key) ? `_${key}` : key)}:`
    if (this.#known.size < mostNames) this.#known.set(key, name)
    return name
  }
}

/** What every line has, and what fields of these names have become. */
const standard = /^_*(?:time|level|message)$/

function jsonValue(value: unknown, values: PlainValues): string {
  if (typeof value === 'string') return jsonText(value)
  if (Number.isFinite(value)) return `${value}`
  return escapedJson(values.value(value))
}

/** JSON.stringify() is slow with many short texts, most of which need nothing. */
function jsonText(text: string): string {
  return isPlainText(text) ? `"${text}"` : escapedJson(cap(text))
}

function escapedJson(value: unknown): string {
  return escapeControls(JSON.stringify(value) ?? '')
}

export function formatPretty(
  { time, level, message, fields = {} }: LogLine,
  isColoured: boolean,
): string {
  const paint = (code: number, text: string) => (isColoured ? `\x1b[${code}m${text}\x1b[0m` : text)
  const clock = time.toTimeString().slice(0, 8)
  const parts = [
    paint(dim, clock),
    paint(colours[level], level.padEnd(5)),
    escapeControls(cap(message)),
  ]
  const values = new PlainValues()
  values.each(fields, (key, value) => {
    const name = escapeControls(cap(key))
    parts.push(`${paint(dim, `${name}=`)}${prettyValue(values.value(value))}`)
  })
  return parts.join(' ')
}

const dim = 2
const colours = { debug: 36, info: 32, warn: 33, error: 31 } as const // cyan, green, yellow, red

const plainWord = /^[\w.:/@+*[\]-]+$/

function prettyValue(value: unknown): string {
  if (typeof value === 'string' && plainWord.test(value)) return value
  return escapedJson(isPlainError(value) ? errorText(value) : value)
}

function errorText({ message, code, cause }: PlainError): string {
  const head = code === undefined || message.includes(code) ? message : `${message} (${code})`
  return isPlainError(cause) ? `${head}: ${errorText(cause)}` : head
}
