import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { canonicalHostname } from '../../net/hostname.ts'
import type { Connections } from './connections.ts'
import { type EdgeError, edgeErrors, sendError } from './error-page.ts'
import { valuesOf } from './headers.ts'

export interface HttpOptions {
  /** Whether the canonical hostname is one that visitors find at the https port. */
  readonly isKnown: (hostname: string) => boolean
  /** The https port. */
  readonly publicPort: () => number
  readonly headerLines: number
  readonly connections: Connections
}

/** The plain http port: sends visitors of known names to https, one request a connection. Not listening yet. */
export function createHttpRedirector(options: HttpOptions): Server {
  const server = createServer(
    {
      noDelay: true,
      maxHeaderSize: 16_384,
      headersTimeout: 10_000,
      requestTimeout: 10_000,
      connectionsCheckingInterval: 1_000,
      insecureHTTPParser: false,
    },
    (request, response) => {
      response.shouldKeepAlive = false
      response.on('error', () => {})
      try {
        answer(request, response, options)
      } catch {
        sendError(request, response, edgeErrors.badRequest) // a target that fits in no header
      }
    },
  )
  server.maxHeadersCount = 0 // Node's limit hides lines instead of refusing them
  server.timeout = 10_000
  server.prependListener('connection', (socket) => options.connections.add(socket))
  return server
}

function answer(request: IncomingMessage, response: ServerResponse, options: HttpOptions): void {
  const { isKnown, publicPort, headerLines } = options
  const hosts = valuesOf(request.rawHeaders, 'host')
  const host = canonicalHostname(hosts[0] ?? '')
  const { url = '' } = request
  let error: EdgeError | undefined
  if (request.rawHeaders.length > 2 * headerLines) error = edgeErrors.headerTooLarge
  else if (hosts.length !== 1 || host === undefined) error = edgeErrors.badHost
  else if (!url.startsWith('/') || url.includes('#')) error = edgeErrors.badRequest
  else if (!isKnown(host)) error = edgeErrors.hostUnknown
  if (error !== undefined) {
    sendError(request, response, error)
    return
  }
  const port = publicPort()
  const authority = port === 443 ? host : `${host}:${port}`
  // 308: the method and the body stay what they are (RFC 9110 §15.4.9).
  response.writeHead(308, { Location: `https://${authority}${url}`, 'Content-Length': 0 })
  response.end()
}
