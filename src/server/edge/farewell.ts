import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'

/** How long a peer may take to read our last words. */
const lingerMs = 2_000

/**
 * Sends last words and closes. What the peer still sends is read and dropped meanwhile: closing
 * over unread bytes would make the kernel send a reset, and that can overtake the words.
 */
export function sayAndClose(socket: Socket, words: Buffer | string): void {
  const deadline = setTimeout(() => socket.destroy(), lingerMs)
  socket.once('close', () => clearTimeout(deadline))
  socket.on('error', () => {})
  socket.once('end', () => socket.destroySoon())
  socket.end(words)
  socket.resume()
}

/** A response without the help of an http server: for what is no request, or no longer one. */
export function plainResponse(status: number, text: string): string {
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Connection: close',
    '',
    text,
  ].join('\r\n')
}

/** In TLS: the message is broken. */
export const decodeError = alert(50)
/** In TLS: nobody here has that name. */
export const unrecognizedName = alert(112)

// RFC 8446 §6: a record of type alert (21), legacy version 1.2, two bytes: fatal (2), and why.
function alert(description: number): Buffer {
  return Buffer.from([21, 3, 3, 0, 2, 2, description])
}
