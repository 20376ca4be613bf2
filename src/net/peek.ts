import type { Socket } from 'node:net'
import { NetError, type NetErrorCode } from './errors.ts'

export interface PeekLimits {
  /** How much may come before there is a decision. */
  readonly limitBytes?: number
  /** How long that may take, from the call on. */
  readonly timeoutMs?: number
}

/** What to make of a connection on which nothing has come at all: its peer may wait for our first word. */
export interface Silence<T> {
  readonly afterMs: number
  /** Asked once; `undefined` goes on waiting. */
  readonly decide: () => T | undefined
}

/**
 * Reads the first bytes of a connection until `decide`, asked with all of them each time that more
 * came, gives a value; `undefined` means more are needed.
 *
 * Afterwards, whatever came of it, every byte is back in the socket, and that is paused, with no
 * listener or timer of ours: ready for a splice or for `tlsServer.emit('connection', socket)`. (A
 * plain http.Server wants a `resume()` after its emit.) The socket stays the caller's, to close, and
 * to listen to for 'error'.
 *
 * @throws NetError NET_PEEK_TIMEOUT, NET_PEEK_TOO_LONG, NET_PEEK_CLOSED (the peer ended before there
 * was a decision; nothing can be put back then), or whatever `decide` throws.
 */
export function peek<T>(
  socket: Socket,
  decide: (bytes: Buffer) => T | undefined,
  { limitBytes = 16_384, timeoutMs = 10_000, silence }: PeekLimits & { silence?: Silence<T> } = {},
): Promise<T> {
  return new Promise((resolve, reject) => {
    let bytes: Buffer = NOTHING

    const onData = (chunk: Buffer) => {
      // Joined anew each time, and read anew by `decide`: mostly there is one chunk, and for a
      // stranger who sends single bytes the limit keeps it below what the packets cost us anyway.
      bytes = bytes === NOTHING ? chunk : Buffer.concat([bytes, chunk])
      let value: T | undefined
      try {
        value = decide(bytes)
      } catch (error) {
        leave()
        reject(error)
        return
      }
      if (value !== undefined) {
        leave()
        resolve(value)
      } else if (bytes.length >= limitBytes) {
        fail('NET_PEEK_TOO_LONG', `${bytes.length} bytes, and still not clear what they are`)
      }
    }
    const onSilence = () => {
      const value = bytes === NOTHING ? silence?.decide() : undefined
      if (value === undefined) return
      leave()
      resolve(value)
    }
    const onTimeout = () => {
      fail('NET_PEEK_TIMEOUT', `${bytes.length} bytes within ${timeoutMs} ms, too few to tell`)
    }
    const onError = (cause: Error) => {
      fail('NET_PEEK_CLOSED', `the connection failed after ${bytes.length} bytes`, { cause })
    }
    const onEnd = () => {
      fail('NET_PEEK_CLOSED', `the connection ended after ${bytes.length} bytes, too few to tell`)
    }

    const timer = setTimeout(onTimeout, timeoutMs)
    const silenceTimer = silence && setTimeout(onSilence, silence.afterMs)
    socket.on('data', onData).on('error', onError).on('end', onEnd).on('close', onEnd)
    if (socket.destroyed || socket.readableEnded) onEnd()
    else socket.resume() // a 'data' listener alone does not wake a socket that was paused

    function leave(): void {
      clearTimeout(timer)
      clearTimeout(silenceTimer)
      socket.off('data', onData).off('error', onError).off('end', onEnd).off('close', onEnd)
      socket.pause()
      if (bytes !== NOTHING && !socket.readableEnded) socket.unshift(bytes)
    }

    function fail(code: NetErrorCode, message: string, options?: ErrorOptions): void {
      leave()
      reject(new NetError(code, message, options))
    }
  })
}

const NOTHING = Buffer.alloc(0)
