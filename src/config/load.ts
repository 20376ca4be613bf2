/** Files to text and plain objects. What they mean is for `server.ts` and `agent.ts`. */
import { readFileSync, statSync } from 'node:fs'
import { parse as parseDotenv } from 'dotenv'
import { ConfigError, type Position, Problems } from './errors.ts'

const limitBytes = 1_048_576 // far beyond any configuration; a log file named by mistake is not read whole

export interface Environment {
  /** The variables of the process, and beneath them those of the file. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** What the process has, without what Node has taken from the file before us. */
  readonly withoutFile: Readonly<Record<string, string | undefined>>
  /** What the file sets, whether or not the process overrides it. */
  readonly keysOfFile: readonly string[]
  /** The line of the file a variable came from. */
  positionOf(key: string): Position | undefined
}

/**
 * The environment with a `.env` file under it: what the process has wins.
 * `isOptional`: a file that does not exist is as good as an empty one.
 * @throws ConfigError CONFIG_FILE_MISSING, CONFIG_FILE_UNREADABLE
 */
export function loadEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  file: string,
  options: { isOptional: boolean },
): Environment {
  const text = readText(file, options)
  const ofFile = text === undefined ? {} : parseDotenv(text)
  return {
    env: { ...ofFile, ...env },
    withoutFile: Object.fromEntries(
      Object.entries(env).filter(([key, value]) => ofFile[key] !== value),
    ),
    keysOfFile: Object.keys(ofFile),
    positionOf(key) {
      if (text === undefined || !Object.hasOwn(ofFile, key)) return undefined
      // Equal: Node 20 may have read the file before us (nodejs/node#54232).
      if (env[key] !== undefined && env[key] !== ofFile[key]) return undefined
      return { file, ...lineOf(key, text) }
    },
  }
}

/** @throws ConfigError CONFIG_FILE_MISSING, CONFIG_FILE_UNREADABLE */
export function readText(file: string, options: { isOptional: true }): string | undefined
export function readText(file: string, options?: { hint?: string }): string
export function readText(file: string, options?: { isOptional?: boolean }): string | undefined
export function readText(
  file: string,
  options: { isOptional?: boolean; hint?: string } = {},
): string | undefined {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code !== 'ENOENT') {
      throw new ConfigError('CONFIG_FILE_UNREADABLE', `cannot read ${file}: ${message}`, { cause })
    }
    if (options.isOptional) return undefined
    const hint = options.hint ? `; ${options.hint}` : ''
    throw new ConfigError('CONFIG_FILE_MISSING', `${file} does not exist${hint}`, { cause })
  }
  if (bytes.length > limitBytes) {
    throw new ConfigError('CONFIG_FILE_UNREADABLE', `${file} is larger than ${limitBytes} bytes`)
  }
  if (/^(\xff\xfe|\xfe\xff)/.test(bytes.toString('latin1', 0, 2))) {
    throw new ConfigError('CONFIG_FILE_UNREADABLE', `${file} is UTF-16: save it as UTF-8`)
  }
  return bytes.toString('utf8').replace(/^\ufeff/, '')
}

/** @throws ConfigError CONFIG_INVALID, when the path that `key` gives is no directory we can see. */
export function requireDirectory(path: string, key: string, at?: Position): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return
  const problems = new Problems()
  problems.add({ key, value: path, reason: 'is no directory', ...(at && { at }) })
  problems.throwIfAny()
}

/** The last line that sets the key, as the last one counts. */
function lineOf(key: string, text: string): { line?: number } {
  const setsKey = new RegExp(`^\\s*(?:export\\s+)?${key.replace(/\W/g, '\\$&')}\\s*[=:]`)
  const index = text.split(/\r\n?|\n/).findLastIndex((line) => setsKey.test(line))
  return index === -1 ? {} : { line: index + 1 }
}
