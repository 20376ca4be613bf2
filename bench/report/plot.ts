import type { Result } from '../measure.ts'
import { shown } from './table.ts'

const rowHeight = 18
const labelWidth = 440
const barWidth = 420
const colours = ['#888888', '#b5835a', '#d0453e', '#2f6fde', '#1a9c6b', '#8a4fd3']

/** SVG: a group of bars a case, each contestant in its share of the best one's figure. */
export function plot(title: string, results: readonly Result[]): string {
  const names = [...new Set(results.flatMap(({ figures }) => Object.keys(figures)))]
  const lines: string[] = []
  let y = 50
  for (const result of results) {
    const figures = Object.entries(result.figures)
    const most = Math.max(...figures.map(([, { median }]) => median))
    lines.push(text(10, y + 13, result.name, 'font-weight="bold"'))
    for (const [name, { median }] of figures) {
      const colour = colours[names.indexOf(name) % colours.length]
      const width = most > 0 ? Math.max(1, (median / most) * barWidth) : 1
      lines.push(
        `<rect x="${labelWidth}" y="${y + 2}" width="${width.toFixed(1)}" height="${rowHeight - 4}" fill="${colour}"/>`,
        text(labelWidth + width + 6, y + 13, `${name}: ${shown(median)} ${result.unit}`),
      )
      y += rowHeight
    }
    y += 10
  }
  const [width, height] = [labelWidth + barWidth + 260, y + 10]
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    text(10, 28, title, 'font-size="17"'),
    ...lines,
    '</svg>\n',
  ].join('\n')
}

function text(x: number, y: number, content: string, more = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y}" ${more}>${escaped(content)}</text>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
