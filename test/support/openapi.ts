import { readFileSync } from 'node:fs'
import { parse } from 'yaml'

/** As much of JSON Schema as docs/openapi.yaml uses. */
export interface Schema {
  readonly $ref?: string
  readonly type?: string
  readonly enum?: readonly unknown[]
  readonly items?: Schema
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: boolean
}

interface Operation {
  readonly responses: Readonly<
    Record<string, { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }>
  >
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

export const openApi: Document = parse(
  readFileSync(new URL('../../docs/openapi.yaml', import.meta.url), 'utf8'),
)

/** What is wrong with a value, by where it is. */
export function complaints(value: unknown, schema: Schema, at = '$'): string[] {
  if (schema.$ref !== undefined) return complaints(value, schemaAt(schema.$ref), at)
  if (!isOfType(value, schema.type)) return [`${at} is no ${schema.type}`]
  if (schema.enum !== undefined && !schema.enum.includes(value)) return [`${at} is ${value}`]
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => complaints(item, schema.items ?? {}, `${at}[${index}]`))
  }
  if (typeof value !== 'object' || value === null) return []
  const { required = [], properties = {}, additionalProperties } = schema
  const missing = required.filter((name) => !Object.hasOwn(value, name))
  return [
    ...missing.map((name) => `${at}.${name} is missing`),
    ...Object.entries(value).flatMap(([name, one]) => {
      const known = properties[name]
      if (known !== undefined) return complaints(one, known, `${at}.${name}`)
      return additionalProperties === false ? [`${at}.${name} is not described`] : []
    }),
  ]
}

function schemaAt(ref: string): Schema {
  const schema = openApi.components.schemas[ref.split('/').at(-1) ?? '']
  if (schema === undefined) throw new Error(`no schema ${ref}`)
  return schema
}

function isOfType(value: unknown, type: string | undefined): boolean {
  if (type === undefined) return true
  if (type === 'array') return Array.isArray(value)
  if (type === 'integer') return Number.isInteger(value)
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  return typeof value === type
}
