import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { hashPassword } from '../auth/password.ts'
import type { Invocation } from './arguments.ts'
import { CliError } from './errors.ts'

/** `gotunnel-agent hash-password USER`: the line for `basic_auth` goes to the standard output. */
export async function printLogin({ argument: user = '' }: Invocation): Promise<void> {
  if (!/^[!-+\--9;-~]{1,100}$/.test(user)) {
    const allowed = 'up to 100 letters, digits and signs of ASCII, no colon, comma or space'
    throw new CliError('CLI_USAGE', `USER must be ${allowed}`)
  }
  const password = process.stdin.isTTY ? await askTwice() : await firstLine()
  if (password === '' || password.length > longest) {
    throw new CliError('CLI_USAGE', `the password must have 1 to ${longest} characters`)
  }
  process.stdout.write(`${user}:${await hashPassword(password)}\n`)
}

/** What gateways accept, with the user's name. */
const longest = 800

async function askTwice(): Promise<string> {
  const output = new Writable({ write: (_chunk, _encoding, done) => done() }) // what is typed is not shown
  const terminal = createInterface({ input: process.stdin, output, terminal: true })
  terminal.on('SIGINT', () => terminal.close())
  const lines = terminal[Symbol.asyncIterator]()
  try {
    const password = await ask('Password: ', lines)
    if ((await ask('Once more: ', lines)) === password) return password
    throw new CliError('CLI_USAGE', 'the two passwords differ')
  } finally {
    terminal.close()
  }
}

async function ask(prompt: string, lines: AsyncIterator<string>): Promise<string> {
  process.stderr.write(prompt)
  const { value, done } = await lines.next()
  process.stderr.write('\n')
  if (done) throw new CliError('CLI_USAGE', 'no password was given')
  return value
}

async function firstLine(): Promise<string> {
  let text = ''
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += chunk
    if (text.includes('\n') || text.length > longest) break
  }
  return text.split(/\r?\n/, 1)[0] ?? ''
}
