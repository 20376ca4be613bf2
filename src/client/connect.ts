import type { Duplex } from 'node:stream'
import { NetError } from '../net/errors.ts'
import { reset } from '../net/reset.ts'
import { splice } from '../net/splice.ts'
import { ClientError } from './errors.ts'

/**
 * Joins a connection to a tcp tunnel, a TLS socket, with a local one, until both directions have
 * ended. Takes both over; where the signal aborts, both are reset.
 * @throws ClientError CLIENT_CONNECTION_BROKEN, CLIENT_LOCAL_BROKEN: that side was gone before both
 * directions had ended, and the other was reset for it.
 */
export async function join(remote: Duplex, local: Duplex, signal: AbortSignal): Promise<void> {
  const cut = () => reset(remote, signal.reason)
  signal.addEventListener('abort', cut, { once: true })
  await splice(remote, local)
  signal.removeEventListener('abort', cut)
  if (isWhole(remote) && isWhole(local)) return
  throw wasResetForTheOther(remote) ? localBroken(local.errored) : remoteBroken(remote.errored)
}

function isWhole(side: Duplex): boolean {
  return side.readableEnded && side.writableFinished
}

function wasResetForTheOther({ errored }: Duplex): boolean {
  return errored instanceof NetError && errored.code === 'NET_SPLICE_BROKEN'
}

function localBroken(cause: Error | null): ClientError {
  const message = `the local side broke off before the tunnel had ended${because(cause)}`
  return new ClientError('CLIENT_LOCAL_BROKEN', message, { cause })
}

function remoteBroken(cause: Error | null): ClientError {
  const message = `the connection to the tunnel broke off${because(cause)}: see the agent's log, and whether its service runs`
  return new ClientError('CLIENT_CONNECTION_BROKEN', message, { cause })
}

function because(cause: Error | null): string {
  return cause === null ? '' : ` (${cause.message.trim()})`
}
