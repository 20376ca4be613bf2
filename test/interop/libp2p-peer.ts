import { createHash, randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { yamux } from '@chainsafe/libp2p-yamux'
import type { Stream } from '@libp2p/interface'
import { defaultLogger } from '@libp2p/logger'
import { AbstractMessageStream, type SendResult } from '@libp2p/utils'
import type { Role } from '../../src/mux/index.ts'

// The package wants Node 22; this is all that Node 20 lacks for it.
if (!('withResolvers' in Promise)) {
  Object.assign(Promise, {
    withResolvers<T>() {
      let settle: object = {}
      const promise = new Promise<T>((resolve, reject) => {
        settle = { resolve, reject }
      })
      return { promise, ...settle }
    },
  })
}

type YamuxMuxer = ReturnType<ReturnType<ReturnType<typeof yamux>>['createStreamMuxer']>
type Chunk = Parameters<Stream['send']>[0]

/** A libp2p yamux session over a Node stream. */
export function libp2pSession(transport: Duplex, role: Role): YamuxMuxer {
  const connection = new NodeMessageStream(transport, role === 'client' ? 'outbound' : 'inbound')
  const factory = yamux({ enableKeepAlive: false })()
  return factory.createStreamMuxer(connection)
}

/** Sends back what comes on every stream that the other side opens, half-close included. */
export function echoStreams(session: YamuxMuxer): void {
  session.addEventListener('stream', (event) => {
    void echoOne(event.detail)
  })
}

async function echoOne(stream: Stream): Promise<void> {
  try {
    for await (const chunk of stream) await send(stream, chunk)
    await stream.close()
  } catch {
    // A stream that the other side reset: the test sees it there.
  }
}

/** Opens `streams` at once and checks that every byte sent on them comes back. */
export async function drive(
  session: YamuxMuxer,
  { streams, bytes }: { streams: number; bytes: number },
): Promise<void> {
  const each = Math.floor(bytes / streams)
  await Promise.all(
    Array.from({ length: streams }, async () => driveOne(await session.createStream(), each)),
  )
}

async function driveOne(stream: Stream, bytes: number): Promise<void> {
  const sent = createHash('sha256')
  const received = createHash('sha256')
  const writing = (async () => {
    for (let left = bytes; left > 0; ) {
      const chunk = randomBytes(Math.min(left, 1 + Math.floor(Math.random() * 100_000)))
      left -= chunk.length
      sent.update(chunk)
      await send(stream, chunk)
    }
    await stream.close()
  })()
  let back = 0
  for await (const chunk of stream) {
    back += chunk.byteLength
    received.update(chunk.subarray())
  }
  await writing
  if (back !== bytes || !sent.digest().equals(received.digest())) {
    throw new Error(`${back} of ${bytes} bytes came back, and not the same`)
  }
}

async function send(stream: Stream, chunk: Chunk): Promise<void> {
  if (!stream.send(chunk)) await stream.onDrain()
}

class NodeMessageStream extends AbstractMessageStream {
  readonly #transport: Duplex

  constructor(transport: Duplex, direction: 'inbound' | 'outbound') {
    super({ log: defaultLogger().forComponent('test'), direction })
    this.#transport = transport
    transport.on('data', (chunk: Buffer) => this.onData(chunk))
    transport.on('drain', () => this.safeDispatchEvent('drain'))
    transport.on('error', () => this.onTransportClosed())
    transport.on('close', () => this.onTransportClosed())
  }

  override sendData(data: Parameters<AbstractMessageStream['sendData']>[0]): SendResult {
    const canSendMore = this.#transport.write(data.subarray())
    return { sentBytes: data.byteLength, canSendMore }
  }

  override sendReset(): void {
    this.#transport.destroy()
  }

  override async close(): Promise<void> {
    this.#transport.end()
  }

  override sendPause(): void {
    this.#transport.pause()
  }

  override sendResume(): void {
    this.#transport.resume()
  }
}
