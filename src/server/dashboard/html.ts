/** Markup that is safe as it stands. Made by `html` alone. */
export class Html {
  readonly markup: string

  constructor(markup: string) {
    this.markup = markup
  }
}

export type HtmlValue = Html | string | number | undefined | readonly HtmlValue[]

/**
 * A template in which every value is text, escaped for elements and for quoted attributes; only what
 * another `html` made is markup. Lists are joined, `undefined` is nothing.
 */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return new Html(parts.map((part, at) => part + markupOf(values[at])).join(''))
}

function markupOf(value: HtmlValue): string {
  if (value === undefined) return ''
  if (value instanceof Html) return value.markup
  if (typeof value === 'object') return value.map(markupOf).join('')
  return String(value).replace(UNSAFE, (char) => `&#${char.charCodeAt(0)};`)
}

// Also the backtick, which old engines take for a quote.
const UNSAFE = /[&<>"'`]/g
