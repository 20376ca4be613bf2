import { setMaxListeners } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Logger } from '../log.ts'
import { formatHostPort } from '../net/address.ts'
import { closeServer, listen } from '../net/listen.ts'
import { reset } from '../net/reset.ts'
import type { Dial } from '../transport/transport.ts'
import { join } from './connect.ts'
import { ClientError } from './errors.ts'

export interface LocalPortOptions {
  /** Opens a connection to the tunnel: one for each that comes to the port. */
  readonly dial: Dial
  readonly log: Logger
  /** How long running connections may go on after `close()`. */
  readonly graceMs?: number
}

/** A port on this machine that leads to a tunnel, for clients that bring no TLS. */
export class LocalPort {
  readonly #server: Server
  readonly #dial: Dial
  readonly #log: Logger
  readonly #graceMs: number
  readonly #running = new Set<Promise<void>>()
  readonly #cutting = new AbortController()

  constructor({ dial, log, graceMs = 10_000 }: LocalPortOptions) {
    this.#dial = dial
    this.#log = log
    this.#graceMs = graceMs
    setMaxListeners(0, this.#cutting.signal) // one a connection
    const options = { allowHalfOpen: true, pauseOnConnect: true, noDelay: true, keepAlive: true }
    this.#server = createServer(options, (socket) => {
      const serving = this.#serve(socket).finally(() => this.#running.delete(serving))
      this.#running.add(serving)
    })
  }

  /** @throws NetError, as `listen` does. */
  listen(at: { host: string; port: number }): Promise<AddressInfo> {
    return listen(this.#server, at)
  }

  /** Takes no more connections, and waits for those that run; after the grace period it cuts them off. */
  async close(): Promise<void> {
    const closed = closeServer(this.#server)
    const stopped = new ClientError('CLIENT_CLOSED', 'stopped, with connections still open')
    const timer = setTimeout(() => this.#cutting.abort(stopped), this.#graceMs)
    await Promise.all(this.#running)
    clearTimeout(timer)
    await closed
  }

  /** Never rejects. */
  async #serve(socket: Socket): Promise<void> {
    socket.on('error', () => {}) // also while the tunnel is dialled
    const { remoteAddress: host = '', remotePort: port = 0 } = socket
    const from = formatHostPort({ host, port })
    const startMs = performance.now()
    this.#log.info('connection opened', { from })
    try {
      const remote = await this.#dial(this.#cutting.signal)
      await join(remote, socket, this.#cutting.signal)
      const { bytesRead, bytesWritten } = socket
      const durationMs = Math.round(performance.now() - startMs)
      this.#log.info('connection closed', { from, bytesRead, bytesWritten, durationMs })
    } catch (error) {
      reset(socket, error as Error)
      this.#log.warn('connection failed', { from, ...told(error) })
    }
  }
}

function told(error: unknown) {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return { code, reason: message }
}
