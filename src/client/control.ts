import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { ProtocolError } from '../protocol/errors.ts'
import { LineDecoder } from '../protocol/lines.ts'
import {
  type Ack,
  type End,
  explainRefusal,
  formatMessage,
  isFinalRefusal,
  type Message,
  type Outcome,
  parseMessage,
  type Requests,
  type Update,
  type Updated,
} from '../protocol/messages.ts'
import { ClientError } from './errors.ts'

export interface ControlEvents {
  /** The gateway has admitted us. */
  admit: [ack: Ack]
  /** Another session of ours has taken over; the gateway's go-away follows. */
  replaced: []
  /** What visitors asked for, where we have said that we want to know. */
  requests: [requests: Requests]
  /** The tunnel must end: the gateway refused us, broke the protocol, fell silent, or ended the stream. Once. */
  failure: [error: ClientError]
}

/** How long the gateway may take to answer the registration. */
const ackTimeoutMs = 10_000
/** A gateway sends a heartbeat every 15 s: two may be lost, not more. */
const silenceTimeoutMs = 40_000
/** How long it may take to open and to claim what an update asks for. */
const updateTimeoutMs = 10_000
/** How long what has arrived may take to be read. */
const unreadMs = 500

/** The agent's end of the control stream: registers, then answers heartbeats. */
export class Control extends EventEmitter<ControlEvents> {
  readonly #stream: Duplex
  readonly #lines = new LineDecoder()
  #deadline: NodeJS.Timeout | undefined
  #onUpdated: ((answer: Updated | undefined) => void) | undefined
  #state: 'registering' | 'admitted' | 'released' | 'ended' = 'registering'

  /** `register` is the formatted message. */
  constructor(stream: Duplex, register: string) {
    super()
    this.#stream = stream
    stream.on('data', (chunk: Buffer) => this.#receive(chunk))
    stream.on('end', () => this.#lost('it ended the control stream'))
    stream.on('error', (cause) => this.#lost(cause.message, cause))
    stream.write(register)
    this.#expect(noAnswer(), ackTimeoutMs)
  }

  /**
   * Asks for other tunnels, and gives the answer.
   * @throws ClientError CLIENT_CLOSED when there is none, as the tunnel ends; ProtocolError PROTOCOL_LINE_TOO_LONG.
   */
  async update(tunnels: Update['tunnels']): Promise<Updated> {
    if (this.#state !== 'admitted') throw noUpdate()
    this.#stream.write(formatMessage({ type: 'update', tunnels }))
    const deadline = setTimeout(() => {
      const text = `the gateway did not answer an update for ${updateTimeoutMs / 1000} s`
      this.#fail(new ClientError('CLIENT_GATEWAY_SILENT', text))
    }, updateTimeoutMs)
    try {
      const answer = await new Promise<Updated | undefined>(
        (resolve) => (this.#onUpdated = resolve),
      )
      if (answer === undefined) throw noUpdate()
      return answer
    } finally {
      clearTimeout(deadline)
    }
  }

  /** From now on neither silence nor the stream's end is a failure: one of the two sides is leaving. */
  release(): void {
    if (this.#state === 'admitted') this.#become('released')
  }

  /** Ends our half, and takes no notice of the other any more. */
  end(): void {
    this.#become('ended')
    this.#stream.end()
  }

  #receive(chunk: Buffer): void {
    try {
      for (const line of this.#lines.push(chunk)) this.#handle(parseMessage(line))
    } catch (cause) {
      if (!(cause instanceof ProtocolError)) throw cause
      const message = `the gateway broke the protocol: ${cause.message}`
      this.#fail(new ClientError('CLIENT_GATEWAY_BROKEN', message, { cause }))
    }
  }

  /** What a gateway has no reason to send, and what a newer one may, is ignored. */
  #handle(message: Message): void {
    if (this.#state === 'ended') return
    if (message.type === 'ack' && this.#state === 'registering') this.#answered(message)
    else if (message.type === 'ping') this.#heartbeat()
    else if (message.type === 'updated') this.#onUpdated?.(message)
    else if (message.type === 'replaced') this.emit('replaced')
    else if (message.type === 'requests') this.emit('requests', message)
    else if (message.type === 'end') this.#fail(ended(message))
  }

  #answered(ack: Ack): void {
    if (!ack.ok) return this.#fail(refused(ack))
    this.#become('admitted')
    this.#awaitHeartbeat()
    this.emit('admit', ack)
  }

  #heartbeat(): void {
    // A gateway that does not read its pongs gets no more of them.
    if (this.#stream.writable && !this.#stream.writableNeedDrain) {
      this.#stream.write(formatMessage({ type: 'pong', ts: Date.now() }))
    }
    if (this.#state === 'admitted') this.#awaitHeartbeat()
  }

  #awaitHeartbeat(): void {
    const text = `the gateway sent no heartbeat for ${silenceTimeoutMs / 1000} s`
    this.#expect(new ClientError('CLIENT_GATEWAY_SILENT', text), silenceTimeoutMs)
  }

  /** Fails with the error, unless the state changes or this is called again in time. */
  #expect(error: ClientError, timeoutMs: number): void {
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => {
      // It may be here, and unread: this process was stopped, or the machine asleep.
      this.#deadline = setTimeout(() => this.#fail(error), unreadMs)
    }, timeoutMs)
  }

  #lost(reason: string, cause?: Error): void {
    if (this.#state !== 'released') this.#fail(gatewayGone(reason, cause))
  }

  #fail(error: ClientError): void {
    if (this.#state === 'ended') return
    this.#become('ended')
    this.emit('failure', error)
  }

  #become(state: 'admitted' | 'released' | 'ended'): void {
    this.#state = state
    clearTimeout(this.#deadline)
    this.#onUpdated?.(undefined)
  }
}

function noUpdate(): ClientError {
  return new ClientError('CLIENT_CLOSED', 'the tunnel ended before it was changed')
}

export function noAnswer(cause?: Error): ClientError {
  const text = `the gateway did not answer the registration for ${ackTimeoutMs / 1000} s`
  return new ClientError('CLIENT_NO_ANSWER', text, { cause })
}

export function gatewayGone(reason: string, cause?: Error): ClientError {
  return new ClientError('CLIENT_GATEWAY_GONE', `the gateway is gone: ${reason}`, { cause })
}

/** `what` was asked for. */
export function refused(outcome: Outcome & Pick<Ack, 'ts'>, what = 'registration'): ClientError {
  const text = shown(explainRefusal(outcome))
  const { code, ts: gatewayTimeMs } = outcome
  const refusal = { text, code, isFinal: isFinalRefusal(outcome), gatewayTimeMs }
  return new ClientError('CLIENT_REFUSED', `the gateway refused the ${what}: ${text}`, { refusal })
}

/** Of a token that has expired the next registration may bring a new one, and decides. */
function ended(end: End): ClientError {
  const text = shown(explainRefusal(end))
  const isFinal = isFinalRefusal(end) && end.code !== 'TOKEN_EXPIRED'
  const refusal = { text, code: end.code, isFinal }
  return new ClientError('CLIENT_ENDED', `the gateway ended the session: ${text}`, { refusal })
}

function shown(text: string): string {
  return text.slice(0, 300)
}
