import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { socketUnder } from './reset.ts'

/**
 * Whether the 'end' that a connection has just emitted was in truth a reset. libuv calls it an end when
 * the reset comes right behind the last bytes (`uv__stream_io`, at POLLHUP; always on Node 20 when both
 * arrive at once, Node 24 knows better), and half an answer would pass for a whole one. The kernel
 * knows: it has no peer any more, and takes no write, not even an empty one.
 *
 * Only to be asked while our own half is still open: later there is no peer in any case, and the answer
 * is false. After a true one the socket fails by itself, with ECONNRESET, if it was asked by a write.
 * Under TLS not to be asked within the 'end' event: that may be in the midst of Node's own callback.
 *
 * Nobody else may ever tell under TLS. When what TLS sends by itself (a server's tickets behind the
 * handshake, an answer to a new key) meets the reset, Node drops the error, takes the write to be under
 * way for ever, and calls back for none that follows (`TLSWrap::EncOut` keeps `write_size_`; 20.20.2).
 */
export function wasReset(stream: Duplex): boolean {
  const socket = stream instanceof TLSSocket ? socketUnder(stream) : stream
  if (!(socket instanceof Socket) || socket.pending || !stream.writable) return false
  // Undefined only where nobody has asked before: Node keeps it. A unix socket has neither of the two.
  if (socket.remoteAddress === undefined && socket.localAddress !== undefined) return true
  // Behind waiting writes ours would wait as well; those fail by themselves, and soon. What waits in TLS
  // alone is not before us.
  if (socket.writableLength === 0) socket.write('')
  return socket.errored !== null
}
