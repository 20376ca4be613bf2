/** YAML that remembers where everything stood. Only as much as configurations need: maps, lists, scalars. */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
  type YAMLMap,
} from 'yaml'
import type { Position, Problem, Problems } from './errors.ts'
import type { Entry, MapSource } from './field.ts'
import { closest } from './suggest.ts'

/** The map that the file is; `undefined` where it is none or cannot be read (the problems say why). */
export function readYaml(text: string, file: string, problems: Problems): YamlMap | undefined {
  const lines = new LineCounter()
  // prettyErrors would quote the line, and with it a secret.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const positionAt = (offset: number): Position => {
    const { line, col } = lines.linePos(offset)
    return { file, line, column: col }
  }
  // One mistake is met again at the same place by everything that was open there.
  const errors = new Map(document.errors.map((error) => [`${error.code} ${error.pos[0]}`, error]))
  for (const { code, pos } of errors.values()) {
    problems.add({ reason: reasonOf(code), at: positionAt(pos[0]) })
  }
  if (document.errors.length > 0) return undefined

  const context: Context = {
    problems,
    positionOf: (node) => (node.range ? positionAt(node.range[0]) : { file }),
    resolve: (node) => (isAlias(node) ? node.resolve(document) : (node as Node | undefined)),
  }
  const root = context.resolve(document.contents)
  if (isMap(root)) return new YamlMap(root, '', context)
  const reason = root ? 'must be a map of `key: value` lines' : 'is empty'
  problems.add({ reason, at: { file } })
  return undefined
}

interface Context {
  readonly problems: Problems
  positionOf(node: Node): Position
  resolve(node: unknown): Node | undefined
}

interface Found {
  /** Absent: an alias to nothing. */
  readonly node: Node | undefined
  readonly at: Position
}

/** One map of the file, as a source for `readFields`. */
export class YamlMap implements MapSource {
  readonly #entries = new Map<string, Found>()
  readonly #path: string
  readonly #context: Context
  readonly at: Position

  constructor(map: YAMLMap, path: string, context: Context) {
    this.#path = path
    this.#context = context
    this.at = context.positionOf(map)
    for (const { key, value } of map.items) {
      const keyNode = context.resolve(key)
      const name = isScalar(keyNode) ? String(keyNode.source ?? keyNode.value) : '?'
      const at = keyNode ? context.positionOf(keyNode) : this.at
      this.#entries.set(name, { node: context.resolve(value), at })
    }
  }

  pathOf(key: string): string {
    return this.#path === '' ? key : `${this.#path}.${key}`
  }

  /** The text of a scalar as it was typed, quotes taken off; those of a list of scalars with commas between. */
  entry(key: string): Entry | undefined {
    const found = this.#entries.get(key)
    if (!found) return undefined
    const { node, at } = found
    if (node === undefined) return { text: '', refused: looksLikeAlias, at }
    if (isScalar(node)) return { text: textOf(node), at: this.#context.positionOf(node) }
    const items = isSeq(node) ? node.items.map((item) => this.#context.resolve(item)) : []
    if (isSeq(node) && items.length === 0) return { text: '', refused: 'is an empty list', at }
    if (items.length === 0 || !items.every(isScalar)) {
      return { text: '', refused: 'must be a single value', at }
    }
    return { text: items.map(textOf).join(','), isList: true, at }
  }

  keys(): Iterable<string> {
    return this.#entries.keys()
  }

  /** The map under a key. `undefined` where there is none, which is a problem if there is something else. */
  map(key: string): YamlMap | undefined {
    const found = this.#entries.get(key)
    if (!found) return undefined
    if (isMap(found.node)) return new YamlMap(found.node, this.pathOf(key), this.#context)
    const reason = 'must be a map of `key: value` lines'
    this.#complain({ key: this.pathOf(key), reason, at: found.at })
    return undefined
  }

  /** The maps of a list, each as a source of its own. `undefined` where there is no such key. */
  list(key: string): YamlMap[] | undefined {
    const found = this.#entries.get(key)
    if (!found) return undefined
    const { node, at } = found
    const path = this.pathOf(key)
    if (!isSeq(node)) {
      if (node && !(isScalar(node) && node.value === null)) {
        this.#complain({ key: path, reason: 'must be a list', at })
      }
      return []
    }
    return node.items.flatMap((item, index) => {
      const map = this.#context.resolve(item)
      if (isMap(map)) return [new YamlMap(map, `${path}[${index}]`, this.#context)]
      const where = map ? this.#context.positionOf(map) : at
      const reason = 'must be a map of `key: value` lines'
      this.#complain({ key: `${path}[${index}]`, reason, at: where })
      return []
    })
  }

  /** Complains of every key that is none of these; `refused` are those with a reason of their own. */
  allowOnly(keys: readonly string[], refused: Readonly<Record<string, string>>): void {
    for (const [key, { at }] of this.#entries) {
      if (keys.includes(key)) continue
      const path = this.pathOf(key)
      if (Object.hasOwn(refused, key)) {
        this.#complain({ key: path, reason: `${refused[key]}`, at })
        continue
      }
      const suggestion = closest(key, keys)
      // Its value is not shown: under a misspelt key may be a secret.
      this.#complain({ key: path, reason: 'is no key here', ...(suggestion && { suggestion }), at })
    }
  }

  #complain(problem: Problem): void {
    this.#context.problems.add(problem)
  }
}

function textOf(node: Scalar): string {
  return node.value === null ? '' : String(node.source ?? node.value)
}

const looksLikeAlias = 'a value that begins with * must be in quotes'

/** The library's messages quote what they stumble over, which may be half a secret: these do not. */
function reasonOf(code: string): string {
  switch (code) {
    case 'DUPLICATE_KEY':
      return 'this key is here twice'
    case 'BAD_ALIAS':
      return looksLikeAlias
    case 'BAD_SCALAR_START':
      return 'a value that begins with a special character must be in quotes'
    case 'BAD_DQ_ESCAPE':
      return 'an unknown escape in double quotes: use single quotes, or write \\\\ for a backslash'
    case 'TAB_AS_INDENT':
      return 'indent with spaces, not with tabs'
    case 'BAD_INDENT':
      return 'the indentation does not fit the lines above'
    case 'MULTIPLE_DOCS':
      return 'only one document (---) may be in the file'
    case 'MULTILINE_IMPLICIT_KEY':
    case 'MISSING_CHAR':
      return 'something is missing here: a colon, a space after it, or a closing quote'
    default:
      return `is no valid YAML here (${code.toLowerCase().replaceAll('_', ' ')})`
  }
}
