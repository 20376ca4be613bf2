/**
 * Log lines, as JSON and for people. Fields come from strangers: host names, paths, what an agent says of
 * itself. One entry stays one line, of bounded length, without anything that a terminal obeys, and
 * without what looks like a token or a secret.
 */
import type { LogFields } from '../log.ts'

export interface LogLine {
  readonly time: Date
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields?: LogFields | undefined
}

export function formatJson({ time, level, message, fields }: LogLine): string {
  const line: Record<string, unknown> = { time: time.toISOString(), level, message: cap(message) }
  for (const [key, value] of plainEntries(fields)) {
    line[Object.hasOwn(line, key) ? `_${key}` : key] = value
  }
  return escapeControls(JSON.stringify(line))
}

export function formatPretty(
  { time, level, message, fields }: LogLine,
  isColoured: boolean,
): string {
  const paint = (code: number, text: string) => (isColoured ? `\x1b[${code}m${text}\x1b[0m` : text)
  const clock = time.toTimeString().slice(0, 8)
  const parts = [
    paint(dim, clock),
    paint(colours[level], level.padEnd(5)),
    escapeControls(cap(message)),
    ...plainEntries(fields).map(
      ([key, value]) => `${paint(dim, `${escapeControls(key)}=`)}${prettyValue(value)}`,
    ),
  ]
  return parts.join(' ')
}

const dim = 2
const colours = { debug: 36, info: 32, warn: 33, error: 31 } as const // cyan, green, yellow, red

const limitCharacters = 2048 // of one text
const limitValues = 200 // in one line
const limitDepth = 4

const plainWord = /^[\w.:/@+*[\]-]+$/

function prettyValue(value: unknown): string {
  if (typeof value === 'string') return plainWord.test(value) ? value : quoted(value)
  if (isPlainError(value)) return quoted(errorText(value))
  return quoted(value)
}

function quoted(value: unknown): string {
  return escapeControls(JSON.stringify(value) ?? '')
}

/** C0 and C1, DEL, the line separators that JSON leaves alone, and the marks that turn text around. */
const controls = /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/** For what comes from strangers and goes to a terminal. */
export function escapeControls(text: string): string {
  return text.replace(controls, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function cap(text: string): string {
  const shown =
    text.length > limitCharacters
      ? `${text.slice(0, limitCharacters)}… (${text.length} characters)`
      : text
  return shown.includes('eyJ') ? shown.replace(/eyJ[\w-]*\.[\w-]+(\.[\w-]*)?/g, hidden) : shown
}

const hidden = '[secret]'
const hiddenKey = /(?:token|jwt|secrets?|password|authorization|cookie)$/i

function plainEntries(fields: LogFields | undefined): [string, unknown][] {
  if (fields === undefined) return []
  return new Plain().entries(fields, 0)
}

/** Makes values what JSON can hold, within the limits of one line. */
class Plain {
  #left = limitValues

  entries(object: object, depth: number): [string, unknown][] {
    const entries: [string, unknown][] = []
    for (const [key, value] of Object.entries(object)) {
      if (value === undefined || typeof value === 'function') continue
      if (this.#left <= 0) break
      this.#left -= 1
      entries.push([cap(key), isHidden(key, value) ? hidden : this.value(value, depth)])
    }
    return entries
  }

  value(value: unknown, depth: number): unknown {
    switch (typeof value) {
      case 'string':
        return cap(value)
      case 'number':
        return Number.isFinite(value) ? value : String(value)
      case 'boolean':
        return value
      case 'object':
        return value === null ? null : this.#object(value, depth)
      default:
        return cap(String(value))
    }
  }

  #object(value: object, depth: number): unknown {
    if (value instanceof Error) return this.#error(value, depth)
    if (depth >= limitDepth) return '…'
    if (value instanceof Date)
      return Number.isNaN(value.getTime()) ? 'no date' : value.toISOString()
    if (ArrayBuffer.isView(value)) return `(${value.byteLength} bytes)` // may be a body
    if (value instanceof Map) return this.#object(Object.fromEntries(value), depth)
    if (Array.isArray(value) || value instanceof Set) {
      const items: unknown[] = []
      for (const item of value) {
        if (this.#left <= 0) break
        this.#left -= 1
        items.push(this.value(item, depth + 1))
      }
      return items
    }
    if ('toJSON' in value && typeof value.toJSON === 'function') {
      return this.value(value.toJSON(), depth + 1)
    }
    return Object.fromEntries(this.entries(value, depth + 1))
  }

  #error(error: Error, depth: number): PlainError {
    const { code, cause } = error as { code?: unknown; cause?: unknown }
    return {
      message: cap(error.message || error.name),
      ...(typeof code === 'string' && { code: cap(code) }),
      ...(cause !== undefined && depth < limitDepth && { cause: this.value(cause, depth + 1) }),
    }
  }
}

interface PlainError {
  readonly message: string
  readonly code?: string
  readonly cause?: unknown
}

function isPlainError(value: unknown): value is PlainError {
  return typeof value === 'object' && value !== null && 'message' in value
}

function errorText({ message, code, cause }: PlainError): string {
  const head = code === undefined || message.includes(code) ? message : `${message} (${code})`
  return isPlainError(cause) ? `${head}: ${errorText(cause)}` : head
}

function isHidden(key: string, value: unknown): boolean {
  return typeof value === 'string' && hiddenKey.test(key)
}
