import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { temporaryDirectory } from '../../test/support/programs.ts'
import { inScope } from '../scope.ts'
import { hostname, type Way } from './ways.ts'
import { writeZeros } from './zeros.ts'

const run = promisify(execFile)
const options = { maxBuffer: 16 * 1024 * 1024 }

/** Requests that were answered, and how many a second; a single bad answer fails. */
export interface Answered {
  readonly requests: number
  readonly perSecond: number
}

export async function wrk(
  { port }: Way,
  path: string,
  load: { connections: number; seconds: number; header?: string },
): Promise<Answered> {
  const { connections, seconds, header } = load
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, ...(header ? ['-H', header] : [])]
  const { stdout } = await run('wrk', [...args, `https://${hostname}:${port}${path}`], options)
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1])
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1])
  // Connections that wrk itself cuts in mid-request at its end are no failures.
  if (/Non-2xx|Socket errors: connect [1-9]/.test(stdout) || !(requests > 0))
    throw new Error(stdout)
  return { requests, perSecond }
}

/** HTTP/2, with so many streams on each connection. */
export async function h2load(
  { port }: Way,
  load: { connections: number; streams: number; requests: number },
): Promise<Answered> {
  const { connections, streams, requests } = load
  const args = [`-c${connections}`, `-m${streams}`, `-n${requests}`, `https://${hostname}:${port}/`]
  const { stdout } = await run('h2load', args, options)
  const succeeded = Number(/(\d+) succeeded/.exec(stdout)?.[1])
  if (succeeded !== requests) throw new Error(stdout)
  return { requests, perSecond: Number(/([\d.]+) req\/s/.exec(stdout)?.[1]) }
}

/** Seconds that it took, all at once. */
export async function download({ port }: Way, path: string, times = 1): Promise<number> {
  const one = [`https://${hostname}:${port}${path}`, '--output', '/dev/null']
  const urls = Array.from({ length: times }, () => one).flat()
  const seconds = await timed('curl', [...curlFlags, '-Z', '--parallel-max', '64', ...urls])
  return seconds
}

/** Seconds that it took. */
export function upload({ port }: Way, bytes: number): Promise<number> {
  const url = `https://${hostname}:${port}/behind/upload`
  return inScope((scope) => {
    const file = join(temporaryDirectory(scope), 'zeros')
    writeZeros(file, bytes)
    return timed('curl', [...curlFlags, '--output', '/dev/null', '--upload-file', file, url])
  })
}

const curlFlags = ['--silent', '--show-error', '--fail', '--insecure', '--http1.1']

async function timed(command: string, args: readonly string[]): Promise<number> {
  const startMs = performance.now()
  await run(command, args, options)
  return (performance.now() - startMs) / 1000
}
