import type { Duplex } from 'node:stream'
import { setImmediate } from 'node:timers'
import { duplexPair } from '../support/duplex-pair.ts'

/**
 * A pair that cuts what goes through into pieces of the sizes given, round and round, each piece in
 * a turn of its own, as a network may.
 */
export function choppedPair(sizes: readonly number[]): {
  ends: [Duplex, Duplex]
  /** Bytes that came in and have not gone out. */
  bytesOnTheWay: () => number
} {
  const [a, nearA] = duplexPair()
  const [b, nearB] = duplexPair()
  const ways = [chop(nearA, nearB, sizes), chop(nearB, nearA, [...sizes].reverse())]
  return { ends: [a, b], bytesOnTheWay: () => ways.reduce((sum, left) => sum + left(), 0) }
}

function chop(from: Duplex, to: Duplex, sizes: readonly number[]): () => number {
  let turn = 0
  let rest = Buffer.alloc(0)
  const pass = () => {
    const bytes = sizes[turn++ % sizes.length] ?? 1
    const goesOn = to.write(rest.subarray(0, bytes))
    rest = rest.subarray(bytes)
    const next = rest.length > 0 ? pass : () => from.resume()
    if (goesOn) setImmediate(next)
    else to.once('drain', next)
  }
  from.on('data', (chunk: Buffer<ArrayBuffer>) => {
    from.pause()
    rest = chunk
    pass()
  })
  from.on('end', () => to.end())
  from.on('error', () => to.destroy())
  from.on('close', () => {
    if (!from.readableEnded) to.destroy()
  })
  return () => rest.length + from.readableLength + to.writableLength
}
