import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { type MuxStream, Session } from '../../src/mux/index.ts'
import { LineDecoder } from '../../src/protocol/lines.ts'
import {
  type Ack,
  formatMessage,
  type KnownMessage,
  type Message,
  parseMessage,
} from '../../src/protocol/messages.ts'
import { encodePreamble } from '../../src/protocol/preamble.ts'

/** The other end of a tunnel, as little of it as a test needs. Answers every `register` with `ack`. */
export class FakeGateway extends EventEmitter<{ message: [message: Message]; refused: [] }> {
  readonly session: Session
  /** The first stream that the agent opened. */
  control: MuxStream | undefined

  constructor(transport: Duplex, ack: Ack | undefined = admitted) {
    super()
    this.session = new Session(transport, { role: 'server', pingIntervalMs: 0 })
    this.session.on('stream', (stream) => {
      this.control ??= stream
      if (stream === this.control) this.#listen(stream, ack)
    })
  }

  say(message: KnownMessage | string): void {
    this.control?.write(typeof message === 'string' ? message : formatMessage(message))
  }

  /** A data stream for this name. */
  open(hostname: string): MuxStream {
    const stream = this.session.open()
    stream.on('error', () => {})
    stream.write(encodePreamble({ hostname }))
    return stream
  }

  #listen(control: MuxStream, ack: Ack | undefined): void {
    const lines = new LineDecoder()
    control.on('error', () => {})
    control.on('end', () => control.end())
    control.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) {
        const message = parseMessage(line)
        this.emit('message', message)
        if (message.type === 'register' && ack) this.say(ack)
      }
    })
  }
}

export const admitted: Ack = { type: 'ack', ok: true, capabilities: [], session: 's-1' }

export function refusal(error: string, code?: string): Ack {
  return { type: 'ack', ok: false, capabilities: [], error, ...(code !== undefined && { code }) }
}
