import { html } from '../html.ts'
import { icon, renderDocument } from './layout.ts'

/** The form to come in by. `next` is a path of ours. */
export function loginPage(gatewayHost: string, next: string, wrong?: string): string {
  return renderDocument({
    title: `Log in · ${gatewayHost}`,
    body: html`<main id="main" class="login"><form class="card" method="post" action="/login">
<h1>${icon} ${gatewayHost}</h1>
${wrong && html`<p class="bad" role="alert">${wrong}</p>`}
<input type="hidden" name="next" value="${next}">
<input type="text" name="username" value="gotunnel" autocomplete="username" hidden>
<label>Password <input type="password" name="password" autocomplete="current-password" required autofocus maxlength="1000"></label>
<button class="primary">Log in</button>
<p class="note">It is the gateway's <code>DASHBOARD_PASSWORD</code>.</p>
</form></main>`,
  })
}
