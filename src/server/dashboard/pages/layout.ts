import { script, style } from '../assets.ts'
import { Html, type HtmlValue, html } from '../html.ts'
import type { Page, View } from './view.ts'

const pages = [
  ['/', 'Overview'],
  ['/sessions', 'Sessions'],
  ['/tunnels', 'Tunnels'],
  ['/requests', 'Requests'],
  ['/certificates', 'Certificates'],
] as const

/** The whole document. What is live loads itself again, or with JavaScript is sent what changes. */
export function renderPage(page: Page, view: View, isLive = true): string {
  const { gatewayHost, version } = view.snapshot.status.gateway
  const content = page.content(view)
  return renderDocument({
    title: `${page.title} · ${gatewayHost}`,
    isLive,
    body: html`<a class="skip" href="#main">Skip to the content</a>
<header class="top">
<a class="brand" href="/">${icon}<span>${gatewayHost}</span></a>
<nav aria-label="Pages">${pages.map(([path, name]) => navigationLink(path, name, page.path))}</nav>
<div class="state">${stateOf(view)}<span id="live" class="live" role="status"></span>${logOutForm(view)}</div>
</header>
<main id="main">
${content}
</main>
<footer>gotunnel ${version}. The same for programs: <a href="/api/v1/status">JSON</a>, <a href="/metrics">metrics</a>.</footer>`,
  })
}

/** A page for those who are not in yet. */
export function renderDocument(options: { title: string; isLive?: boolean; body: Html }): string {
  const { title, isLive = false, body } = options
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
${isLive ? html`<noscript><meta http-equiv="refresh" content="10"></noscript>` : undefined}
<title>${title} · gotunnel</title>
<link rel="icon" href="${iconUrl}">
<link rel="stylesheet" href="${style.url}">
${isLive ? html`<script src="${script.url}" defer></script>` : undefined}
</head>
<body>
${body}
</body>
</html>
`.markup
}

/** A table that may be wider than the window. */
export function table(name: string, head: HtmlValue, body: HtmlValue, bodyId?: string): Html {
  return html`<div class="card scroll" tabindex="0" role="region" aria-label="${name}"><table>
<thead><tr>${head}</tr></thead>
<tbody${bodyId && html` id="${bodyId}"`}>
${body}
</tbody>
</table></div>`
}

/** What a list says that is empty. */
export function emptyNote(words: HtmlValue): Html {
  return html`<p class="card empty">${words}</p>`
}

const iconMarkup =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true"><rect width="32" height="32" rx="7" fill="#10262b"/><path d="M5 27V16a11 11 0 0 1 22 0v11Z" fill="#23464c"/><path d="M9 27V17a7 7 0 0 1 14 0v10Z" fill="#b4702c"/><path d="M13 27v-9a3 3 0 0 1 6 0v9Z" fill="#ffe9b8"/></svg>'
/** Ours, and no text. */
export const icon = new Html(iconMarkup)
const iconUrl = `data:image/svg+xml,${encodeURIComponent(iconMarkup)}`

function navigationLink(path: string, name: string, current: string): Html {
  return html`<a href="${path}"${path === current ? html` aria-current="page"` : undefined}>${name}</a>`
}

function stateOf(view: View): Html {
  const { isClosing } = view.snapshot.status.gateway
  return view.part(
    'state',
    isClosing
      ? html`<span class="pill bad">draining</span>`
      : html`<span class="pill good">serving</span>`,
  )
}

function logOutForm({ caller }: View): Html | undefined {
  if (!caller.canLogOut) return undefined
  return html`<form method="post" action="/logout"><input type="hidden" name="token" value="${caller.formToken}"><button class="quiet">Log out</button></form>`
}
