import winston from 'winston'
import type { LogSettings } from '../config/logging.ts'
import type { LogFields, Logger } from '../log.ts'
import { formatPretty, JsonFormat, type LogLine } from './log-format.ts'

export interface ProgramLogger extends Logger {
  /** The least important lines to log from now on. */
  setLevel(level: LogSettings['logLevel']): void
  /** Hands what is still on its way to the stream; what is logged after it is lost. */
  close(): Promise<void>
}

export interface LoggerOptions extends LogSettings {
  /** Where the lines go. Default: the standard output. */
  readonly stream?: LogStream
}

/** As much of a stream as a log needs. */
export type LogStream = NodeJS.WritableStream & { readonly isTTY?: boolean }

const levels = { error: 0, warn: 1, info: 2, debug: 3 } as const

/** The Logger all parts of a program share. A line below the level costs a comparison. */
export function createLogger(options: LoggerOptions): ProgramLogger {
  const { logFormat, stream = process.stdout } = options
  let { logLevel } = options
  const isPretty = logFormat === 'pretty' || (logFormat === 'auto' && stream.isTTY === true)
  const isColoured = isPretty && stream.isTTY === true && !process.env.NO_COLOR
  const json = new JsonFormat()
  const format = (line: LogLine) => (isPretty ? formatPretty(line, isColoured) : json.format(line))
  const transport = new winston.transports.Stream({
    stream,
    // As winston's own, without its timer for each call.
    log({ message }: LogLine, next: () => void) {
      stream.write(message)
      next()
    },
  })
  const logger = winston.createLogger({
    level: 'debug', // ours is asked before
    levels,
    format: winston.format((info) => info)(), // the lines are finished
    transports: [transport],
  })
  const lines = new LinesOfTurn((message) => logger.log({ level: 'info', message }))

  let closing: Promise<void> | undefined
  const write = (level: LogLine['level']) => {
    return (message: string, fields?: LogFields) => {
      if (levels[level] > levels[logLevel] || closing) return
      lines.add(format({ time: new Date(), level, message, fields }))
    }
  }
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    setLevel(level) {
      logLevel = level
    },
    close() {
      closing ??= new Promise((resolve) => {
        transport.once('finish', resolve)
        lines.close()
        logger.end()
      })
      return closing
    },
  }
}

/**
 * Lines of one turn of the event loop go on together: the way through winston and a write to a pipe cost more than
 * a line itself. What is still here when the process exits goes on then.
 */
class LinesOfTurn {
  readonly #goOn: (lines: string) => void
  #waiting = ''

  constructor(goOn: (lines: string) => void) {
    this.#goOn = goOn
    process.once('exit', this.#flush)
  }

  add(line: string): void {
    if (this.#waiting === '') setImmediate(this.#flush)
    this.#waiting += `${line}\n`
    if (this.#waiting.length > mostCharacters) this.#flush()
  }

  close(): void {
    this.#flush()
    process.off('exit', this.#flush)
  }

  readonly #flush = () => {
    if (this.#waiting !== '') this.#goOn(this.#waiting)
    this.#waiting = ''
  }
}

const mostCharacters = 16_384
