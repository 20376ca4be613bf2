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
  const allOptions = [...usage.commands.flatMap((command) => command.options), ...commonOptions]
  const named = usage.commands.filter(({ name }) => name !== '')
  const blocks: string[] = [
    [usage.summary, '', heading('Usage'), ...synopses(usage).map((line) => `  ${line}`)].join('\n'),
  ]
  const add = (title: string, rows: readonly (readonly [string, string])[]) => {
    if (rows.length > 0) blocks.push(`${heading(title)}\n${table(rows, width)}`)
  }
  add(
    'Commands',
    named.map(({ name, summary }) => [name, summary]),
  )
  add(
    'Options',
    allOptions.map((option) => [optionName(option), option.doc]),
  )
  for (const section of sections) add(section.title, helpRows(section))
  add(
    'Exit codes',
    exitCodes.map(({ code, doc }) => [String(code), doc]),
  )
  blocks.push(
    [
      heading('Examples'),
      ...usage.examples.flatMap(({ doc, line }) => [`  # ${doc}`, `  ${line}`]),
    ].join('\n'),
  )
  return `${blocks.join('\n\n')}\n`
}

/** One line a command, for the help and for a hint beside an error. */
export function synopses({ name, commands }: Usage): string[] {
  return commands.map((command) =>
    [name, command.name, ...brackets(command)].filter(Boolean).join(' '),
  )
}

function brackets({ options }: Command): string[] {
  return options.map(({ name, value }) => `[--${name}${value ? ` ${value}` : ''}]`)
}

function optionName({ name, short, value }: Option): string {
  return `${short ? `-${short}, ` : '    '}--${name}${value ? ` ${value}` : ''}`
}

/** Two columns; the second is wrapped, and starts on a line of its own where the first is too long. */
function table(rows: readonly (readonly [string, string])[], width: number): string {
  const longest = Math.max(...rows.map(([name]) => name.length))
  const indent = Math.min(Math.max(longest, 8), 22) + 4
  return rows
    .flatMap(([name, text]) => {
      const [first = '', ...rest] = wrap(text, width - indent)
      const head = `  ${name}`
      const lines =
        head.length + 2 > indent ? [head, pad('', indent) + first] : [pad(head, indent) + first]
      return [...lines, ...rest.map((line) => pad('', indent) + line)]
    })
    .join('\n')
}

function pad(text: string, width: number): string {
  return text.padEnd(width)
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
