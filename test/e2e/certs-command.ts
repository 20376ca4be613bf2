import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { cli } from '../support/programs.ts'

/** `gotunnel-server certs …` in the gateway's directory, with what it needs of its environment. */
export async function certs(
  cwd: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[],
) {
  // Without the loader that tap puts into NODE_OPTIONS.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, join(cli, 'server.js'), 'certs', ...args]
  const child = spawn('env', command, { cwd, env: { ...env, PATH: process.env.PATH } })
  child.stdin.end()
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  return { code: code as number | null, stdout, stderr }
}
