/*
 * Who the visitor is, for the target: X-Forwarded-* and Forwarded (RFC 7239). They are made from the
 * connection. What a request says itself counts only where a proxy that we trust has sent it; from
 * anybody else such lines are dropped (`headers.ts`).
 */

import { isIP } from 'node:net'
import { canonicalHostname } from '../../net/hostname.ts'
import { valuesOf } from './headers.ts'

/** Addresses of proxies in front of us, whose word counts. */
export interface TrustedProxies {
  matches(address: string): boolean
}

/** Where a request comes from, as far as we believe it. */
export interface Provenance {
  /** The visitor's own address. */
  readonly address: string
  /** From the visitor's to that of who speaks to us, which are mostly one and the same. */
  readonly chain: readonly string[]
  /** What the proxy said of the request that it took; undefined where it said nothing. */
  readonly proto: string | undefined
  readonly host: string | undefined
  readonly port: string | undefined
}

/** `peer` is who speaks on the connection. */
export function provenanceOf(
  rawHeaders: readonly string[],
  peer: string,
  trusted: TrustedProxies,
): Provenance {
  if (!trusted.matches(peer)) {
    return { address: peer, chain: [peer], proto: undefined, host: undefined, port: undefined }
  }
  const said = addressesIn(rawHeaders)
  const chain = [...said, peer]
  // A proxy adds who spoke to it at the end: behind the last one that we trust is the visitor.
  const visitor = chain.findLastIndex((address) => !trusted.matches(address))
  const single = (name: string, isValid: (text: string) => boolean) => {
    const values = valuesOf(rawHeaders, name).filter(isValid)
    return values.length === 1 ? values[0] : undefined
  }
  return {
    address: chain[Math.max(visitor, 0)] ?? peer,
    chain,
    proto: single('x-forwarded-proto', (text) => /^https?$/.test(text)),
    host: single('x-forwarded-host', (text) => canonicalHostname(text) !== undefined),
    port: single('x-forwarded-port', (text) => /^[0-9]{1,5}$/.test(text)),
  }
}

/** The lines for the target; `host` is the Host line as it was sent, `port` the one visitors reach us at. */
export function forwardedLines(from: Provenance, host: string, port: number): string[] {
  const { chain, proto = 'https' } = from
  const shownHost = from.host ?? host
  const elements = chain.map((address) => `for=${nodeOf(address)}`).join(', ')
  const forwarded = `${elements};host=${quotedIfNeeded(shownHost)};proto=${proto}`
  return [
    'X-Forwarded-For',
    chain.join(', '),
    'X-Forwarded-Proto',
    proto,
    'X-Forwarded-Host',
    shownHost,
    'X-Forwarded-Port',
    from.port ?? String(port),
    'Forwarded',
    forwarded,
  ]
}

/** Those that a proxy names; of what comes before something that is no address, none. */
function addressesIn(rawHeaders: readonly string[]): string[] {
  const items = valuesOf(rawHeaders, 'x-forwarded-for').flatMap((value) => value.split(','))
  const nodes = items.length > 0 ? items : forwardedNodes(valuesOf(rawHeaders, 'forwarded'))
  const addresses = nodes.map(addressOf)
  return addresses.slice(addresses.lastIndexOf(undefined) + 1).slice(-longestChain) as string[]
}

/** The `for` of each element, in order. */
function forwardedNodes(values: readonly string[]): string[] {
  const elements = values.flatMap((value) => value.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? [])
  return elements.map((element) => /(?:^|;)\s*for="?([^;"]*)/i.exec(element)?.[1] ?? '')
}

/** `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`: some proxies write the port along. */
function addressOf(node: string): string | undefined {
  const text = node.trim()
  if (isIP(text) !== 0) return text
  const [, six, four] = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+))(?::[0-9]+)?$/i.exec(text) ?? []
  const address = six ?? four ?? ''
  return isIP(address) === 0 ? undefined : address
}

/** RFC 7239 §6: an IPv6 address in brackets, and so in quotes; what is gone has no address any more. */
function nodeOf(address: string): string {
  if (address === '') return 'unknown'
  return address.includes(':') ? `"[${address}]"` : address
}

function quotedIfNeeded(host: string): string {
  return host.includes(':') ? `"${host}"` : host
}

/** More proxies than any sane request has passed. */
const longestChain = 32
