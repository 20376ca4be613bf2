export const ExitCode = { Clean: 0, Failed: 1, Usage: 2, Refused: 77 } as const

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** For `--help`. 77 is EX_NOPERM of sysexits.h: a supervisor need not start the program again. */
export const exitCodes: readonly { code: ExitCode; doc: string }[] = [
  { code: ExitCode.Clean, doc: 'Ended as it was asked to.' },
  { code: ExitCode.Failed, doc: 'Failed; the error says why. Starting again may help.' },
  { code: ExitCode.Usage, doc: 'Wrong usage or configuration.' },
  { code: ExitCode.Refused, doc: 'Refused by the gateway for good. Starting again is no use.' },
]

/** Which one an error ends the program with. Decided by its code, in this one place. */
export function exitCodeOf(error: unknown): ExitCode {
  const code = codeOf(error)
  if (code === 'CLI_USAGE' || code.startsWith('CONFIG_')) return ExitCode.Usage
  if (finalCodes.has(code)) return ExitCode.Refused
  return ExitCode.Failed
}

const finalCodes: ReadonlySet<string> = new Set([
  'CLIENT_REFUSED',
  'CLIENT_ENDED',
  'CLIENT_REPLACED',
])

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : ''
}
