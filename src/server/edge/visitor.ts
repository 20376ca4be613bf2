import type { Socket } from 'node:net'
import type { Addresses } from '../../protocol/addresses.ts'
import type { Visitor } from '../upstream.ts'

/** Both ends of a visitor's connection; what is unknown, since the socket is gone, is '' and 0. */
export function visitorOf(socket: Socket): Visitor {
  return {
    remoteAddress: remoteAddressOf(socket),
    remotePort: socket.remotePort ?? 0,
    localAddress: plainAddress(socket.localAddress),
    localPort: socket.localPort ?? 0,
  }
}

/** Both ends, as a proxy in front of us names them. */
export function visitorFrom(addresses: Addresses): Visitor {
  const { remoteAddress, localAddress } = addresses
  return {
    ...addresses,
    remoteAddress: plainAddress(remoteAddress),
    localAddress: plainAddress(localAddress),
  }
}

function remoteAddressOf(socket: Socket): string {
  return plainAddress(socket.remoteAddress)
}

/** On a dual-stack listener IPv4 addresses arrive as `::ffff:192.0.2.1`. */
function plainAddress(address = ''): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
