import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import { pathOf } from '../support/tools.js'

export interface Load {
  /** Resolves when it is over, with what went wrong in wrk's words: nothing, if nothing did. */
  readonly done: Promise<{ readonly requests: number; readonly problems: readonly string[] }>
  /** Ends it before its time. */
  stop(): void
}

/** Requests one after the other on 16 connections. It trusts any certificate. */
export function startWrk(t: Test, url: string, { seconds }: { seconds: number }): Load {
  const args = ['--threads', '1', '--connections', '16', '--duration', `${seconds}s`, url]
  const child = spawn(pathOf('wrk') ?? 'wrk', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  const finish = async () => {
    const [output, complaints] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close'),
    ])
    // Both lines are there only if there is something to say.
    const problems = output.match(/^ +(Socket errors|Non-2xx).*$/gm) ?? []
    const requests = Number(/^ +(\d+) requests in /m.exec(output)?.[1] ?? 0)
    return { requests, problems: complaints === '' ? problems : [...problems, complaints] }
  }
  return { done: finish(), stop: () => child.kill('SIGINT') }
}
