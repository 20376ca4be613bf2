import type { Socket } from 'node:net'

/** Destroys the socket where it does not get there: by an error, its end, or the signal. */
export function untilReady(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onReady = () => settle()
    const onError = (error: Error) => settle(error)
    const onClose = () => settle(new Error('closed'))
    const onAbort = () => settle(signal.reason)
    const settle = (problem?: Error) => {
      signal.removeEventListener('abort', onAbort)
      socket.off(event, onReady).off('close', onClose)
      if (problem === undefined) {
        socket.off('error', onError)
        resolve()
      } else {
        // onError stays: what a socket says that nobody wants any more is no news.
        socket.destroy()
        reject(problem)
      }
    }
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on(event, onReady).on('error', onError).on('close', onClose)
    if (signal.aborted) onAbort()
  })
}
