import type { Writable } from 'node:stream'
import type { View } from './pages/view.ts'

export interface FeedOptions {
  /** The page as it is now; undefined: it is not for this visitor any more. */
  readonly look: () => View | undefined
  readonly intervalMs: number
}

/** Of an open page only what changed since the last look, as server-sent events. */
export class PageFeed {
  readonly #response: Writable
  readonly #options: FeedOptions
  readonly #onEnd: () => void
  readonly #timer: NodeJS.Timeout
  readonly #parts = new Map<string, string>()
  readonly #lists = new Map<string, string>()
  #silentMs = 0
  #isEnded = false

  constructor(response: Writable, options: FeedOptions, onEnd: () => void) {
    this.#response = response
    this.#options = options
    this.#onEnd = onEnd
    this.#timer = setInterval(() => this.#tick(), options.intervalMs)
    const nowSec = (Date.now() / 1000).toFixed(3)
    response.write(`retry: 2000\nevent: time\ndata: ${nowSec}\n\n`)
    this.#tick()
  }

  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    clearInterval(this.#timer)
    this.#response.end()
    this.#onEnd()
  }

  #tick(): void {
    // Who does not read gets what is new when it reads again, not all that was meanwhile.
    if (this.#response.writableNeedDrain || this.#isEnded) return
    const view = this.#options.look()
    if (view === undefined) {
      this.#response.write('event: gone\ndata: {}\n\n')
      this.end()
      return
    }
    const patch = this.#changes(view)
    this.#silentMs += this.#options.intervalMs
    if (patch !== undefined) this.#send(`data: ${JSON.stringify(patch)}\n\n`)
    else if (this.#silentMs >= longestSilenceMs) this.#send(': still here\n\n')
  }

  #send(text: string): void {
    this.#silentMs = 0
    this.#response.write(text)
  }

  #changes({ parts, lists }: View): Patch | undefined {
    const set: Record<string, string> = {}
    for (const [id, markup] of parts) {
      const steady = withoutClocks(markup)
      if (this.#parts.get(id) === steady) continue
      this.#parts.set(id, steady)
      set[id] = markup
    }
    for (const id of this.#parts.keys()) if (!parts.has(id)) this.#parts.delete(id)
    const order: Record<string, readonly string[]> = {}
    for (const [id, children] of lists) {
      const joined = children.join(' ')
      if (this.#lists.get(id) === joined) continue
      this.#lists.set(id, joined)
      order[id] = children
    }
    const hasAny = Object.keys(set).length + Object.keys(order).length > 0
    return hasAny ? { set, order } : undefined
  }
}

/** What assets/live.js is sent. */
interface Patch {
  /** Elements by their id, whole. */
  readonly set: Readonly<Record<string, string>>
  /** Of lists whose children are others now, or stand otherwise: their ids. */
  readonly order: Readonly<Record<string, readonly string[]>>
}

/** Shorter than what any proxy on the way waits. */
const longestSilenceMs = 15_000

/** Times that count by themselves are no change. */
function withoutClocks(markup: string): string {
  return markup.replace(clocks, '$1')
}

const clocks = /(<time [^>]*data-(?:since|until)="\d+">)[^<]*/g
