import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parse as parseDotenv } from 'dotenv'
import t from 'tap'
import { isPasswordHash } from '../../src/auth/password.ts'
import { exitCodes } from '../../src/cli/exit-codes.ts'
import { agentEnvironment, agentSections } from '../../src/config/agent.ts'
import { parseAgentConfig } from '../../src/config/agent-file.ts'
import type { Section } from '../../src/config/field.ts'
import { markdownSections, markdownTable } from '../../src/config/reference.ts'
import { parseServerConfig, serverSections } from '../../src/config/server.ts'

const root = resolve(import.meta.dirname, '../..')
const secret = 'f3c1a9d2b7e84f60a1c5d8e2934b7f6a'
const noCheck = () => undefined

t.test('docs/configuration.md has the tables that the parsing uses', async (t) => {
  const file = resolve(root, 'docs/configuration.md')
  const text = readFileSync(file, 'utf8')
  const wanted = [
    ['gotunnel-server', markdownSections(serverSections)],
    ['gotunnel-agent', markdownSections(agentSections)],
    ['gotunnel-agent environment', markdownTable(agentEnvironment.fields)],
  ] as const
  let expected = text
  for (const [name, table] of wanted) expected = withTable(expected, name, table)
  // `npx tap --snapshot test/config/docs.test.ts` writes them.
  if (process.env.TAP_SNAPSHOT === '1') writeFileSync(file, expected)
  else t.equal(text, expected, 'write them with: npx tap --snapshot test/config/docs.test.ts')
  for (const { code, doc } of exitCodes) t.match(text, `| ${code} | ${doc} |`)
})

t.test('.env.example has every variable, and its default', async (t) => {
  const text = readFileSync(resolve(root, '.env.example'), 'utf8')
  const lines = text.split('\n')
  for (const { key, default: standard, isRequired } of fieldsOf(serverSections)) {
    if (isRequired)
      t.ok(
        lines.some((line) => line.startsWith(`${key}=`)),
        key,
      )
    else if (standard) t.ok(lines.includes(`#${key}=${standard}`), `${key} is ${standard}`)
    else t.match(text, new RegExp(`^#?${key}=`, 'm'), key)
  }
  const env = { ...parseDotenv(text), JWT_SECRET: secret }
  t.equal(parseServerConfig(env, { checkSecret: noCheck }).acmeEnv, 'production')
})

t.test('config.yaml.example has every key, and is a good configuration', async (t) => {
  const file = resolve(root, 'config.yaml.example')
  const text = readFileSync(file, 'utf8')
  for (const { key, default: standard } of fieldsOf(agentSections)) {
    const value = standard && key !== 'mode' ? ` ${standard}$` : ''
    t.match(text, new RegExp(`^[ #-]*${key}:${value}`, 'm'), key)
  }
  const options = { file, env: { JWT_SECRET: secret }, checkSecret: noCheck, isPasswordHash }
  const config = parseAgentConfig(text, options)
  t.match(config, { gateways: [{ host: 'tunnel.example.com', port: 9443 }], skipTlsVerify: false })
  t.equal(config.tunnels.length, 2)
})

function withTable(text: string, name: string, table: string): string {
  const [start, end] = [`<!-- ${name} -->\n`, '<!-- end -->']
  const from = text.indexOf(start) + start.length
  const to = text.indexOf(end, from)
  if (from < start.length || to === -1) throw new Error(`no place for the table: ${start}`)
  return `${text.slice(0, from)}\n${table}\n\n${text.slice(to)}`
}

function fieldsOf(sections: readonly Section[]) {
  return sections.flatMap(({ fields }) => Object.values(fields))
}
