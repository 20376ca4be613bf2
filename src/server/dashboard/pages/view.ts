import type { Caller } from '../access.ts'
import { Html, html } from '../html.ts'
import type { Snapshot } from '../source.ts'
import { durationWords } from '../words.ts'

/** A page of the dashboard: what is in `<main>`. */
export interface Page {
  readonly title: string
  /** Where the navigation has it. */
  readonly path: string
  readonly content: (view: View) => Html
}

/**
 * What one look at a page is made of, and the parts of it that may change while it is open. A part is an
 * element with an id; a list is an element whose children are parts.
 */
export class View {
  readonly snapshot: Snapshot
  readonly caller: Caller
  readonly query: URLSearchParams
  /** By id. */
  readonly parts = new Map<string, string>()
  /** By the id of the list: those of its children, in their order. */
  readonly lists = new Map<string, readonly string[]>()

  constructor({ snapshot, caller, query }: Pick<View, 'snapshot' | 'caller' | 'query'>) {
    this.snapshot = snapshot
    this.caller = caller
    this.query = query
  }

  get nowMs(): number {
    return this.snapshot.atMs
  }

  part(id: string, content: Html): Html {
    const element = html`<div id="${id}">${content}</div>`
    this.parts.set(id, element.markup)
    return element
  }

  /** For the inside of the element with that id. Each item is an element with its own id. */
  list(id: string, items: readonly (readonly [id: string, element: Html])[]): Html {
    this.lists.set(
      id,
      items.map(([key]) => key),
    )
    for (const [key, element] of items) this.parts.set(key, element.markup)
    return new Html(items.map(([, element]) => element.markup).join('\n'))
  }

  /** How long ago; it goes on counting by itself. */
  since(atMs: number): Html {
    const second = Math.round(atMs / 1000)
    const words = durationWords(this.nowMs - atMs)
    return html`<time datetime="${isoTime(atMs)}" data-since="${second}">${words}</time>`
  }

  /** In how long. */
  until(atMs: number): Html {
    const second = Math.round(atMs / 1000)
    const words = durationWords(atMs - this.nowMs)
    return html`<time datetime="${isoTime(atMs)}" data-until="${second}">${words}</time>`
  }
}

/** `2026-03-01 12:00:00 UTC`. */
export function timeTag(atMs: number): Html {
  const iso = isoTime(atMs)
  return html`<time datetime="${iso}">${iso.slice(0, 19).replace('T', ' ')} UTC</time>`
}

/** `2026-03-01`; the rest is told to those who point at it. */
export function dateTag(atMs: number): Html {
  const iso = isoTime(atMs)
  return html`<time datetime="${iso}" title="${iso.slice(0, 19).replace('T', ' ')} UTC">${iso.slice(0, 10)}</time>`
}

/** `12:00:00`, of today mostly. */
export function clockTag(atMs: number): Html {
  const iso = isoTime(atMs)
  return html`<time datetime="${iso}" title="${iso.slice(0, 19).replace('T', ' ')} UTC">${iso.slice(11, 19)}</time>`
}

/** To the second, so that it stays the same from look to look. */
function isoTime(atMs: number): string {
  return `${new Date(Math.round(atMs / 1000) * 1000).toISOString().slice(0, 19)}Z`
}
