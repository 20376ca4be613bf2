import { isIP } from 'node:net'
import { checkServerIdentity, connect, type TLSSocket } from 'node:tls'
import { formatHostPort } from '../net/address.ts'
import { TransportError } from './errors.ts'

export interface DialTlsOptions {
  readonly host: string
  readonly port: number
  /** The name that is asked for (SNI) and that the certificate must be for. Default: `host`. */
  readonly servername?: string | undefined
  /** PEM, and checked already (tls takes any text); instead of the CAs that Node knows, not beside them. */
  readonly ca?: string | Buffer | undefined
  /** False takes whatever certificate comes: whoever is on the way can read and change everything. */
  readonly verify?: boolean
  /** For name look-up, connection and handshake together. */
  readonly timeoutMs?: number
  /** After how long a silence the kernel starts to ask whether the peer's machine is still there. */
  readonly keepAliveMs?: number
}

/** A `Dial` over TLS 1.2 or better. What it throws says which step failed, and what to do about it. */
export function dialTls(options: DialTlsOptions): (signal: AbortSignal) => Promise<TLSSocket> {
  return (signal) => dial(options, signal)
}

async function dial(options: DialTlsOptions, signal: AbortSignal): Promise<TLSSocket> {
  signal.throwIfAborted()
  const { host, port, servername = host, ca, verify = true, timeoutMs = 10_000 } = options
  const socket = connect({
    host,
    port,
    // RFC 6066 §3: an address is no server name. It may still be in the certificate.
    ...(isIP(servername) === 0 ? { servername } : {}),
    ...(ca === undefined ? {} : { ca }),
    checkServerIdentity: (_, certificate) => checkServerIdentity(servername, certificate),
    rejectUnauthorized: verify,
    minVersion: 'TLSv1.2',
  })
  let step: Step = isIP(host) === 0 ? 'name look-up' : 'connection'
  socket.once('lookup', () => (step = 'connection'))
  socket.once('connect', () => (step = 'TLS handshake'))
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => settle(tooLate(options, step, timeoutMs)), timeoutMs)
    const onAbort = () => settle(signal.reason)
    const onSecure = () => settle()
    const onError = (error: Error) => settle(translate(error, options, step))
    const onClose = () => settle(endedEarly(options))
    const settle = (problem?: unknown) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      socket.off('secureConnect', onSecure).off('close', onClose)
      if (problem === undefined) {
        socket.off('error', onError)
        resolve()
      } else {
        // onError stays: what a socket says that nobody wants any more is no news.
        socket.destroy()
        reject(problem)
      }
    }
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on('secureConnect', onSecure).on('error', onError).on('close', onClose)
  })
  socket.setNoDelay(true)
  socket.setKeepAlive(true, options.keepAliveMs ?? 15_000)
  return socket
}

type Step = 'name look-up' | 'connection' | 'TLS handshake'

function tooLate(options: DialTlsOptions, step: Step, timeoutMs: number): TransportError {
  const remedy = {
    'name look-up': 'check the name servers of this machine',
    connection: 'check the address, and that no firewall drops it',
    'TLS handshake': "check that this is the gateway's tunnel port",
  }[step]
  const text = `${place(options)} did not answer within ${timeoutMs / 1000} s (${step}): ${remedy}`
  return new TransportError('TRANSPORT_TIMEOUT', text)
}

function endedEarly(options: DialTlsOptions, cause?: unknown): TransportError {
  const text = `${place(options)} ended the connection during the TLS handshake: check that this is the gateway's tunnel port`
  return new TransportError('TRANSPORT_DIAL_FAILED', text, { cause })
}

function translate(cause: Error, options: DialTlsOptions, step: Step): TransportError {
  const { host, servername = host } = options
  const code = 'code' in cause ? String(cause.code) : ''
  const certificate = (problem: string) =>
    new TransportError('TRANSPORT_CERTIFICATE', `${place(options)}: ${problem}`, { cause })
  const failed = (problem: string) =>
    new TransportError('TRANSPORT_DIAL_FAILED', `${place(options)} ${problem}`, { cause })

  if (UNKNOWN_CA.has(code)) {
    return certificate(
      `its certificate is not from a CA that is trusted here: set ca_file to the gateway's CA certificate (or skip_tls_verify: true, for a test)`,
    )
  }
  switch (code) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return certificate(
        `its certificate is for ${namesIn(cause)}, not for ${servername}: use a name in tunnel_addr that it is for`,
      )
    case 'CERT_HAS_EXPIRED':
      return certificate('its certificate has expired: renew it, or set the clock of this machine')
    case 'CERT_NOT_YET_VALID':
      return certificate('its certificate is not valid yet: set the clock of this machine')
    case 'ENOTFOUND':
      return failed('cannot be found: check the host name')
    case 'EAI_AGAIN':
      return failed('cannot be looked up now: check the name servers of this machine')
    case 'ECONNREFUSED':
      return failed('refused the connection: check that the gateway runs, and the port')
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return failed('cannot be reached from here: check the network of this machine')
    case 'ETIMEDOUT':
      return failed('did not answer: check the address, and that no firewall drops it')
    case 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME':
      return failed(`has no certificate for ${servername}: use its TUNNEL_HOST as the host name`)
    case 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR':
      return failed(`failed to show a certificate for ${servername}: its log says why`)
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'EPROTO':
      return failed("does not speak TLS: check that this is the gateway's tunnel port")
  }
  if (step === 'TLS handshake' && code === 'ECONNRESET') return endedEarly(options, cause)
  return failed(`could not be connected (${step}): ${cause.message.trim()}`)
}

/** Names of OpenSSL's verification results, as Node gives them (deps/ncrypto, X509ErrorCode). */
const UNKNOWN_CA = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'INVALID_CA',
])

/** `DNS:a.test, …`, from a certificate that nobody has verified: shortened, and made printable. */
function namesIn(error: Error): string {
  const certificate: unknown = 'cert' in error ? error.cert : undefined
  const names = (certificate as { subjectaltname?: string } | undefined)?.subjectaltname
  return names?.slice(0, 200).replace(/[^ -~]/g, '?') ?? 'no name'
}

function place({ host, port }: DialTlsOptions): string {
  return formatHostPort({ host, port })
}
