/** The tables of fields as people read them: in `--help`, and in docs/configuration.md. */
import type { Field, Fields, Section } from './field.ts'

/** A Markdown table with a row for each field. */
export function markdownTable(fields: Fields): string {
  const rows = Object.values(fields).map((field) => {
    const standard = field.isRequired ? '**required**' : field.default ? `\`${field.default}\`` : ''
    return [`\`${field.key}\``, standard, field.kind.allowed, field.doc]
  })
  return [['key', 'default', 'what may be typed', ''], ['---', '---', '---', '---'], ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n')
}

/** All sections, each with its heading and table. */
export function markdownSections(sections: readonly Section[]): string {
  return sections
    .map(
      ({ title, fields }) =>
        `### ${title[0]?.toUpperCase()}${title.slice(1)}\n\n${markdownTable(fields)}`,
    )
    .join('\n\n')
}

/** The sections with a word for where their fields stand. */
export function prefixed(place: string, sections: readonly Section[]): Section[] {
  return sections.map(({ title, fields }) => ({ title: `${place}: ${title}`, fields }))
}

/** The rows of a section for `--help`: the name, and what it is, what may be typed, the default. */
export function helpRows(section: Section): [key: string, text: string][] {
  return Object.values(section.fields).map((field) => [field.key, helpText(field)])
}

function helpText({ doc, kind, isRequired, default: standard }: Field<unknown>): string {
  const facts = [
    isRequired && 'required',
    kind.words?.join(' | '),
    standard !== undefined && `default ${standard}`,
  ].filter(Boolean)
  return facts.length === 0 ? doc : `${doc} (${facts.join('; ')})`
}
