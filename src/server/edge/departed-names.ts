import type { Registry } from '../../registry/registry.ts'
import { isHostname } from '../claims.ts'
import type { Route } from '../upstream.ts'

/** Names that are remembered; of more, the oldest are taken for http. */
const limit = 10_000

/** Hostnames that nobody holds any more, and whose visitors speak something else than HTTP. */
export class DepartedNames {
  /** In the order they went. */
  readonly #notHttp = new Set<string>()

  constructor(registry: Registry<Route>) {
    registry.on('release', ({ name, mode }) => {
      this.#notHttp.delete(name)
      if (mode !== 'http' && isHostname(name)) this.#add(name)
    })
  }

  /** Whether the visitor of a name that nobody holds will understand an answer in HTTP. */
  speakHttp(name: string, alpn: readonly string[]): boolean {
    if (alpn.length === 0) return !this.#notHttp.has(name)
    return alpn.some((protocol) => protocol === 'h2' || protocol.startsWith('http/'))
  }

  #add(name: string): void {
    this.#notHttp.add(name)
    if (this.#notHttp.size <= limit) return
    const [oldest = name] = this.#notHttp
    this.#notHttp.delete(oldest)
  }
}
