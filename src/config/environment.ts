import type { Position } from './errors.ts'
import type { Source } from './field.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Variables as a source of fields. `positionOf`: where one was set, if not in the environment itself. */
export function fromEnvironment(
  env: Environment,
  positionOf?: (key: string) => Position | undefined,
): Source {
  return {
    entry(key) {
      const text = env[key]
      const at = positionOf?.(key)
      return text === undefined ? undefined : { text, ...(at && { at }) }
    },
  }
}
