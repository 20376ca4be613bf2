import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import { Session } from '../../src/mux/index.ts'
import type { MuxOptions } from '../../src/mux/options.ts'
import { duplexPair } from '../support/duplex-pair.ts'
import { destroyAfter } from './destroy-after.ts'

// The far end of a session, played by hand: headers are written and read as hex, grouped as the
// fields are (version, type, flags, stream id, length), with nothing of src/mux between.
//
//    00 00 0001 00000001 00000005   Data, SYN, stream 1, 5 bytes follow
//    00 01 0002 00000001 00000000   WindowUpdate, ACK, stream 1, no credit
//    00 02 0001 00000000 0000002a   Ping, asks with 42
//    00 03 0000 00000000 00000001   GoAway, protocol error

export class RawPeer {
  readonly end: Duplex
  /** Headers of the frames received, in order. */
  readonly frames: string[] = []
  /** Payload received, by stream id. */
  readonly payloads = new Map<number, Buffer[]>()
  isEnded = false
  #unparsed: Buffer = Buffer.alloc(0)

  constructor(end: Duplex) {
    this.end = end
    end.on('data', (chunk: Buffer) => this.#receive(chunk))
    end.on('end', () => (this.isEnded = true))
    end.on('error', () => (this.isEnded = true))
  }

  /** Writes bytes: hex, blanks between as you like. */
  send(...parts: (string | Buffer)[]): void {
    if (this.end.destroyed) return
    this.end.write(
      Buffer.concat(parts.map((part) => (typeof part === 'string' ? hex(part) : part))),
    )
  }

  /** The frames received since the last call. */
  take(): string[] {
    return this.frames.splice(0)
  }

  payload(streamId: number): Buffer {
    return Buffer.concat(this.payloads.get(streamId) ?? [])
  }

  #receive(chunk: Buffer): void {
    let rest = this.#unparsed.length === 0 ? chunk : Buffer.concat([this.#unparsed, chunk])
    while (rest.length >= 12) {
      const length = rest[1] === 0 ? rest.readUInt32BE(8) : 0
      if (rest.length < 12 + length) break
      this.frames.push(headerText(rest))
      if (length > 0) {
        const id = rest.readUInt32BE(4)
        const pieces = this.payloads.get(id) ?? []
        this.payloads.set(id, pieces)
        pieces.push(rest.subarray(12, 12 + length))
      }
      rest = rest.subarray(12 + length)
    }
    this.#unparsed = rest
  }
}

/** A session with a peer played by hand. Pings are off, so that only what a test asks for travels. */
export function sessionWithRawPeer(
  t: Test,
  role: 'client' | 'server',
  options: Partial<MuxOptions> = {},
): { session: Session; near: Duplex; peer: RawPeer; ended: () => string | undefined } {
  const [near, far] = duplexPair()
  const session = new Session(near, { pingIntervalMs: 0, ...options, role })
  const peer = new RawPeer(far)
  let reason: string | undefined
  session.on('close', (error) => (reason = error?.code ?? 'finished'))
  t.teardown(() => near.destroy())
  destroyAfter(t, session)
  return { session, near, peer, ended: () => reason }
}

export function hex(text: string): Buffer {
  const digits = text.replaceAll(/\s+/g, '')
  if (!/^([0-9a-f]{2})*$/.test(digits)) throw new Error(`not hex: ${text}`)
  return Buffer.from(digits, 'hex')
}

/** Four bytes in hex, for a stream id or a length. */
export function u32(value: number): string {
  return value.toString(16).padStart(8, '0')
}

export function headerText(from: Buffer): string {
  const digits = from.toString('hex', 0, 12)
  return [
    digits.slice(0, 2),
    digits.slice(2, 4),
    digits.slice(4, 8),
    digits.slice(8, 16),
    digits.slice(16, 24),
  ].join(' ')
}
