import type { IncomingMessage, ServerResponse } from 'node:http'

/** How long a visitor may go on sending after it has been answered. */
const patienceMs = 2_000

/** Whether the request has a body to come; by its header lines, as `complete` is not true yet when they arrive. */
export function hasUpload({ headers, complete }: IncomingMessage): boolean {
  if (complete) return false
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/**
 * Ends a response whose request may still be arriving: the rest is read and dropped for a moment.
 * Closing over unread bytes would reset the connection, and with it what the visitor has not read yet.
 */
export function endGently(request: IncomingMessage, response: ServerResponse): void {
  if (!hasUpload(request)) {
    response.end()
    return
  }
  const finish = () => {
    clearTimeout(deadline)
    request.off('end', finish)
    response.end()
    if (!request.complete) response.once('finish', () => request.socket.destroySoon())
  }
  const deadline = setTimeout(finish, patienceMs)
  request.once('end', finish)
  response.once('close', () => clearTimeout(deadline))
  request.resume()
}
