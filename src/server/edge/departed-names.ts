import type { Mode } from '../../protocol/messages.ts'
import type { Registry } from '../../registry/registry.ts'
import { isHostname } from '../claims.ts'
import type { Route } from '../upstream.ts'

/** Names that are remembered; of more, the oldest are forgotten. */
const limit = 10_000
/** As long as a machine is commonly away for: a restart, an update, a line that broke. */
const awaitedMs = 600_000

/** Hostnames that nobody holds any more: what their visitors expect, and whether they will be back. */
export class DepartedNames {
  /** In the order they went; since when on the monotonic clock. */
  readonly #departures = new Map<string, { readonly mode: Mode; readonly sinceMs: number }>()

  constructor(registry: Registry<Route>) {
    registry.on('release', ({ name, mode }) => {
      if (isHostname(name)) this.#add(name, mode)
    })
  }

  /** Whether the visitor of a name that nobody holds will understand an answer in HTTP. */
  speakHttp(name: string, alpn: readonly string[]): boolean {
    if (alpn.length === 0) return (this.#departures.get(name)?.mode ?? 'http') === 'http'
    return alpn.some((protocol) => protocol === 'h2' || protocol.startsWith('http/'))
  }

  /** Whether the agent of a name that nobody holds has left so lately that it will probably be back. */
  isAwaited(name: string): boolean {
    const { sinceMs } = this.#departures.get(name) ?? {}
    return sinceMs !== undefined && performance.now() - sinceMs < awaitedMs
  }

  #add(name: string, mode: Mode): void {
    this.#departures.delete(name)
    this.#departures.set(name, { mode, sinceMs: performance.now() })
    if (this.#departures.size <= limit) return
    const [oldest = name] = this.#departures.keys()
    this.#departures.delete(oldest)
  }
}
