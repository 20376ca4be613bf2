/** What both programs do around their work: signals, exit codes, and how an error is told. */
import type { Section } from '../config/field.ts'
import { type Invocation, parseCommandLine, type Usage } from './arguments.ts'
import { ExitCode, exitCodeOf } from './exit-codes.ts'
import type { ProgramLogger } from './logger.ts'
import { originalStack } from './original-stack.ts'
import { describeCrash, describeError } from './print-error.ts'
import { programVersion } from './version.ts'

export interface Program {
  readonly usage: Usage
  /** The fields for `--help`; only loaded when it is asked for. */
  readonly sections: () => Promise<readonly Section[]>
  /** By name of the command. Resolves when the program has done its work, or was asked to stop and did. */
  readonly commands: Readonly<Record<string, (invocation: Invocation, life: Life) => Promise<void>>>
}

/** What a command has of its process. */
export interface Life {
  /** Aborted by the first SIGINT or SIGTERM: finish what runs, and return. The second one does not wait. */
  readonly signal: AbortSignal
  /** Called at each SIGHUP, which ends the program without it. */
  onHangup(listener: () => void): void
  /** From now on signals and crashes are told here; closed when the program ends. */
  useLogger(log: ProgramLogger): void
}

/** Resolves when the program is asked to stop. */
export function stopped({ signal }: Life): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Runs the command that was typed, and ends the process with the exit code for what came of it. */
export async function main(program: Program): Promise<never> {
  const stopping = new AbortController()
  let log: ProgramLogger | undefined

  // A reader that went away (`| head`) is no reason to fail: the log just has nobody left.
  process.stdout.on('error', () => {})
  process.stderr.on('error', () => {})
  process.on('uncaughtException', (error) => void crash('uncaught exception', error))
  process.on('unhandledRejection', (error) => void crash('unhandled rejection', error))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop)

  try {
    await run(program, {
      signal: stopping.signal,
      onHangup: (listener) => void process.on('SIGHUP', listener),
      useLogger(logger) {
        log = logger
      },
    })
    if (log === undefined) await printed()
    return await end(ExitCode.Clean)
  } catch (error) {
    process.stderr.write(describeError(error, program.usage))
    return end(exitCodeOf(error))
  }

  function stop(signal: NodeJS.Signals): void {
    if (stopping.signal.aborted) {
      log?.warn('ending at once', { signal })
      void end(ExitCode.Failed)
      return
    }
    log?.info('closing; a second signal ends at once', { signal })
    // Nothing has been started yet that could be closed.
    if (log === undefined) void end(ExitCode.Failed)
    stopping.abort()
  }

  async function crash(message: string, error: unknown): Promise<void> {
    const stack = error instanceof Error ? originalStack(error) : ''
    if (log) log.error(message, { error, stack })
    else process.stderr.write(describeCrash(message, error, stack))
    await end(ExitCode.Failed)
  }

  async function end(code: ExitCode): Promise<never> {
    // A log that cannot be written must not keep the process.
    setTimeout(() => process.exit(code), 1000)
    await log?.close()
    await Promise.all([drain(process.stdout), drain(process.stderr)])
    process.exit(code)
  }
}

async function run({ usage, sections, commands }: Program, life: Life): Promise<void> {
  const invocation = parseCommandLine(usage, process.argv.slice(2))
  if (invocation.has('help')) {
    const { renderHelp } = await import('./help.ts')
    const { columns: width, isTTY } = process.stdout
    const isColoured = isTTY && !process.env.NO_COLOR
    process.stdout.write(renderHelp(usage, await sections(), { width, isColoured }))
  } else if (invocation.has('version')) {
    process.stdout.write(`${usage.name} ${programVersion()}\n`)
  } else {
    await commands[invocation.command.name]?.(invocation, life)
  }
}

/** What a person asked for must have come out, unless nobody wants it any more. */
async function printed(): Promise<void> {
  await drain(process.stdout)
  const { errored } = process.stdout
  if (errored !== null && (errored as NodeJS.ErrnoException).code !== 'EPIPE') throw errored
}

function drain(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (!stream.writable) resolve()
    else stream.write('', () => resolve())
  })
}
