import type { Page } from 'playwright-core'
import t from 'tap'
import { startAgent, startGateway } from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { axeViolations, openBrowser, openPage } from './browser.ts'
import { serveHttp } from './targets.ts'
import { visit } from './visitor.ts'

const password = 'correct horse'
const pages = ['/', '/sessions', '/tunnels', '/requests', '/certificates']

// One gateway with a password, also at its own name, and one browser for all of it.
t.test('the dashboard in Chromium', { skip: lacks('chromium') }, async (t) => {
  const gateway = await startGateway(t, {
    env: { DASHBOARD_PASSWORD: password, DASHBOARD_ON_GATEWAY: 'true' },
  })
  const target = await serveHttp(t, (_request, response) => response.end('hello'))
  const offers = [{ hostname: 'app.localhost', target }]
  const base = `http://localhost:${gateway.ports.dashboard}`
  const browser = await openBrowser(t)
  const first = await openPage(browser, { baseURL: base })
  const { page } = first

  t.test('lets in who knows the password, and leads on', async (t) => {
    await page.goto('/tunnels?q=app')
    t.match(page.url(), '/login')
    t.strictSame(await axeViolations(page), [])
    await page.getByLabel('Password').fill('not the word')
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByRole('alert').waitFor()
    first.problems.length = 0 // Chromium tells of the 401
    await logIn(page)
    t.equal(page.url(), `${base}/tunnels?q=app`)
  })

  t.test('shows an agent come, and what visitors do, without being asked again', async (t) => {
    await page.goto('/sessions')
    await page.getByText('No agent is connected').waitFor()
    await page.locator('#live.on').waitFor()
    const agent = await startAgent(t, gateway, offers)
    await page.getByText('app.localhost').waitFor()

    const { page: requests, problems } = await openPage(browser, { baseURL: base })
    await requests.goto('/requests')
    await logIn(requests)
    await requests.locator('#live.on').waitFor()
    const headers = { cookie: 'sid=hidden' }
    await visit(gateway, 'app.localhost', '/seen?code=hidden', { headers })
    const row = requests.getByRole('link', { name: '/seen' })
    await row.waitFor()
    await requests.getByLabel('Status').selectOption('5xx')
    await requests.getByRole('button', { name: 'Filter' }).click()
    await requests.getByText('none that fits').waitFor()
    t.equal(await row.count(), 0)
    await requests.getByRole('link', { name: 'Clear' }).click()
    await row.click()
    await requests.getByRole('heading', { name: 'GET' }).waitFor()
    const text = (await requests.locator('main').textContent()) ?? ''
    t.match(text, '[secret]')
    t.notMatch(text, 'hidden')
    t.strictSame(await axeViolations(requests), [])
    t.strictSame(problems, [])
    await requests.context().close()

    await agent.kill('SIGTERM')
    await page.getByText('No agent is connected').waitFor()
  })

  t.test('disconnects an agent, which comes back', async (t) => {
    const agent = await startAgent(t, gateway, offers)
    await page.getByText('Disconnect…').click()
    await page.getByRole('button', { name: 'Disconnect' }).click()
    await gateway.program.waitFor('agent gone', { code: 'SERVER_DISCONNECTED' })
    await gateway.program.waitFor('agent disconnected by its owner')
    await agent.waitFor('connected', {}, 2)
    await page.getByText('app.localhost').waitFor()
    await agent.kill('SIGTERM')
  })

  t.test('is whole in every light, on every page, for everybody', async (t) => {
    await startAgent(t, gateway, offers)
    await visit(gateway, 'app.localhost')
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      for (const path of pages) {
        await page.goto(path)
        await page.locator('#live.on').waitFor()
        const rule = colorScheme === 'dark' ? 'color-contrast' : undefined
        t.strictSame(await axeViolations(page, rule), [], `${path}, ${colorScheme}`)
      }
    }
    await page.setViewportSize({ width: 360, height: 740 })
    for (const path of pages) {
      await page.goto(path)
      const width = await page.evaluate(() => {
        const { document } = globalThis as unknown as {
          document: { documentElement: { scrollWidth: number } }
        }
        return document.documentElement.scrollWidth
      })
      t.ok(width <= 360, `${path} is ${width} wide on a phone`)
    }
    t.strictSame(first.problems, [])
  })

  t.test('is of use without JavaScript', async (t) => {
    await startAgent(t, gateway, offers)
    const { page: plain } = await openPage(browser, { baseURL: base, javaScriptEnabled: false })
    await plain.goto('/tunnels')
    await logIn(plain)
    t.match(await plain.locator('main').textContent(), 'app.localhost')
    await plain.getByRole('link', { name: '5xx' }).click()
    t.match(plain.url(), 'sort=5xx')
    await plain.getByRole('button', { name: 'Log out' }).click()
    await plain.goto('/tunnels')
    t.match(plain.url(), '/login')
    await plain.context().close()
  })

  t.test("is at the gateway's own name, live as well", async (t) => {
    const at = `https://gateway.localhost:${gateway.ports.public}`
    const { page: own, problems } = await openPage(browser, { baseURL: at })
    await own.goto('/')
    await logIn(own)
    await own.locator('#live.on').waitFor()
    const [cookie] = await own.context().cookies()
    t.match(cookie, { name: '__Host-gotunnel', secure: true, httpOnly: true, sameSite: 'Strict' })
    t.strictSame(problems, [])
  })
})

async function logIn(page: Page): Promise<void> {
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('navigation').waitFor()
}
