import type { EventEmitter } from 'node:events'

/**
 * For connections whose errors somebody else tells: their close, mostly. One listener for all of them: one made in
 * place would keep everything alive that its surroundings refer to, for as long as the connection lasts.
 */
export function ignoreErrors(connection: EventEmitter): void {
  connection.on('error', ignore)
}

function ignore(): void {}
