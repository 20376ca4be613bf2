import type { Duplex } from 'node:stream'

/** How long a closing transport may take to hear the peer's end; unless all had ended, to send its last bytes too. */
export const LINGER_MS = 2_000

/** Lets what was written go out, within `sendMs`, then closes, within a time that no peer can stretch. */
export function endTransport(transport: Duplex, sendMs: number): void {
  if (transport.destroyed) return
  let deadline = setTimeout(() => transport.destroy(), sendMs)
  transport.once('finish', () => {
    clearTimeout(deadline)
    deadline = setTimeout(() => transport.destroy(), LINGER_MS)
  })
  transport.once('close', () => clearTimeout(deadline))
  transport.end()
}

/** Calls back when the transport has taken all that was written, or never will. */
export function whenSent(transport: Duplex, callback: () => void): void {
  if (transport.writableFinished || transport.destroyed) return callback()
  transport.once('finish', callback)
  transport.once('close', callback)
}
