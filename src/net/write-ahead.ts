import type { Writable } from 'node:stream'

/** What a receiver that does not take it may make us hold, beside a last chunk. */
const limitBytes = 128 * 1024

/**
 * Whether whoever writes should wait for 'drain'. To `write()` a TLS record is enough for that; but Node
 * ends a TLS write in the next turn of the event loop only, and what is written meanwhile then goes out
 * as one.
 */
export function isFull(stream: Writable): boolean {
  return stream.writableNeedDrain && stream.writableLength >= limitBytes
}
