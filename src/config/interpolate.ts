import type { Environment } from './environment.ts'
import type { MapSource, Source } from './field.ts'

/**
 * The text with each `${NAME}` taken from the environment; `$${` gives `${`.
 * `refused` says what cannot be filled in.
 */
export function interpolate(text: string, env: Environment): { text: string; refused?: string } {
  let refused: string | undefined
  const filled = text.replace(/(\$?)\$\{([^}]*)(\}?)/g, (all, dollar, name: string, end) => {
    if (dollar !== '') return all.slice(1)
    if (end === '' || !/^[A-Za-z_]\w*$/.test(name)) {
      refused ??=
        'wants the name of a variable in braces after the dollar sign (a plain one is written twice)'
      return ''
    }
    const value = env[name]
    if (value === undefined) refused ??= `the environment has no variable ${name}`
    return value ?? ''
  })
  return refused === undefined ? { text: filled } : { text: filled, refused }
}

/** The map with `${VAR}` filled in. What is typed, not what it stands for, is shown in messages. */
export function interpolated(map: Source, env: Environment): Source {
  return {
    at: map.at,
    pathOf: (key) => map.pathOf?.(key) ?? key,
    map(key): MapSource | undefined {
      const inner = map.map?.(key)
      return inner && { ...interpolated(inner, env), keys: () => inner.keys() }
    },
    entry(key) {
      const entry = map.entry(key)
      if (!entry?.text.includes('${')) return entry
      return { ...entry, ...interpolate(entry.text, env), shown: entry.text }
    },
  }
}
