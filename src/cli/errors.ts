import { CodedError } from '../errors.ts'

export type CliErrorCode =
  /** The command line is wrong; the message says what. */
  | 'CLI_USAGE'
  /** A command for the gateway that runs, and none does, or it cannot be asked. */
  | 'CLI_NO_GATEWAY'
  /** `doctor` has found something that is not as it should be. */
  | 'CLI_UNWELL'

export class CliError extends CodedError<CliErrorCode> {}
