import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * Whether the 'end' that a connection has just emitted was in truth a reset. libuv calls it an end when
 * the reset comes right behind the last bytes (`uv__stream_io`, at POLLHUP; seen on Node 20 with every
 * second one), and half an answer would pass for a whole one. The kernel knows: it has no peer any more.
 *
 * Only to be asked of a TCP socket whose own half is still open, since after both ends there is no peer
 * either; and of one whose `remoteAddress` nobody has read before, since Node keeps it.
 */
export function wasReset(stream: Duplex): boolean {
  if (!(stream instanceof Socket) || stream.writableEnded) return false
  // A unix socket has neither of the two.
  return stream.remoteAddress === undefined && stream.localAddress !== undefined
}
