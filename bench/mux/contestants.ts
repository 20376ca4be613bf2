import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { Session } from '../../src/mux/index.ts'
import { libp2pSession } from '../../test/interop/libp2p-peer.ts'

/** A multiplexer under test: two sessions over two connected ends. */
export interface Mux {
  /** Sends `bytes` on each of `streams` streams from one end; resolves when the other has read them all. */
  send(streams: number, bytes: number): Promise<void>
  /** Messages of `size` there and back, one after the other on each of `streams` streams. */
  pingPong(streams: number, size: number, times: number): Promise<void>
  /** Opens a stream, sends a byte, closes it both ways, again and again. */
  openClose(times: number): Promise<void>
  close(): void
}

const chunk = Buffer.alloc(64 * 1024, 'x')

/** The transport alone: what a multiplexer that costs nothing would reach. */
export async function sendRaw([a, b]: [Duplex, Duplex], bytes: number): Promise<void> {
  let left = bytes
  const arrived = new Promise<void>((resolve) => {
    b.on('data', (piece: Buffer) => {
      left -= piece.length
      if (left <= 0) resolve()
    })
  })
  pump(a, bytes, () => {})
  await arrived
  a.destroy()
  b.destroy()
}

export function ours([a, b]: [Duplex, Duplex]): Mux {
  const client = new Session(a, { role: 'client' })
  const server = new Session(b, { role: 'server' })
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    stream.once('data', (first: Buffer) => {
      if (first[0] !== ECHO) stream.on('end', () => stream.end()).resume()
      else {
        stream.write(first)
        stream.pipe(stream)
      }
    })
  })
  return {
    async send(streams, bytes) {
      await Promise.all(
        Array.from({ length: streams }, async () => {
          const stream = client.open()
          stream.resume()
          pump(stream, bytes, () => stream.end())
          await once(stream, 'end')
        }),
      )
    },
    async pingPong(streams, size, times) {
      const message = Buffer.alloc(size, ECHO)
      await Promise.all(
        Array.from({ length: streams }, () => {
          const stream = client.open()
          return new Promise<void>((resolve) => {
            let left = times
            let got = 0
            stream.on('data', (piece: Buffer) => {
              got += piece.length
              if (got < size) return
              got = 0
              left -= 1
              if (left > 0) stream.write(message)
              else stream.end()
            })
            stream.on('end', resolve)
            stream.write(message)
          })
        }),
      )
    },
    async openClose(times) {
      for (let i = 0; i < times; i++) {
        const stream = client.open()
        stream.resume()
        stream.end('x')
        await once(stream, 'end')
      }
    },
    close() {
      client.destroy()
      server.destroy()
    },
  }
}

export function libp2p([a, b]: [Duplex, Duplex]): Mux {
  const client = libp2pSession(a, 'client')
  const server = libp2pSession(b, 'server')
  server.addEventListener('stream', (event) => {
    const stream = event.detail
    let isEcho: boolean | undefined
    stream.addEventListener('message', ({ data }) => {
      isEcho ??= data.subarray()[0] === ECHO
      if (isEcho) stream.send(data)
    })
    stream.addEventListener('remoteCloseWrite', () => void stream.close())
  })
  const open = async () => {
    const stream = await client.createStream()
    const ended = new Promise<void>((resolve) => {
      stream.addEventListener('remoteCloseWrite', () => resolve())
    })
    return { stream, ended }
  }
  return {
    async send(streams, bytes) {
      await Promise.all(
        Array.from({ length: streams }, async () => {
          const { stream, ended } = await open()
          stream.addEventListener('message', () => {})
          for (let left = bytes; left > 0; left -= chunk.length) {
            const piece = left < chunk.length ? chunk.subarray(0, left) : chunk
            if (!stream.send(piece)) await stream.onDrain()
          }
          await stream.close()
          await ended
        }),
      )
    },
    async pingPong(streams, size, times) {
      const message = Buffer.alloc(size, ECHO)
      await Promise.all(
        Array.from({ length: streams }, async () => {
          const { stream, ended } = await open()
          let left = times
          let got = 0
          stream.addEventListener('message', ({ data }) => {
            got += data.byteLength
            if (got < size) return
            got = 0
            left -= 1
            if (left > 0) stream.send(message)
            else void stream.close()
          })
          stream.send(message)
          await ended
        }),
      )
    },
    async openClose(times) {
      for (let i = 0; i < times; i++) {
        const { stream, ended } = await open()
        stream.addEventListener('message', () => {})
        stream.send(Buffer.from('x'))
        await stream.close()
        await ended
      }
    },
    close() {
      a.destroy()
      b.destroy()
    },
  }
}

/** Writes so much, as fast as it is taken; without a promise a chunk, which would cost more than the chunk. */
function pump(to: Duplex, bytes: number, done: () => void): void {
  let left = bytes
  const write = () => {
    while (left > 0) {
      const piece = left < chunk.length ? chunk.subarray(0, left) : chunk
      left -= piece.length
      if (!to.write(piece)) return
    }
    to.off('drain', write)
    done()
  }
  to.on('drain', write)
  write()
}

/** The first byte of a stream that wants its bytes back. */
const ECHO = 0x45
