import type { Duplex } from 'node:stream'
import { reset } from '../net/reset.ts'
import { wasReset } from '../net/was-reset.ts'
import { ClientError } from './errors.ts'

/**
 * Joins a stream and the HTTP server that it is for. Half-close of the stream goes on to the server;
 * one of them breaking resets the other. Resolves once both are closed; never rejects.
 *
 * Not `splice`, for what a server does that answers while the request is still being sent ("413",
 * then close): the answer must get through. So once the server has ended its half, what is sent to
 * it is discarded, for it would fail; and a server that breaks off is heard to its last byte first.
 *
 * Both must have a listener for 'error'.
 */
export function exchange(stream: Duplex, server: Duplex): Promise<void> {
  stream.pipe(server)
  server.pipe(stream, { end: false })
  server.once('end', () => {
    if (wasReset(server)) destroyBehind(stream, null)
    else stream.end()
    stream.unpipe(server)
    stream.resume()
    server.destroy()
  })
  const serverClosed = whenClosed(server, () => {
    if (!server.readableEnded) destroyBehind(stream, server.errored)
  })
  const streamClosed = whenClosed(stream, () => {
    if (stream.readableEnded) server.destroy()
    else reset(server, new ClientError('CLIENT_CLOSED', 'the stream was reset'))
  })
  return Promise.all([serverClosed, streamClosed]).then(() => {})
}

/** Calls back and resolves when the stream is closed; calls back at once if it is already. */
function whenClosed(stream: Duplex, callback: () => void): Promise<void> {
  return new Promise((resolve) => {
    const onClose = () => {
      callback()
      resolve()
    }
    if (stream.closed) onClose()
    else stream.once('close', onClose)
  })
}

/** Destroys a stream once all that was written to it has gone out. */
function destroyBehind(stream: Duplex, error: Error | null): void {
  stream.write(Buffer.alloc(0), () => stream.destroy(error ?? undefined))
}
