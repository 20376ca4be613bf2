import { once } from 'node:events'
import t, { type Test } from 'tap'
import { defaultOptions, type MuxStream, Session } from '../../src/mux/index.ts'
import { duplexPair } from '../support/duplex-pair.ts'

// Who waits for whom, counted in bytes on the wire: the machine's speed is not in it.

const frameBytes = defaultOptions.maxFrameBytes

t.test(
  'a keystroke waits for a few data frames, whatever eight downloads have to send',
  async (t) => {
    const { client, server } = sessions(t)
    server.on('stream', (stream) => {
      stream.on('error', () => {})
      stream.once('data', (first: Buffer) => {
        if (first.length > 1) stream.resume()
        else stream.on('data', () => arrived?.(server.bytesRead))
      })
    })
    let arrived: ((bytesRead: number) => void) | undefined
    for (let i = 0; i < 8; i++) pump(client.open())
    const keys = client.open()
    keys.on('error', () => {})
    keys.write('.')
    await settled(server, 8 * 1024 * 1024)

    let longestWait = 0
    for (let i = 0; i < 100; i++) {
      const sentAt = client.bytesWritten
      const readAt = await new Promise<number>((resolve) => {
        arrived = resolve
        keys.write('.')
      })
      longestWait = Math.max(longestWait, readAt - sentAt)
    }
    t.ok(longestWait <= 4 * frameBytes, `${Math.round(longestWait / frameBytes)} frames at most`)
  },
)

t.test('streams that all have much to send take turns', async (t) => {
  const { client, server } = sessions(t)
  const received = new Map<number, number>()
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    stream.on('data', (piece: Buffer) => {
      received.set(stream.id, (received.get(stream.id) ?? 0) + piece.length)
    })
  })
  for (let i = 0; i < 8; i++) pump(client.open())
  await settled(server, 32 * 1024 * 1024)
  const counts = [...received.values()]
  t.equal(counts.length, 8)
  const behind = Math.max(...counts) - Math.min(...counts)
  t.ok(behind <= 4 * frameBytes, `${Math.round(behind / frameBytes)} frames apart`)
})

t.test('a stream that nobody reads holds back no other', async (t) => {
  const { client, server } = sessions(t)
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    if (stream.id > 1) stream.resume()
  })
  const unread = client.open()
  pump(unread)
  const other = client.open()
  other.on('error', () => {})
  for (let i = 0; i < 200; i++) {
    if (!other.write(Buffer.alloc(frameBytes))) await once(other, 'drain')
  }
  other.end()
  await once(other, 'finish')
  t.ok(unread.pendingBytes > 0, 'the unread one is stuck')
})

t.test('small frames without end do not starve a large one', async (t) => {
  const { client, server } = sessions(t)
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    stream.resume()
  })
  const chatter = Array.from({ length: 200 }, () => client.open())
  for (const stream of chatter) {
    stream.on('error', () => {})
    const say = () => {
      if (!stream.destroyed) stream.write(Buffer.alloc(2_000), say)
    }
    say()
  }
  const large = client.open()
  large.on('error', () => {})
  large.end(Buffer.alloc(1024 * 1024))
  await once(large, 'finish')
  t.pass('all of it went out among the chatter')
})

function sessions(t: Test) {
  const [a, b] = duplexPair()
  const client = new Session(a, { role: 'client', pingIntervalMs: 0 })
  const server = new Session(b, { role: 'server', pingIntervalMs: 0 })
  t.teardown(() => {
    client.destroy()
    server.destroy()
  })
  return { client, server }
}

/** Writes as much as the stream takes, for ever. */
function pump(stream: MuxStream): void {
  const piece = Buffer.alloc(64 * 1024)
  const write = () => {
    while (!stream.destroyed && stream.write(piece));
  }
  stream.on('error', () => {})
  stream.on('drain', write)
  write()
}

/** Waits until the session has read so much. */
async function settled(session: Session, bytes: number): Promise<void> {
  while (session.bytesRead < bytes) await new Promise(setImmediate)
}
