import { type Html, html } from '../html.ts'
import { countWords } from '../words.ts'

export interface Slice<Item> {
  readonly items: readonly Item[]
  readonly pager: Html
}

/** As many as a page shows, by `page` of the query, and the way to the others. */
export function paged<Item>(
  all: readonly Item[],
  query: URLSearchParams,
  { path, size, noun }: { path: string; size: number; noun: string },
): Slice<Item> {
  const count = Math.max(1, Math.ceil(all.length / size))
  const wanted = Number(query.get('page') ?? 1)
  const page = Number.isInteger(wanted) ? Math.min(Math.max(1, wanted), count) : 1
  const start = (page - 1) * size
  const items = all.slice(start, start + size)
  const shown =
    count === 1 ? '' : `, ${countWords(start + 1)} to ${countWords(start + items.length)}`
  const link = (to: number, words: string) =>
    to >= 1 && to <= count
      ? html` <a href="${linkTo(path, query, { page: String(to) })}">${words}</a>`
      : undefined
  return {
    items,
    pager: html`<p class="pager"><span>${countWords(all.length)} ${noun}${shown}</span>${link(page - 1, '← Previous')}${link(page + 1, 'Next →')}</p>`,
  }
}

/** The same query with some of it changed. */
export function linkTo(
  path: string,
  query: URLSearchParams,
  changes: Readonly<Record<string, string>>,
): string {
  const next = new URLSearchParams(query)
  for (const [name, value] of Object.entries(changes)) next.set(name, value)
  return `${path}?${next}`
}
