import { CodedError } from '../errors.ts'

/** - `CLI_USAGE`: the command line is wrong; the message says what. */
export type CliErrorCode = 'CLI_USAGE'

export class CliError extends CodedError<CliErrorCode> {}
