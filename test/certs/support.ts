import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { KeyAndChain } from '../../src/certs/issuer.ts'
import type { LogFields, Logger } from '../../src/log.ts'

export interface LogLine {
  level: 'debug' | 'info' | 'warn' | 'error'
  message: string
  fields: LogFields
}

// Of before a test takes over the clock.
const real = { setTimeout, clearTimeout }

export class RecordingLog implements Logger {
  readonly lines: LogLine[] = []
  readonly #awaited: { message: string; resolve: (line: LogLine) => void }[] = []

  debug(message: string, fields: LogFields = {}) {
    this.#add({ level: 'debug', message, fields })
  }
  info(message: string, fields: LogFields = {}) {
    this.#add({ level: 'info', message, fields })
  }
  warn(message: string, fields: LogFields = {}) {
    this.#add({ level: 'warn', message, fields })
  }
  error(message: string, fields: LogFields = {}) {
    this.#add({ level: 'error', message, fields })
  }

  /** How often the sentence was said. */
  count(message: string): number {
    return this.lines.filter((line) => line.message === message).length
  }

  /** The next line with the sentence, from now on; waits 10 s at most. */
  next(message: string): Promise<LogLine> {
    return new Promise((resolve, reject) => {
      const timer = real.setTimeout(() => reject(new Error(`never said: ${message}`)), 10_000)
      this.#awaited.push({
        message,
        resolve: (line) => {
          real.clearTimeout(timer)
          resolve(line)
        },
      })
    })
  }

  #add(line: LogLine): void {
    this.lines.push(line)
    for (const { resolve } of this.#awaited.filter(({ message }) => message === line.message)) {
      resolve(line)
    }
  }
}

/** A self-signed pair by openssl, so that our own code has not made what it reads. */
export function opensslPair(
  directory: string,
  subjectAltName: string,
  { days = 30 }: { days?: number } = {},
): KeyAndChain {
  const [key, crt] = [join(directory, '.openssl.key'), join(directory, '.openssl.crt')]
  const names = subjectAltName === '' ? [] : ['-addext', `subjectAltName=${subjectAltName}`]
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-keyout', key, '-out', crt, '-days', String(days), '-subj', '/CN=by openssl', ...names],
    ],
    { stdio: 'pipe' },
  )
  return { key: readFileSync(key, 'utf8'), chain: readFileSync(crt, 'utf8') }
}

/** Takes over timers and clock until the test ends. The clock's Date lacks what asn1js needs of it. */
export function enterClock(t: Test, at: string): Test['clock'] {
  const { parse, UTC, prototype } = Date
  t.clock.enter()
  t.teardown(() => t.clock.exit())
  Object.assign(Date, { parse, UTC, prototype })
  t.clock.travel(parse(at))
  return t.clock
}
