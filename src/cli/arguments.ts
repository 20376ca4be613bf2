import { parseArgs } from 'node:util'
import { closest } from '../config/suggest.ts'
import { CliError } from './errors.ts'

/** What may be typed after the name of a program. It feeds both the parsing and `--help`. */
export interface Usage {
  readonly name: string
  /** One sentence. */
  readonly summary: string
  /** The first one runs when none is named. */
  readonly commands: readonly [Command, ...Command[]]
  readonly examples: readonly Example[]
}

export interface Command {
  /** One word or several; empty for the one that needs no name. */
  readonly name: string
  readonly summary: string
  /** What has to stand behind the name, as `--help` writes it; in brackets what may. */
  readonly argument?: string
  readonly options: readonly Option[]
}

export interface Option {
  readonly name: string
  readonly short?: string
  /** What stands for the value in `--help`; absent where the option takes none. */
  readonly value?: string
  readonly doc: string
}

export interface Example {
  readonly doc: string
  readonly line: string
}

/** What was typed. */
export interface Invocation {
  readonly command: Command
  readonly argument: string | undefined
  has(option: string): boolean
  value(option: string): string | undefined
}

export const commonOptions: readonly Option[] = [
  { name: 'help', short: 'h', doc: 'Print this and exit.' },
  { name: 'version', short: 'v', doc: 'Print the version and exit.' },
]

/**
 * The command and its options. `--help` and `--version` make up for anything that is wrong beside them.
 * @throws CliError CLI_USAGE
 */
export function parseCommandLine(usage: Usage, args: readonly string[]): Invocation {
  const all = [...usage.commands.flatMap(({ options }) => options), ...commonOptions]
  // Not strict: the words for what is wrong are ours, below.
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      all.map(({ name, short, value }) => [
        name,
        { type: value ? ('string' as const) : ('boolean' as const), ...(short && { short }) },
      ]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const typed = tokens.flatMap((token) => (token.kind === 'option' ? [token] : []))
  const words = tokens.flatMap((token) => (token.kind === 'positional' ? [token.value] : []))
  const command = commandOf(usage, words)
  const values = new Map(typed.map(({ name, value }) => [name, value]))
  const [argument, ...excess] = words.slice(wordsIn(command?.name).length)
  const invocation: Invocation = {
    command: command ?? usage.commands[0],
    argument,
    has: (option) => values.has(option),
    value: (option) => values.get(option),
  }
  if (values.has('help') || values.has('version')) return invocation

  if (!command) {
    const names = usage.commands.map(({ name }) => name)
    throw wrong(`unknown command: ${words[0]}`, closest(words[0] ?? '', names))
  }
  if (command.argument?.startsWith('[') === false && argument === undefined) {
    throw wrong(`${command.name} needs ${command.argument}`)
  }
  const unexpected = command.argument === undefined ? argument : excess[0]
  if (unexpected !== undefined) throw wrong(`unexpected argument: ${unexpected}`)
  const seen = new Set<string>()
  for (const { name, rawName, value, inlineValue } of typed) {
    const option = command.options.find((candidate) => candidate.name === name)
    if (!option) {
      const meant = closest(
        name,
        [...command.options, ...commonOptions].map(({ name }) => name),
      )
      throw wrong(`unknown option: ${rawName}`, meant && `--${meant}`)
    }
    if (option.value && (!value || (value.startsWith('-') && !inlineValue))) {
      throw wrong(`${rawName} needs a value: ${rawName} ${option.value}`)
    }
    if (!option.value && value !== undefined) throw wrong(`${rawName} takes no value`)
    if (seen.has(name)) throw wrong(`${rawName} is given more than once`)
    seen.add(name)
  }
  return invocation
}

/** Of `token` and `token inspect` the longer one, where both fit. */
function commandOf({ commands }: Usage, words: readonly string[]): Command | undefined {
  const fitting = commands.filter(({ name }) => {
    const own = wordsIn(name)
    return own.length === 0 ? words.length === 0 : own.every((word, index) => word === words[index])
  })
  return fitting.sort((a, b) => b.name.length - a.name.length)[0]
}

function wordsIn(name = ''): string[] {
  return name.split(' ').filter(Boolean)
}

function wrong(message: string, meant?: string): CliError {
  return new CliError('CLI_USAGE', meant ? `${message}; did you mean ${meant}?` : message)
}
