import { connect, createServer, type Socket } from 'node:net'
import { listen } from '../../test/e2e/targets.ts'
import type { Scope } from '../../test/support/scope.ts'

/**
 * A port that leads to another one, far away: what goes in comes out half a round trip later, and no more is
 * on the way at a time than a link of 1 Gbit/s holds. In this process, whose CPU time nobody counts.
 */
export function startDistance(scope: Scope, port: number, roundTripMs: number): Promise<number> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    carry(near, far, roundTripMs / 2)
    carry(far, near, roundTripMs / 2)
  })
  return listen(scope, server)
}

/** Timers of the same length end in the order in which they began. */
function carry(from: Socket, to: Socket, delayMs: number): void {
  const capacity = bytesPerMs * delayMs
  let onTheWay = 0
  const arrived = (bytes: number) => {
    onTheWay -= bytes
    if (onTheWay < capacity) from.resume()
  }
  from.on('data', (chunk) => {
    onTheWay += chunk.length
    if (onTheWay >= capacity) from.pause()
    setTimeout(() => to.write(chunk, () => arrived(chunk.length)), delayMs)
  })
  from.on('end', () => setTimeout(() => to.end(), delayMs))
  from.on('error', () => to.destroy())
  from.on('close', () => setTimeout(() => to.destroy(), delayMs))
}

const bytesPerMs = 125_000
