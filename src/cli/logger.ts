import winston from 'winston'
import type { LogSettings } from '../config/logging.ts'
import type { LogFields, Logger } from '../log.ts'
import { formatJson, formatPretty, type LogLine } from './log-format.ts'

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
  const format = (line: LogLine) => (isPretty ? formatPretty(line, isColoured) : formatJson(line))
  const lines = new LineWriter(stream)
  const transport = new winston.transports.Stream({
    stream,
    // As winston's own, without its timer for each line.
    log(info: Record<symbol, unknown>, next: () => void) {
      lines.write(`${info[lineOf]}\n`)
      next()
    },
  })
  const logger = winston.createLogger({
    level: 'debug', // ours is asked before
    levels,
    format: winston.format((info) =>
      Object.assign(info, { [lineOf]: format(info.line as LogLine) }),
    )(),
    transports: [transport],
  })

  let closing: Promise<void> | undefined
  const write = (level: LogLine['level']) => {
    return (message: string, fields?: LogFields) => {
      if (levels[level] > levels[logLevel] || closing) return
      const line: LogLine = { time: new Date(), level, message, fields }
      logger.log({ level, message, line })
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
        transport.once('finish', () => resolve(lines.close()))
        logger.end()
      })
      return closing
    },
  }
}

const lineOf = Symbol.for('message') // where winston's transports find the finished line

/**
 * Lines of one turn of the event loop in one write: a write to a pipe costs as much as the line itself.
 * What has not been written when the process exits is written then.
 */
class LineWriter {
  readonly #stream: LogStream
  #waiting = ''

  constructor(stream: LogStream) {
    this.#stream = stream
    process.once('exit', this.#flush)
  }

  write(line: string): void {
    if (this.#waiting === '') setImmediate(this.#flush)
    this.#waiting += line
    if (this.#waiting.length > flushCharacters) this.#flush()
  }

  close(): void {
    this.#flush()
    process.off('exit', this.#flush)
  }

  readonly #flush = () => {
    if (this.#waiting !== '') this.#stream.write(this.#waiting)
    this.#waiting = ''
  }
}

const flushCharacters = 16_384
