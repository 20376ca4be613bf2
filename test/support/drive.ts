import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import type { Session } from '../../src/mux/index.ts'

/** Opens `streams` at once, sends random bytes in pieces of random size, and checks that all of them come back. */
export async function driveEcho(
  session: Session,
  { streams, bytes }: { streams: number; bytes: number },
): Promise<void> {
  const each = Math.floor(bytes / streams)
  await Promise.all(Array.from({ length: streams }, () => driveOne(session.open(), each)))
}

async function driveOne(stream: Duplex, bytes: number): Promise<void> {
  const sent = createHash('sha256')
  const received = createHash('sha256')
  let back = 0
  const writing = (async () => {
    for (let left = bytes; left > 0; ) {
      const chunk = randomBytes(Math.min(left, 1 + Math.floor(Math.random() * 100_000)))
      left -= chunk.length
      sent.update(chunk)
      if (!stream.write(chunk)) await once(stream, 'drain')
    }
    stream.end()
  })()
  for await (const chunk of stream) {
    back += chunk.length
    received.update(chunk)
  }
  await writing
  if (back !== bytes || !sent.digest().equals(received.digest())) {
    throw new Error(`${back} of ${bytes} bytes came back, and not the same`)
  }
}

/** Sends back what comes, half-close included. */
export function echo(stream: Duplex): void {
  stream.on('error', () => stream.destroy())
  stream.pipe(stream)
}
