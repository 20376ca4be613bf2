import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { edgeErrors } from '../../src/server/edge/error-page.ts'

const root = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

t.test('docs/errors.md has each code of the source once, and no others', async (t) => {
  const documented = [...read('docs/errors.md').matchAll(/^### (.*)$/gm)].map(([, title]) => title)
  const codes = codesInSource().map((code) => `\`${code}\``)
  t.ok(codes.length > 60, 'the source was read')
  t.strictSame([...documented].sort(), codes.sort())
})

t.test('each code has a paragraph', async (t) => {
  const [, ...sections] = read('docs/errors.md').split(/^### /m)
  for (const section of sections) {
    const [title = '', paragraph = ''] = section.split('\n\n')
    t.match(paragraph, /^[^#].{20,}/, title)
  }
})

/** Those of the errors.ts files, of refusals, and of error pages. */
function codesInSource(): string[] {
  const files = readdirSync(new URL('src', root), { recursive: true, encoding: 'utf8' })
  const errors = files.filter((path) => /(^|\/)errors\.ts$/.test(path))
  const codes = new Set<string>()
  for (const path of errors) {
    for (const [, code = ''] of read(`src/${path}`).matchAll(/'([A-Z][A-Z0-9]*(?:_[A-Z]+)+)'/g)) {
      codes.add(code)
    }
  }
  const [, ackCodes = ''] =
    /^export type AckCode =$([\s\S]*?)^$/m.exec(read('src/protocol/refusals.ts')) ?? []
  for (const [, code = ''] of ackCodes.matchAll(/\| '([A-Z_]+)'/g)) codes.add(code)
  for (const { code } of Object.values(edgeErrors)) codes.add(code)
  codes.add('AGENT_LIMIT') // of server/offer.ts: known to gateways alone
  return [...codes]
}
