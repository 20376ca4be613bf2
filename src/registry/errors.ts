import { CodedError } from '../errors.ts'

export type RegistryErrorCode =
  /** One of the names to claim is held by another; none of them was taken. */
  'REGISTRY_NAME_TAKEN'

export class RegistryError extends CodedError<RegistryErrorCode> {
  /** The name it is about, in canonical form. */
  readonly claimedName: string

  constructor(code: RegistryErrorCode, claimedName: string, message: string) {
    super(code, message)
    this.claimedName = claimedName
  }
}
