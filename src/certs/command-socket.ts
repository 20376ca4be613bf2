/*
 * How `gotunnel-server certs` reaches the gateway that runs: HTTP at a unix socket beside the keys. Who may
 * read those may order certificates; nobody else can connect.
 *
 *     GET  /certificates                what becomes of each name     → 200, CertificateList
 *     POST /certificates/NAME           a certificate, if there is none    → 200, OrderedCertificate
 *     POST /certificates/NAME?renew     a new one                                 or 409, OrderRefusal
 */
import { once } from 'node:events'
import { chmod, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { CertificateError, type CertificateErrorCode } from './errors.ts'
import { makePrivateDirectory } from './private-file.ts'
import type { CertificateStatus, IssuanceStatus } from './status.ts'

/** What the socket gives access to. */
export interface CommandTarget {
  list(): Promise<CertificateList>
  hasAtHand(hostname: string): Promise<boolean>
  order(hostname: string, options: { isRenewal: boolean }): Promise<{ notAfterMs: number }>
}

export interface CertificateList {
  readonly issuance: IssuanceStatus
  readonly certificates: readonly CertificateStatus[]
}

export interface OrderedCertificate {
  readonly notAfterMs: number
  /** It was made for this. */
  readonly isNew: boolean
}

export interface OrderRefusal {
  readonly code: CertificateErrorCode
  readonly message: string
}

/** Where the gateway listens that keeps its certificates there. */
export function commandPath(directory: string): string {
  return join(directory, 'gateway.sock')
}

/** Answers commands from now on, until it is closed. */
export class CommandSocket {
  readonly #server: Server

  private constructor(target: CommandTarget) {
    this.#server = createServer({ requestTimeout: 10_000 }, (request, response) => {
      answer(request.method, request.url, target).then(
        ({ status, body }) => {
          response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
          response.end(JSON.stringify(body))
        },
        () => response.destroy(),
      )
    })
  }

  /** @throws CertificateError CERT_SOCKET_FAILED, also where another gateway answers already. */
  static async open(directory: string, target: CommandTarget): Promise<CommandSocket> {
    const opened = new CommandSocket(target)
    const path = commandPath(directory)
    try {
      await opened.#listen(path)
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      const text = `no commands for certificates: ${reason}`
      throw new CertificateError('CERT_SOCKET_FAILED', text, { cause })
    }
    return opened
  }

  /** Cuts off who waits for an answer. */
  async close(): Promise<void> {
    if (!this.#server.listening) return
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }

  async #listen(path: string): Promise<void> {
    // A longer one would be cut off silently (unix(7), and less elsewhere).
    if (Buffer.byteLength(path) > LONGEST_PATH) throw new Error(`${path} is too long for a socket`)
    await makePrivateDirectory(dirname(path))
    await removeAbandoned(path)
    this.#server.listen(path)
    await once(this.#server, 'listening')
    await chmod(path, 0o600)
  }
}

const LONGEST_PATH = 103

/** What a gateway leaves that was killed. */
async function removeAbandoned(path: string): Promise<void> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') await rm(path, { force: true })
    return
  } finally {
    socket.destroy()
  }
  throw new Error(`another gateway runs with ${dirname(path)}, which is for one at a time`)
}

async function answer(method = '', url = '', target: CommandTarget) {
  const { pathname, searchParams } = new URL(url, 'http://gateway')
  const [, folder, name] = pathname.split('/')
  if (folder !== 'certificates') return { status: 404, body: null }
  if (method === 'GET' && name === undefined) return { status: 200, body: await target.list() }
  if (method === 'POST' && name !== undefined) {
    return order(decodeURIComponent(name), searchParams.has('renew'), target)
  }
  return { status: 405, body: null }
}

async function order(hostname: string, isRenewal: boolean, target: CommandTarget) {
  try {
    const isNew = isRenewal || !(await target.hasAtHand(hostname))
    const { notAfterMs } = await target.order(hostname, { isRenewal })
    return { status: 200, body: { notAfterMs, isNew } satisfies OrderedCertificate }
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error
    const { code, message } = error
    return { status: 409, body: { code, message } satisfies OrderRefusal }
  }
}
