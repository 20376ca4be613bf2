import type { Tunnel } from './tunnel.ts'

// Waits that an abort ends early, and without an error.

/** Until the tunnel takes no more streams. */
export function untilLeaving(tunnel: Tunnel, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (tunnel.isLeaving || signal.aborted) return resolve()
    tunnel.once('leave', done).once('close', done)
    signal.addEventListener('abort', done)

    function done(): void {
      tunnel.off('leave', done).off('close', done)
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}

/** A wait that can be cut short. */
export class Pause {
  #end: (() => void) | undefined

  /** Ends the wait that runs, if one does. */
  skip(): void {
    this.#end?.()
  }

  wait(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const end = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', end)
        this.#end = undefined
        resolve()
      }
      const timer = setTimeout(end, ms)
      signal.addEventListener('abort', end)
      this.#end = end
    })
  }
}
