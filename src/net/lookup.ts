import dns from 'node:dns'
import type { LookupFunction } from 'node:net'

/**
 * The system's resolver, for `net.connect`; but names below `.localhost` that it does not know are this
 * machine, as RFC 6761 §6.3 has it. Not every resolver does so, in containers least of all.
 */
export const lookup: LookupFunction = (hostname, options, callback) => {
  dns.lookup(hostname, options, (error, address, family) => {
    if (error === null || !/\.localhost\.?$/i.test(hostname)) callback(error, address, family)
    else if (options.all) callback(null, loopback)
    else callback(null, loopback[0].address, loopback[0].family)
  })
}

// IPv4 first: on a machine without IPv6 the other one fails at once.
const loopback = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
] as const satisfies dns.LookupAddress[]
