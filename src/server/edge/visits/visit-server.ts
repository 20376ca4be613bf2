import type { TLSSocket } from 'node:tls'
import type { Visitor } from '../../upstream.ts'
import type { EdgeError } from '../error-page.ts'
import type { Visit } from './visit.ts'

/** Reads visitors' requests from connections that others accepted. */
export interface VisitServer {
  /** Takes a connection after its handshake. */
  accept(socket: TLSSocket, origin: Origin): void
  /** No requests after those that are being served; connections close as they become idle. */
  drain(): void
  /** The end; what is still being served is broken off. */
  close(): void
}

/** Where a visit comes from. */
export interface Origin {
  /** Canonical: the name the connection was made for. */
  readonly serverName: string
  /** Whether it may be used for this host as well. */
  readonly isShared: (host: string) => boolean
  readonly visitor: Visitor
}

export interface VisitServerOptions {
  /** Bytes of one request's header block. */
  readonly headerBytes: number
  readonly timeouts: VisitTimeouts
  /** One request a connection. */
  readonly isSingle?: boolean
  /** Serves a request, and calls its `done`. Never throws. */
  readonly serve: (visit: Visit, origin: Origin) => void
  /** Told of what was refused because it could not be read, and by what id its visitor was told. */
  readonly onUnreadable: (error: EdgeError, requestId: string, origin: Origin) => void
}

export interface VisitTimeouts {
  /** For a request's header, from its first byte; on a new connection from the handshake on. */
  readonly headerMs: number
  /** For a connection on which nothing moves, between requests and within them. */
  readonly idleMs: number
}
