import type { Duplex } from 'node:stream'
import { setImmediate } from 'node:timers'
import { TLSSocket } from 'node:tls'
import { reset } from '../net/reset.ts'
import { wasReset } from '../net/was-reset.ts'
import { ClientError } from './errors.ts'

/** How long a server may be silent behind the last request: as long as a visitor's connection may. */
const lingerMs = 120_000

/**
 * Joins a stream and the HTTP server that it is for. One of them breaking resets the other. Resolves
 * once both are closed; never rejects.
 *
 * Not `splice`, for two things that servers do:
 *
 * - They answer while the request is still being sent ("413", then close): the answer must get
 *   through. So once the server has ended its half, or takes no more, what is sent to it is discarded;
 *   and a server that breaks off is heard to its last byte first.
 * - They take the end of a request's connection for a visitor who has left, and drop the answer (Node,
 *   Go and nginx do). A Go gateway ends every stream behind its one request. So the stream's end is
 *   passed on only where the server has switched to another protocol, and with it to its rules.
 *
 * Both must have a listener for 'error'.
 */
export function exchange(stream: Duplex, server: Duplex): Promise<void> {
  withholdEnd(stream, server)
  const hasRefused = outliveFailedWrites(server)
  stream.pipe(server, { end: false })
  server.pipe(stream, { end: false })
  const serverEnded = () => {
    if (server.errored !== null || wasReset(server) || hasRefused()) destroyBehind(stream, null)
    else stream.end()
    stream.unpipe(server)
    stream.resume()
    server.destroy()
  }
  // Under TLS `wasReset` may not be asked within the event.
  server.once('end', server instanceof TLSSocket ? () => setImmediate(serverEnded) : serverEnded)
  const serverClosed = whenClosed(server, () => {
    if (!server.readableEnded) destroyBehind(stream, server.errored)
  })
  const streamClosed = whenClosed(stream, () => {
    if (stream.readableEnded) server.destroy()
    else reset(server, new ClientError('CLIENT_CLOSED', 'the stream was reset'))
  })
  return Promise.all([serverClosed, streamClosed]).then(() => {})
}

/**
 * For a write that fails Node closes the connection at once, and what came over it is not read any more. So
 * nobody is told of it but the caller, when it asks; what the server has said ends as it ends.
 */
function outliveFailedWrites(server: Duplex): () => boolean {
  let hasFailed = false
  const quietly = (callback: (error?: Error | null) => void) => (error?: Error | null) => {
    if (error) hasFailed = true
    callback()
  }
  const write = server._write.bind(server)
  server._write = (chunk, encoding, callback) => write(chunk, encoding, quietly(callback))
  const writev = server._writev?.bind(server)
  if (writev) server._writev = (chunks, callback) => writev(chunks, quietly(callback))
  return () => hasFailed
}

/** The server hears of the stream's end once it has answered 101; otherwise it is left alone until it ends, or falls silent. */
function withholdEnd(stream: Duplex, server: Duplex): void {
  let isSwitched = false
  server.once('data', (head: Buffer) => {
    isSwitched = head.toString('latin1', 9, 12) === '101' // behind `HTTP/1.1 `
    if (isSwitched && stream.readableEnded) server.end()
  })
  stream.once('end', () => {
    if (isSwitched) server.end()
    else destroyWhenSilent(server)
  })
}

function destroyWhenSilent(server: Duplex): void {
  if (server.destroyed) return
  const giveUp = () => {
    server.destroy(new ClientError('CLIENT_CLOSED', `the target was silent for ${lingerMs} ms`))
  }
  let timer = setTimeout(giveUp, lingerMs)
  server.on('data', () => {
    clearTimeout(timer)
    timer = setTimeout(giveUp, lingerMs)
  })
  server.once('close', () => clearTimeout(timer))
}

/** Calls back and resolves when the stream is closed; calls back at once if it is already. */
function whenClosed(stream: Duplex, callback: () => void): Promise<void> {
  return new Promise((resolve) => {
    const onClose = () => {
      callback()
      resolve()
    }
    if (stream.closed) onClose()
    else stream.once('close', onClose)
  })
}

/** Destroys a stream once all that was written to it has gone out. */
function destroyBehind(stream: Duplex, error: Error | null): void {
  stream.write(Buffer.alloc(0), () => stream.destroy(error ?? undefined))
}
