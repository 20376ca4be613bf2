/** What was asked for cannot be done, and says why. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
