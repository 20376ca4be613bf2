/**
 * A configuration is a table of fields. One table feeds the parsing, the defaults, `--help` and the
 * tables of docs/configuration.md, so that they cannot disagree.
 */
import type { Position, Problems } from './errors.ts'
import { closest } from './suggest.ts'

/** How the text of a value becomes a typed one. */
export interface Kind<T> {
  /** What may be typed, as it follows "must be": `a port, 0 to 65535`. */
  readonly allowed: string
  /** Its values are never shown. */
  readonly isSecret?: boolean
  /** A list of the file is taken too: `parse` gets its items with commas between. */
  readonly isList?: boolean
  /** The words to choose from, where these are all. */
  readonly words?: readonly string[]
  /** `undefined`: not one of the allowed. A Refusal: not allowed, and there is more to say than that. */
  parse(text: string): T | Refusal | undefined
}

/** Why a value is refused, in words of its own. */
export class Refusal {
  readonly reason: string

  constructor(reason: string) {
    this.reason = reason
  }
}

export interface Field<T> {
  /** The name people type: `GATEWAY_PORT`, `tunnel_addr`. */
  readonly key: string
  readonly kind: Kind<unknown>
  readonly doc: string
  /** As one would type it; the kind parses it too. */
  readonly default?: string
  readonly isRequired: boolean
  /** Only for the type system: what the field gives. */
  readonly gives?: T
}

export type Fields = Readonly<Record<string, Field<unknown>>>

export type Values<F extends Fields> = {
  readonly [Name in keyof F]: F[Name] extends Field<infer T> ? T : never
}

/** Fields that belong together, under a heading of `--help` and of the documentation. */
export interface Section {
  readonly title: string
  readonly fields: Fields
}

export function required<T>(key: string, kind: Kind<T>, doc: string): Field<T> {
  return { key, kind, doc, isRequired: true }
}

export function optional<T>(key: string, kind: Kind<T>, doc: string): Field<T | undefined> {
  return { key, kind, doc, isRequired: false }
}

export function withDefault<T>(key: string, kind: Kind<T>, text: string, doc: string): Field<T> {
  return { key, kind, doc, default: text, isRequired: false }
}

/** What was typed for a key. */
export interface Entry {
  readonly text: string
  /** What to show in its place: the text before `${VAR}` was filled in. */
  readonly shown?: string
  /** It was a list, and the text is its items with commas between. */
  readonly isList?: boolean
  /** Why the text cannot be used at all, whatever its kind. */
  readonly refused?: string
  readonly at?: Position
}

/** What a table is read from. */
export interface Source {
  entry(key: string): Entry | undefined
  /** The map under a key, where the source may have such. */
  map?(key: string): MapSource | undefined
  /** How a key is called in problems, when that is longer than itself: `tunnels[1].target`. */
  pathOf?(key: string): string
  /** Where a missing key should have been. */
  readonly at?: Position | undefined
}

/** One whose keys are not known beforehand. */
export interface MapSource extends Source {
  keys(): Iterable<string>
}

/**
 * The values of all fields. What is empty counts as not set, as docker and the Go program have it.
 * The values are complete only once `problems.throwIfAny()` has passed.
 */
export function readFields<F extends Fields>(
  fields: F,
  source: Source,
  problems: Problems,
): Partial<Values<F>> {
  const values: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) {
    const value = readField(field, source, problems)
    if (value !== undefined) values[name] = value
  }
  return values as Partial<Values<F>>
}

/** Of a value that is wrong beside others, at its place. */
export function complain(source: Source, problems: Problems, key: string, reason: string): void {
  const at = source.entry(key)?.at ?? source.at
  problems.add({ key: source.pathOf?.(key) ?? key, reason, ...(at && { at }) })
}

function readField(field: Field<unknown>, source: Source, problems: Problems): unknown {
  const { kind } = field
  const key = source.pathOf?.(field.key) ?? field.key
  const entry = source.entry(field.key)
  const refused = entry?.refused ?? (entry?.isList && !kind.isList && 'must be a single value')
  if (refused) {
    problems.add({ key, reason: refused, ...(entry?.at && { at: entry.at }) })
    return undefined
  }
  const isEmpty = entry === undefined || entry.text.trim() === ''
  if (isEmpty && field.isRequired) {
    const at = entry?.at ?? source.at
    problems.add({ key, reason: `is required: ${kind.allowed}`, ...(at && { at }) })
    return undefined
  }
  const text = isEmpty ? field.default : entry.text
  if (text === undefined) return undefined

  const value = kind.parse(kind.isSecret ? text : text.trim())
  if (value !== undefined && !(value instanceof Refusal)) return value
  const suggestion = value === undefined && kind.words && closest(text.trim(), kind.words)
  problems.add({
    key,
    reason: value?.reason ?? `must be ${kind.allowed}`,
    ...(!kind.isSecret && { value: entry?.shown ?? text.trim() }),
    ...(suggestion && { suggestion }),
    ...(entry?.at && { at: entry.at }),
  })
  return undefined
}
