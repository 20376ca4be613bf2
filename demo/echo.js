// @ts-check
import { createServer } from 'node:net'

/**
 * The private TCP service of the demo: says one line, then sends back what it gets. A visitor who
 * ends its half still gets the rest. Not listening yet; whoever made it closes it.
 */
export function createEcho() {
  return createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    socket.write('gotunnel demo: what you type comes back\n')
    socket.pipe(socket)
  })
}
