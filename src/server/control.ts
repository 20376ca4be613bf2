import type { Duplex } from 'node:stream'
import { LineDecoder } from '../protocol/lines.ts'
import {
  formatMessage,
  type KnownMessage,
  type Message,
  parseMessage,
} from '../protocol/messages.ts'

/**
 * The messages of a control stream, until it ends; the peer waits for whoever reads. The stream
 * itself is left to its owner, so that a message that is none can still be answered.
 * @throws ProtocolError for what is no message, or the stream's own error.
 */
export async function* readMessages(stream: Duplex): AsyncGenerator<Message, void> {
  const lines = new LineDecoder()
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    for (const line of lines.push(chunk as Buffer)) yield parseMessage(line)
  }
}

/** Writes it if the stream still takes anything; one that is gone says so to its owner. */
export function sendMessage(stream: Duplex, message: KnownMessage): void {
  if (stream.writable) stream.write(formatMessage(message))
}

/** Writes it, and resolves when it is on its way; in a session that is stuck, after the time. */
export function sendOut(stream: Duplex, message: KnownMessage, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    if (!stream.writable) return resolve()
    stream.write(formatMessage(message), settleOnce(stream, timeoutMs, resolve))
  })
}

/** The same, and ends our half with it. */
export function sendLast(stream: Duplex, message: KnownMessage, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    stream.end(formatMessage(message), settleOnce(stream, timeoutMs, resolve))
  })
}

function settleOnce(stream: Duplex, timeoutMs: number, resolve: () => void): () => void {
  const timer = setTimeout(settle, timeoutMs)
  stream.once('close', settle)
  return settle

  function settle(): void {
    clearTimeout(timer)
    stream.off('close', settle)
    resolve()
  }
}
