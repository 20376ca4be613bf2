import type { Duplex } from 'node:stream'

/**
 * Opens the pipe on which an agent talks to its gateway: TLS today (`dialTls`), a WebSocket later.
 *
 * The pipe that it gives is connected, encrypted, and its peer is verified as far as the options
 * asked for that. From then on the caller owns it: attaches its `error` listener at once, and ends
 * or destroys it. An aborted `signal` ends the dialling, not a pipe that was handed over; the promise
 * is then rejected with the signal's reason.
 * @throws TransportError TRANSPORT_DIAL_FAILED, TRANSPORT_TIMEOUT, TRANSPORT_CERTIFICATE.
 */
export type Dial = (signal: AbortSignal) => Promise<Duplex>
