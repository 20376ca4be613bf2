import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'

/**
 * Ends a connection now, and so that its peer knows it was cut short: by a TCP reset where there is
 * a TCP connection, also under TLS; anything else is destroyed with `error`, which a stream of the
 * mux turns into its own reset. A TCP socket closes without an 'error' event, the others with one.
 *
 * May be called at any time, also from within a TLS callback, and more than once.
 */
export function reset(stream: Duplex, error: Error): void {
  if (stream.destroyed) return
  if (stream instanceof TLSSocket) {
    resetUnder(stream, error)
    return
  }
  if (stream instanceof Socket && canReset(stream, stream)) stream.resetAndDestroy()
  else stream.destroy(error)
}

/**
 * Destroying a TLS socket sends a FIN without close_notify. OpenSSL and Go call that an error; Node,
 * Python and others see a clean end, and take half a file for the whole. So the socket underneath is
 * told to reset when it closes. Neither that socket nor its flag is documented, but resetting it by
 * its own method and destroying the TLS socket in one tick crashes Node (a use after free in the
 * handshake's callback; 20.20.2, 24.21). Should they be gone some day, the FIN has to do.
 */
function resetUnder(stream: TLSSocket, error: Error): void {
  const socket = socketUnder(stream)
  if (socket?.destroyed) return // and Node is about to destroy what stands on it: see above
  if (socket !== undefined && canReset(socket, stream)) socket.resetAndClosing = true
  stream.destroy(error)
}

/** The socket that a TLS socket stands on; undefined for one that dialled by itself. */
export function socketUnder(
  stream: TLSSocket,
): (Socket & { resetAndClosing?: boolean }) | undefined {
  const { _parent: socket } = stream as { _parent?: unknown }
  return socket instanceof Socket ? socket : undefined
}

/** Whether the socket can be reset; `top` is the stream that stands on it, or itself. */
function canReset(socket: Socket, top: Duplex): boolean {
  // Not connected, or no more: there is nothing to reset, and Node would wait until there is.
  if (socket.pending) return false
  // libuv resets no socket that waits for its shutdown to be done (EINVAL), and Node then forgets to
  // close it: no 'close', and the descriptor is lost. The peer gets the FIN that is on its way.
  if (top.writableEnded && !top.writableFinished && top.writableLength === 0) return false
  // A unix socket has no reset, and no address.
  return socket.remoteAddress !== undefined
}
