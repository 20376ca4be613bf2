import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { ignoreErrors } from '../net/ignore-errors.ts'
import type { TargetProtocol } from '../protocol/messages.ts'
import { ClientError } from './errors.ts'

/** The local service behind a route. */
export type Target = Place & {
  /** As it was typed; for logs, and what the gateway is told. */
  readonly text: string
  readonly tls?: TargetTls
}

/** Where a target listens: by TCP, or at a path of this machine. */
export type Place = { readonly host: string; readonly port: number } | { readonly path: string }

export interface TargetTls {
  /** To ask for, and to find in the certificate, if it is not the target's host. */
  readonly serverName?: string
  readonly verify: boolean
  /** PEM; in place of the public CAs. */
  readonly ca?: string
}

/** What is dialled, and for whom. */
export interface Dialled {
  readonly hostname: string
  readonly target: Target
  readonly protocol?: TargetProtocol
}

export type Connect = (options: net.NetConnectOpts) => net.Socket

/** Longer than any honest peer needs, shorter than a visitor's patience; TLS included. */
const dialTimeoutMs = 10_000

/**
 * A connection to the route's target; given up as soon as the stream is.
 * @throws ClientError CLIENT_TARGET_UNREACHABLE, CLIENT_TARGET_UNTRUSTED
 */
export function dialTarget(
  stream: Duplex,
  dialled: Dialled,
  connect: Connect = net.connect,
): Promise<net.Socket> {
  const { target } = dialled
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...('path' in target ? { path: target.path } : { host: target.host, port: target.port }),
      allowHalfOpen: true,
      autoSelectFamily: true, // localhost is ::1 for one service and 127.0.0.1 for another
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    })
    /** What stands on the socket, once it does. */
    let top = socket
    const timer = setTimeout(() => {
      top.destroy(new Error(`no connection after ${dialTimeoutMs} ms`))
    }, dialTimeoutMs)
    stream.once('close', giveUp)
    watch(socket)
    socket.once('connect', () => {
      if (target.tls === undefined) return settle(() => resolve(socket))
      const secured = secure(socket, target.tls, dialled)
      top = secured
      watch(secured)
      secured.once('secureConnect', () => {
        const problem = agreementProblem(secured, dialled)
        if (problem === undefined) settle(() => resolve(secured))
        else secured.destroy(problem)
      })
    })

    function watch(each: net.Socket): void {
      ignoreErrors(each) // also for the time until the splice listens
      each.on('error', onError)
    }

    function giveUp(): void {
      top.destroy(new Error('the stream was reset'))
    }

    function onError(cause: Error): void {
      settle(() => reject(dialFailure(cause, dialled)))
    }

    function settle(outcome: () => void): void {
      clearTimeout(timer)
      stream.off('close', giveUp)
      for (const each of [socket, top]) each.off('error', onError)
      outcome()
    }
  })
}

function secure(
  socket: net.Socket,
  { serverName, verify, ca }: TargetTls,
  { target, protocol }: Dialled,
): tls.TLSSocket {
  const name = serverName ?? ('host' in target ? target.host : '')
  return tls.connect({
    socket,
    host: name,
    // RFC 6066 §3: an address is no server name.
    ...(net.isIP(name) === 0 && { servername: name }),
    ...(ca !== undefined && { ca }),
    rejectUnauthorized: verify,
    ALPNProtocols: [protocol === 'h2' ? 'h2' : 'http/1.1'],
  })
}

/** A target that does not know ALPN speaks HTTP/1.1. */
function agreementProblem({ alpnProtocol }: tls.TLSSocket, { protocol }: Dialled) {
  if (protocol !== 'h2' || alpnProtocol === 'h2') return undefined
  return new Error('the target speaks no HTTP/2: remove target_http2')
}

function dialFailure(cause: Error, { target, hostname }: Dialled): ClientError {
  const failed = `cannot reach ${target.text} for ${hostname}: ${describe(cause)}`
  return isDistrust(cause)
    ? new ClientError(
        'CLIENT_TARGET_UNTRUSTED',
        `${failed}; name its CA in target_ca_file or its name in target_sni, or set target_verify: false`,
        { cause },
      )
    : new ClientError('CLIENT_TARGET_UNREACHABLE', `${failed}; is the service up?`, { cause })
}

/** OpenSSL's results of a verification, as Node names them (`X509_V_ERR_…`, without that), and Node's own. */
function isDistrust(error: NodeJS.ErrnoException): boolean {
  return /^ERR_TLS_CERT|^CERT_|_CERT|^UNABLE_TO_/.test(error.code ?? '')
}

/** Of a dial that tried several addresses, Node's own error has no message. */
function describe(error: Error): string {
  if (!(error instanceof AggregateError)) return error.message
  return error.errors.map((each: Error) => each.message).join(', ')
}
