import type { TLSSocket } from 'node:tls'
import { dnsNames } from '../../certs/certificate.ts'
import { matchesHostname } from '../../net/hostname.ts'
import type { Registry } from '../../registry/registry.ts'
import type { Route } from '../upstream.ts'

/**
 * Whether a connection made for one name may carry requests for another, as browsers try where they see
 * that one certificate is for both (RFC 9113 §9.1.1): if the same agent holds both, too. Otherwise the
 * visitor is told to make another connection.
 */
export class SharedConnection {
  readonly #socket: TLSSocket
  readonly #serverName: string
  readonly #registry: Registry<Route>
  /** Those of the certificate. */
  #names: readonly string[] | undefined
  /** Checked against the certificate; of names that one agent holds, so not without bound. */
  readonly #covered = new Map<string, boolean>()

  constructor(socket: TLSSocket, serverName: string, registry: Registry<Route>) {
    this.#socket = socket
    this.#serverName = serverName
    this.#registry = registry
  }

  isFor(host: string): boolean {
    const route = this.#registry.lookup(host)
    const own = this.#registry.lookup(this.#serverName)
    if (route === undefined || route.holder !== own?.holder) return false
    return route.mode === 'http' && own.mode === 'http' && this.#isCovered(host)
  }

  #isCovered(host: string): boolean {
    const known = this.#covered.get(host)
    if (known !== undefined) return known
    this.#names ??= namesOf(this.#socket)
    const isCovered = this.#names.some((pattern) => matchesHostname(pattern, host))
    this.#covered.set(host, isCovered)
    return isCovered
  }
}

function namesOf(socket: TLSSocket): string[] {
  const certificate = socket.getX509Certificate()
  return certificate === undefined ? [] : dnsNames(certificate)
}
