import dns from 'node:dns'
import type { LookupFunction } from 'node:net'

/**
 * The system's resolver, for `net.connect`; but names below `.localhost` are this machine, and nobody is asked
 * for them (RFC 6761 §6.3). Not every resolver knows, in containers least of all, and some take their time.
 */
export const lookup: LookupFunction = (hostname, options, callback) => {
  if (!/\.localhost\.?$/i.test(hostname)) dns.lookup(hostname, options, callback)
  else if (options.all) process.nextTick(callback, null, loopback)
  else process.nextTick(callback, null, loopback[0].address, loopback[0].family)
}

// IPv4 first: on a machine without IPv6 the other one fails at once.
const loopback = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
] as const satisfies dns.LookupAddress[]
