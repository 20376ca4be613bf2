import { createInterface } from 'node:readline/promises'
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
  const password = await ask('Password: ')
  if ((await ask('Once more: ')) === password) return password
  throw new CliError('CLI_USAGE', 'the two passwords differ')
}

/** The prompt is shown, and nothing of what is typed. */
async function ask(prompt: string): Promise<string> {
  process.stderr.write(prompt)
  const output = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output, terminal: true })
  const stopped = new Promise<never>((_resolve, reject) => {
    terminal.once('SIGINT', () => reject(new CliError('CLI_USAGE', 'no password was given')))
    terminal.once('close', () => reject(new CliError('CLI_USAGE', 'no password was given')))
  })
  try {
    return await Promise.race([terminal.question(''), stopped])
  } finally {
    stopped.catch(() => {})
    terminal.close()
    process.stderr.write('\n')
  }
}

async function firstLine(): Promise<string> {
  let text = ''
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += chunk
    if (text.includes('\n') || text.length > longest) break
  }
  return text.split(/\r?\n/, 1)[0] ?? ''
}
