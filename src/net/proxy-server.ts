import type { HostPort } from './address.ts'

/** Who makes connections for us, where we are not let out ourselves. It looks the names up, too. */
export interface ProxyServer extends HostPort {
  /** By CONNECT (RFC 9110 §9.3.6), or by SOCKS5 (RFC 1928). */
  readonly kind: 'http' | 'socks5'
  readonly credentials?: ProxyCredentials | undefined
}

export interface ProxyCredentials {
  readonly username: string
  /** Only whoever needs it asks for it. */
  readonly password: { reveal(): string }
}
