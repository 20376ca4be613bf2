import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import type { Test } from 'tap'
import { pathOf } from '../support/tools.js'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Chromium without a window; it ends with the test. */
export async function openBrowser(t: Test): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: pathOf('chromium') ?? 'chromium',
    args: ['--no-sandbox'], // tests may run as root
  })
  t.teardown(() => browser.close())
  return browser
}

/** A page of its own window, and what went wrong on it: words on its console, requests to other hosts. */
export async function openPage(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; problems: string[] }> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options })
  const page = await context.newPage()
  const problems: string[] = []
  page.on('console', (message) => problems.push(`console: ${message.text()}`))
  page.on('pageerror', (error) => problems.push(`error: ${error.message}`))
  page.on('request', (request) => {
    const { hostname, protocol } = new URL(request.url())
    if (protocol !== 'data:' && !hostname.endsWith('localhost')) {
      problems.push(`request: ${request.url()}`)
    }
  })
  return { page, problems }
}

/** What axe finds fault with, a line each; of its rules all, or one. */
export async function axeViolations(page: Page, rule?: string): Promise<string[]> {
  await page.evaluate(axe)
  return page.evaluate(async (rule) => {
    const { axe } = globalThis as unknown as {
      axe: { run(options: { runOnly?: string[] }): Promise<AxeResults> }
    }
    const { violations } = await axe.run(rule === undefined ? {} : { runOnly: [rule] })
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary}`),
    )
  }, rule)
}

interface AxeResults {
  readonly violations: readonly {
    readonly id: string
    readonly nodes: readonly {
      readonly target: readonly string[]
      readonly failureSummary: string
    }[]
  }[]
}
