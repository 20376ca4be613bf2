/** What programs and servers are started in, and end with: a test of tap's, or a measurement. */
export interface Scope {
  teardown(end: () => unknown): void
  /** Whether nothing has gone wrong so far. */
  passing(): boolean
}
