import { formatHostPort } from '../net/address.ts'
import { TransportError } from './errors.ts'

/** What was dialled. */
export interface DialPlace {
  readonly host: string
  readonly port: number
  /** The name that is asked for (SNI) and that the certificate must be for. Default: `host`. */
  readonly servername?: string | undefined
  /** What a person can do about some of the failures. Default: an agent's. */
  readonly remedies?: Remedies
}

/** In the words of what that person has typed. */
export interface Remedies {
  /** The certificate is not from a CA that is trusted here. */
  readonly unknownCa: string
  /** The certificate is for another name. */
  readonly otherName: string
  /** There is no certificate for the name. */
  readonly unknownName: string
  /** Somebody answers, but not as a gateway would. */
  readonly noGateway: string
}

const agentRemedies: Remedies = {
  unknownCa: "set ca_file to the gateway's CA certificate (or skip_tls_verify: true, for a test)",
  otherName: 'use a name in tunnel_addr that it is for',
  unknownName: 'use its TUNNEL_HOST as the host name',
  noGateway: "check that this is the gateway's tunnel port",
}

export type DialStep = 'proxy' | 'name look-up' | 'connection' | 'TLS handshake'

export function dialTooLate(at: DialPlace, step: DialStep, timeoutMs: number): TransportError {
  const remedy = {
    proxy: 'check the address of the proxy, and that it lets you reach the gateway',
    'name look-up': 'check the name servers of this machine',
    connection: 'check the address, and that no firewall drops it',
    'TLS handshake': (at.remedies ?? agentRemedies).noGateway,
  }[step]
  const text = `${place(at)} did not answer within ${timeoutMs / 1000} s (${step}): ${remedy}`
  return new TransportError('TRANSPORT_TIMEOUT', text)
}

/** What the error means that a socket failed with, and what to do about it. */
export function dialFailure(cause: Error, at: DialPlace, step: DialStep): TransportError {
  const { host, servername = host, remedies = agentRemedies } = at
  const code = 'code' in cause ? String(cause.code) : ''
  const certificate = (problem: string) =>
    new TransportError('TRANSPORT_CERTIFICATE', `${place(at)}: ${problem}`, { cause })
  const failed = (problem: string) =>
    new TransportError('TRANSPORT_DIAL_FAILED', `${place(at)} ${problem}`, { cause })

  if (UNKNOWN_CA.has(code)) {
    return certificate(
      `its certificate is not from a CA that is trusted here: ${remedies.unknownCa}`,
    )
  }
  switch (code) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return certificate(
        `its certificate is for ${namesIn(cause)}, not for ${servername}: ${remedies.otherName}`,
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
      return failed(`has no certificate for ${servername}: ${remedies.unknownName}`)
    case 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR':
      return failed(`failed to show a certificate for ${servername}: its log says why`)
    case 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL':
      return failed(`takes none of the protocols that were offered (ALPN) for ${servername}`)
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'EPROTO':
      return failed(`does not speak TLS: ${remedies.noGateway}`)
  }
  if (step === 'TLS handshake' && (code === 'ECONNRESET' || code === '')) {
    return failed(`ended the connection during the TLS handshake: ${remedies.noGateway}`)
  }
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

function place({ host, port }: DialPlace): string {
  return formatHostPort({ host, port })
}
