import { ProtocolError } from './errors.ts'
import { lineLimitBytes, lineTooLong } from './lines.ts'

// JSON from a peer, and values out of it, none of them trusted. An absent or null field gives the
// empty value, as in Go: its encoder leaves empty fields out, and writes a map that was never made as
// null. `field` is a value's path, for the error.

export type JsonObject = Readonly<Record<string, unknown>>

/** The longest token is 4 KiB (auth/jwt.ts); nothing else comes near. */
const textLimit = 8192
const entryLimit = 1000

/** Ours are three deep; the rest is room for options of later versions. */
const depthLimit = 16

export function parseJson(line: string): unknown {
  if (line.length > lineLimitBytes) throw lineTooLong(lineLimitBytes)
  if (isNestedTooDeep(line)) throw badField('message', `is nested deeper than ${depthLimit}`)
  try {
    return JSON.parse(line)
  } catch {
    // The parser's own words quote the line, which may hold a token: they go no further.
    throw badField('message', 'is not JSON')
  }
}

export function readObject(value: unknown, field: string): JsonObject | undefined {
  if (isAbsent(value)) return undefined
  if (typeof value === 'object' && !Array.isArray(value)) return value as JsonObject
  throw badField(field, 'is not an object')
}

export function readArray(value: unknown, field: string): readonly unknown[] | undefined {
  if (isAbsent(value)) return undefined
  if (!Array.isArray(value)) throw badField(field, 'is not an array')
  return withinEntryLimit(value, field)
}

export function readText(value: unknown, field: string): string {
  return isAbsent(value) ? '' : boundedText(value, field)
}

/** As `readText`, but `undefined` where there is nothing to say. */
export function readOptionalText(value: unknown, field: string): string | undefined {
  return readText(value, field) || undefined
}

export function readTexts(value: unknown, field: string): string[] | undefined {
  return readArray(value, field)?.map((entry, index) => boundedText(entry, `${field}[${index}]`))
}

export function readTextMap(value: unknown, field: string): Map<string, string> {
  return readMap(value, field, boundedText)
}

/** A map and no object, so that a name like `__proto__` is only a name. */
export function readMap<T>(
  value: unknown,
  field: string,
  read: (entry: unknown, field: string) => T,
): Map<string, T> {
  const entries = Object.entries(readObject(value, field) ?? {})
  return new Map(
    withinEntryLimit(entries, field).map(([name, entry]) => {
      boundedText(name, `a name in ${field}`)
      return [name, read(entry, `${field}[${quote(name)}]`)]
    }),
  )
}

export function readBoolean(value: unknown, field: string): boolean {
  if (isAbsent(value)) return false
  if (typeof value === 'boolean') return value
  throw badField(field, 'is not true or false')
}

/** An integer that a Go int64 and a JS number both hold. */
export function readInteger(value: unknown, field: string): number {
  if (isAbsent(value)) return 0
  if (Number.isSafeInteger(value)) return value as number
  throw badField(field, 'is not an integer')
}

/** As `readInteger`, within bounds, and `undefined` where there is none: for a 0 that means something. */
export function readOptionalInteger(
  value: unknown,
  field: string,
  { min, max }: { min: number; max: number },
): number | undefined {
  if (isAbsent(value)) return undefined
  const number = readInteger(value, field)
  if (number >= min && number <= max) return number
  throw badField(field, `is not from ${min} to ${max}`)
}

/** Says what is wrong with a field; never what is in it, as that may be a token. */
export function badField(field: string, problem: string): ProtocolError {
  return new ProtocolError('PROTOCOL_BAD_MESSAGE', `bad control message: ${field} ${problem}`)
}

/** The object without the fields that are `undefined`. */
export function present<T extends object>(
  fields: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}

function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null
}

function boundedText(value: unknown, field: string): string {
  if (typeof value !== 'string') throw badField(field, 'is not text')
  if (value.length > textLimit) throw badField(field, `is longer than ${textLimit} characters`)
  return value
}

function withinEntryLimit<T>(entries: readonly T[], field: string): readonly T[] {
  if (entries.length <= entryLimit) return entries
  throw badField(field, `has ${entries.length} entries, more than ${entryLimit}`)
}

function quote(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name)
}

/** Counts brackets outside of texts, so that no parser meets what it was not made for. */
function isNestedTooDeep(line: string): boolean {
  let depth = 0
  let isText = false
  for (let index = 0; index < line.length; index++) {
    const char = line[index]
    if (isText) {
      if (char === '\\') index++
      else if (char === '"') isText = false
    } else if (char === '"') isText = true
    else if (char === '{' || char === '[') {
      if (++depth > depthLimit) return true
    } else if (char === '}' || char === ']') depth--
  }
  return false
}
