/**
 * What log lines may hold. Fields come from strangers: host names, paths, what an agent says of itself. So
 * texts and lines are of bounded length, without what looks like a token or a secret, and without anything
 * that a terminal obeys.
 */
import type { LogFields } from '../log.ts'

const limitCharacters = 2048 // of one text
const limitValues = 200 // in one line
const limitDepth = 4

const hidden = '[secret]'
const hiddenKey = /(?:token|jwt|secrets?|password|authorization|cookie)$/i

/** A text as it may be shown, but for control characters. */
export function cap(text: string): string {
  const shown =
    text.length > limitCharacters
      ? `${text.slice(0, limitCharacters)}… (${text.length} characters)`
      : text
  return shown.includes('eyJ') ? shown.replace(/eyJ[\w-]*\.[\w-]+(\.[\w-]*)?/g, hidden) : shown
}

/** What is not in texts that may be shown as they are, in JSON too: most of them. */
const notPlain = /[^ !#-[\]-~]|eyJ/

/** Whether the text may be shown as it is, in JSON too. */
export function isPlainText(text: string): boolean {
  return text.length <= limitCharacters && !notPlain.test(text)
}

/** C0 and C1, DEL, the line separators that JSON leaves alone, and the marks that turn text around. */
const controls = /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/** For what comes from strangers and goes to a terminal. */
export function escapeControls(text: string): string {
  return text.replace(controls, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Makes values what JSON can hold, within the limits of one line. */
export class PlainValues {
  #left = limitValues

  /** Calls with each field that the line has room for: as it is, but for secrets. */
  each(fields: LogFields, take: (key: string, value: unknown) => void): void {
    for (const key of Object.keys(fields)) {
      const value = fields[key]
      if (value === undefined || typeof value === 'function') continue
      if (this.#left <= 0) break
      this.#left -= 1
      take(key, typeof value === 'string' && hiddenKey.test(key) ? hidden : value)
    }
  }

  value(value: unknown, depth = 0): unknown {
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
    if (Array.isArray(value) || value instanceof Set) return this.#items(value, depth + 1)
    if ('toJSON' in value && typeof value.toJSON === 'function') {
      return this.value(value.toJSON(), depth + 1)
    }
    return this.#fields(value as LogFields, depth + 1)
  }

  #items(values: Iterable<unknown>, depth: number): unknown[] {
    const items: unknown[] = []
    for (const item of values) {
      if (this.#left <= 0) break
      this.#left -= 1
      items.push(this.value(item, depth))
    }
    return items
  }

  #fields(fields: LogFields, depth: number): object {
    const entries: [string, unknown][] = []
    this.each(fields, (key, value) => entries.push([cap(key), this.value(value, depth)]))
    return Object.fromEntries(entries)
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

export interface PlainError {
  readonly message: string
  readonly code?: string
  readonly cause?: unknown
}

export function isPlainError(value: unknown): value is PlainError {
  return typeof value === 'object' && value !== null && 'message' in value
}
