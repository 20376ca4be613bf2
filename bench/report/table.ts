import type { Result } from '../measure.ts'

/** Markdown: a heading for these contestants, the first of which the ratios are to. */
export function heading(names: readonly string[]): string {
  return `| case | ${names.join(' | ')} |\n|${' --- |'.repeat(names.length + 1)}`
}

/** A row; a contestant without a figure has an empty cell. */
export function row(result: Result, names: readonly string[]): string {
  const first = result.figures[names[0] ?? '']?.median
  const cells = names.map((name) => {
    const figure = result.figures[name]
    if (figure === undefined) return ''
    const spread = `±${Math.round(figure.spread * 100)} %`
    const ratio = first ? ` (${(figure.median / first).toFixed(2)})` : ''
    return `${shown(figure.median)} ${result.unit} ${spread}${ratio}`
  })
  return `| ${[result.name, ...cells].join(' | ')} |`
}

/** Three digits that count, or all of a large one. */
export function shown(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return String(Number(value.toPrecision(3)))
}
