import type { Socket } from 'node:net'
import { peek } from '../../net/peek.ts'
import {
  type Addresses,
  proxyHeaderLimitBytes,
  readProxyHeader,
} from '../../protocol/proxy-protocol.ts'
import { ServerError } from '../errors.ts'

/** HAProxy's own figure for what it accepts. */
const timeoutMs = 5_000

/**
 * Takes the PROXY header, version 1 or 2, off a connection that must begin with one, and leaves the rest
 * as `peek` does. Undefined where the proxy speaks for itself, as in its health checks.
 * @throws ServerError SERVER_PROXY_HEADER, or what `peek` throws; the socket is the caller's to close.
 */
export async function takeProxyHeader(socket: Socket): Promise<Addresses | undefined> {
  // A reader that has seen all it may wait for knows by then: the limit is never reached with 'partial'.
  const limits = { limitBytes: 2 * proxyHeaderLimitBytes, timeoutMs }
  const header = await peek(socket, decided, limits)
  if (header.kind !== 'header') {
    const problem = header.kind === 'malformed' ? header.reason : 'it does not begin with one'
    throw new ServerError('SERVER_PROXY_HEADER', problem)
  }
  socket.read(header.lengthBytes)
  return header.addresses
}

function decided(bytes: Buffer) {
  const read = readProxyHeader(bytes)
  return read.kind === 'partial' ? undefined : read
}
