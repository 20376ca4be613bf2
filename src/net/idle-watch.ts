import type { Socket } from 'node:net'

/** How late an idle connection may be noticed. */
const tickMs = 1_000

interface Watched {
  readonly idleMs: number
  readonly onIdle: () => void
  bytes: number
  sinceMs: number
}

/**
 * Notices connections on which nothing moves. One timer for all of them, that reads the counters which
 * the sockets keep anyway: a chunk costs nothing more. (`socket.setTimeout` resets a timer each chunk.)
 */
export class IdleWatch {
  readonly #watched = new Map<Socket, Watched>()
  #timer: NodeJS.Timeout | undefined

  /**
   * Calls `onIdle` once no byte has come or gone for `idleMs`; up to a second later, never earlier, and
   * once only. Ends with the socket.
   */
  watch(socket: Socket, idleMs: number, onIdle: () => void): void {
    const sinceMs = performance.now()
    this.#watched.set(socket, { idleMs, onIdle, bytes: bytesOf(socket), sinceMs })
    socket.once('close', () => this.#forget(socket))
    this.#timer ??= setInterval(() => this.#look(), tickMs).unref()
  }

  #look(): void {
    const nowMs = performance.now()
    for (const [socket, watched] of this.#watched) {
      const bytes = bytesOf(socket)
      if (bytes !== watched.bytes) {
        watched.bytes = bytes
        watched.sinceMs = nowMs
      } else if (nowMs - watched.sinceMs >= watched.idleMs) {
        this.#forget(socket)
        watched.onIdle()
      }
    }
  }

  #forget(socket: Socket): void {
    this.#watched.delete(socket)
    if (this.#watched.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

/** What was written counts when it is written: a peer that reads nothing keeps nothing moving. */
function bytesOf(socket: Socket): number {
  return socket.bytesRead + socket.bytesWritten
}
