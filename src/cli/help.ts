import type { Section } from '../config/field.ts'
import { helpRows } from '../config/reference.ts'
import { type Command, commonOptions, type Option, type Usage } from './arguments.ts'
import { exitCodes } from './exit-codes.ts'

/** Everything there is to know of a program's command line, as one text. */
export function renderHelp(
  usage: Usage,
  sections: readonly Section[],
  options: { width?: number; isColoured?: boolean } = {},
): string {
  const { isColoured = false } = options
  const width = Math.min(Math.max(options.width ?? 100, 60), 100)
  const heading = (text: string) => (isColoured ? `\x1b[1m${text}\x1b[0m` : text)
  const [first] = usage.commands
  const named = usage.commands.filter(({ name }) => name !== '')
  const tables: [title: string, rows: Row[]][] = [
    ['Commands', named.map(({ name, summary }) => [name, summary])],
    ['Options', optionRows([...first.options, ...commonOptions])],
    ...optionTables(named),
    ...sections.map((section): [string, Row[]] => [section.title, helpRows(section)]),
    ['Exit codes', exitCodes.map(({ code, doc }) => [String(code), doc])],
  ]
  const examples = usage.examples.flatMap(({ doc, line }) => [`  # ${doc}`, `  ${line}`])
  const blocks = [
    usage.summary,
    [heading('Usage'), ...synopses(usage).map((line) => `  ${line}`)].join('\n'),
    ...tables
      .filter(([, rows]) => rows.length > 0)
      .map(([title, rows]) => `${heading(title)}\n${table(rows, width)}`),
    [heading('Examples'), ...examples].join('\n'),
  ]
  return `${blocks.join('\n\n')}\n`
}

type Row = readonly [name: string, text: string]

/** One line a command, for the help and for a hint beside an error. */
export function synopses({ name, commands }: Usage): string[] {
  return commands.map((command) => {
    const words = [name, command.name, command.argument].filter(Boolean).join(' ')
    const line = [words, ...brackets(command)].join(' ')
    return line.length < 96 ? line : `${words} [OPTIONS]`
  })
}

function brackets({ options }: Command): string[] {
  return options.map(({ name, value }) => `[--${name}${value ? ` ${value}` : ''}]`)
}

/** Commands that have the same options share a table. */
function optionTables(commands: readonly Command[]): [title: string, rows: Row[]][] {
  const namesOf = new Map<Command['options'], string[]>()
  for (const { name, options } of commands) {
    namesOf.set(options, [...(namesOf.get(options) ?? []), name])
  }
  return [...namesOf].map(([options, names]) => [
    `Options: ${names.join(', ')}`,
    optionRows(options),
  ])
}

function optionRows(options: readonly Option[]): Row[] {
  return options.map((option) => [optionName(option), option.doc])
}

function optionName({ name, short, value }: Option): string {
  return `${short ? `-${short}, ` : '    '}--${name}${value ? ` ${value}` : ''}`
}

const indent = 24 // where the second column starts; the same in all tables

/** Two columns; the second is wrapped, and starts on a line of its own where the first is too long. */
function table(rows: readonly Row[], width: number): string {
  return rows
    .flatMap(([name, text]) => {
      const [first = '', ...rest] = wrap(text, width - indent).map(
        (line) => ' '.repeat(indent) + line,
      )
      const head = `  ${name}`
      if (head.length + 2 > indent) return [head, first, ...rest]
      return [head.padEnd(indent) + first.trimStart(), ...rest]
    })
    .join('\n')
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}
