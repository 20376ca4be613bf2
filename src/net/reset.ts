import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'

/**
 * Ends a connection now, and so that its peer knows it was cut short: by a TCP reset where there is
 * a TCP connection, also under TLS; anything else is destroyed with `error`, which a stream of the
 * mux turns into its own reset. A TCP socket closes without an 'error' event, the others with one.
 */
export function reset(stream: Duplex, error: Error): void {
  if (stream.destroyed) return
  const socket = stream instanceof TLSSocket ? socketUnder(stream) : stream
  // `pending`: not connected yet, or no more. There is nothing to reset, and Node would wait for it.
  if (socket instanceof Socket && !socket.pending) {
    try {
      socket.resetAndDestroy()
    } catch {
      // ERR_INVALID_HANDLE_TYPE: a unix socket, which has no reset.
    }
  }
  stream.destroy(error)
}

/**
 * Destroying a TLS socket sends a FIN without close_notify. OpenSSL and Go call that an error; Node,
 * Python and others see a clean end, and take half a file for the whole. So the reset goes to the
 * socket underneath, which Node keeps in an undocumented field; without it, the FIN has to do.
 */
function socketUnder(stream: TLSSocket): unknown {
  return (stream as TLSSocket & { _parent?: unknown })._parent
}
