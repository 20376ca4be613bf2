import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setImmediate } from 'node:timers'
import { NetError } from './errors.ts'
import { reset } from './reset.ts'
import { wasReset } from './was-reset.ts'
import { isFull } from './write-ahead.ts'

/**
 * Joins two connections: what one side sends, the other receives, no faster than it takes it. An end
 * is passed on after the last byte, and the other direction goes on for as long as it likes. When a
 * side fails or closes before both its halves are done, the other is reset (see `reset`), whatever
 * it still held.
 *
 * Resolves once both sides are closed; never rejects: whoever wants to know why listens for 'error'.
 * Takes both sides over, also paused ones, and also one that has ended, failed or closed already.
 *
 * The hot path: every tunnelled byte passes here. Two listeners and no object a chunk is as little
 * as a stream allows.
 */
export function splice(a: Duplex, b: Duplex): Promise<void> {
  return new Promise((resolve) => {
    let open = 2
    const closed = () => {
      open -= 1
      if (open === 0) resolve()
    }
    watch(a, b, closed)
    watch(b, a, closed)
    forward(a, b)
    forward(b, a)
  })
}

function forward(from: Duplex, to: Duplex): void {
  // Read when 'end' is emitted; without it Node would end our half together with the peer's.
  from.allowHalfOpen = true
  from.on('data', (chunk: Buffer) => {
    to.write(chunk)
    if (isFull(to)) from.pause()
  })
  to.on('drain', () => from.resume())
  const passOn = () => {
    if (from.errored !== null || wasReset(from)) from.destroy()
    else to.end()
  }
  // A socket's end is believed a moment later, when the errors are known that came with it.
  const onEnd = from instanceof Socket ? () => setImmediate(passOn) : passOn
  from.on('end', onEnd)
  if (from.readableEnded) onEnd()
  else from.resume() // a peek leaves a socket paused, and then a 'data' listener is not enough
}

/** Lets nothing of what `side` does go unnoticed: `other` is reset unless all of it was in order. */
function watch(side: Duplex, other: Duplex, closed: () => void): void {
  const check = (cause = side.errored) => {
    // Its own end and the other's have both arrived. The last question is for a side that a third
    // party has ended: what the other still sends could go nowhere.
    const isDone = side.readableEnded && side.writableFinished && other.readableEnded
    if (!isDone && !other.destroyed) reset(other, broken(cause))
  }
  // Stays on after the close: an error that comes late must find a listener.
  side.on('error', (error: Error) => {
    check(error)
    side.destroy() // of no effect, except on a stream without autoDestroy
  })
  let isOpen = true
  const onClose = () => {
    check()
    if (other instanceof Socket && !other.destroyed) giveUpOnSilence(other)
    if (isOpen) closed()
    isOpen = false
  }
  side.on('close', onClose)
  // A net.Socket may be `closed` with its 'close' still to come, or long past.
  if (side.closed) onClose()
  else if (side.destroyed) check()
}

/** Who is left has only last bytes to take, and nothing else would end the wait for one who takes none. */
function giveUpOnSilence(socket: Socket): void {
  socket.setTimeout(LAST_BYTES_MS, () => socket.destroy())
}

function broken(cause: Error | null): NetError {
  const message = 'the other side of the connection was gone before it had ended'
  return new NetError('NET_SPLICE_BROKEN', message, cause === null ? undefined : { cause })
}

/** Without one of the last bytes being taken. */
const LAST_BYTES_MS = 120_000
