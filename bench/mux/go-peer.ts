import { execFile } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import type { TransportName } from './transports.ts'

const run = promisify(execFile)

type GoCase = (
  what: 'send' | 'ping-pong' | 'open-close',
  transport: TransportName,
  streams: number,
  amount: number,
) => Promise<number>

let built: Promise<GoCase | undefined> | undefined

/** The Go program beside this file, built if there is a Go toolchain; both its ends are in its process, too. */
export function goPeer(): Promise<GoCase | undefined> {
  built ??= build()
  return built
}

async function build(): Promise<GoCase | undefined> {
  const directory = await mkdtemp(path.join(tmpdir(), 'bench-go-'))
  process.once('exit', () => rmSync(directory, { recursive: true }))
  const program = path.join(directory, 'bench')
  const source = path.resolve('bench/mux/go')
  try {
    await run('go', ['build', '-o', program, '.'], { cwd: source })
  } catch (error) {
    console.error(`without hashicorp/yamux: ${(error as Error).message}`)
    return undefined
  }
  return async (what, transport, streams, amount) => {
    const args = ['-do', what, '-transport', transport]
    const counts = ['-streams', String(streams), '-amount', String(amount)]
    const { stdout } = await run(program, [...args, ...counts])
    return amount / Number(stdout)
  }
}
