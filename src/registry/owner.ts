/** On whose behalf a name is held. It outlives the holder, which comes and goes with its connection. */
export interface Owner {
  /** Whose token it is (`bearerOf` in `auth/identity.ts`). */
  readonly bearer: string
  /** Which of that bearer's agents. A Go agent does not say, and cannot be told from another one. */
  readonly agentId: string | undefined
}

/** Whether the two are one agent, in its last and in its present session. */
export function isSameAgent(one: Owner | undefined, other: Owner | undefined): boolean {
  if (one?.agentId === undefined || other === undefined) return false
  return one.agentId === other.agentId && one.bearer === other.bearer
}
