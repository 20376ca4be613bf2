// Names come from strangers: the SNI of a ClientHello, a Host header, a register message. Node hands
// them on as they were sent (`../../etc/passwd`, `*.test`, `A.TEST.`), so every one of them passes
// through here before it becomes a map key, a path, a log field or an order for a certificate.

/**
 * The one form in which names are kept and compared: lower case, without port and trailing dot.
 * Undefined for whatever is not the name of a host: IP addresses, wildcards, underscores, anything
 * outside of ASCII (an IDN is its A-labels, `xn--…`). One label is enough: `localhost`.
 */
export function canonicalHostname(text: string): string | undefined {
  if (text.length > LONGEST_TEXT) return undefined
  const parts = FORM.exec(text)
  if (parts === null) return undefined
  const [, name = '', port] = parts
  if (name.length > LONGEST_NAME || Number(port ?? 0) > 65_535) return undefined
  const lastLabel = name.slice(name.lastIndexOf('.') + 1)
  if (NUMBER.test(lastLabel)) return undefined
  return name.toLowerCase()
}

/** `app.example.com` or `*.example.com`, in canonical form; `undefined` for anything else. */
export function canonicalPattern(text: string): string | undefined {
  const star = text.startsWith('*.') ? '*.' : ''
  const name = text.slice(star.length)
  // A port would be taken off, and then not be what was meant.
  const hostname = name.includes(':') ? undefined : canonicalHostname(name)
  return hostname && `${star}${hostname}`
}

/**
 * Whether the name is the pattern's: the same name, or exactly one label more than `*.example.com`.
 * Both are brought to canonical form first; what has none matches nothing.
 */
export function matchesHostname(pattern: string, name: string): boolean {
  const host = canonicalHostname(name)
  if (host === undefined) return false
  if (!pattern.startsWith('*.')) return canonicalHostname(pattern) === host
  const dot = host.indexOf('.')
  return dot > 0 && canonicalHostname(pattern.slice(2)) === host.slice(dot + 1)
}

const LONGEST_NAME = 253 // RFC 1035 §2.3.4: 255 octets on the wire, less a length and the root
const LONGEST_TEXT = LONGEST_NAME + '.:65535'.length

// RFC 1123 §2.1: letters, digits and hyphens, the hyphen never at an end; 1 to 63 of them (RFC 1035).
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
// No `u` flag beside `i`: with it U+212A, the Kelvin sign, would be a `k`.
const FORM = new RegExp(`^(${LABEL}(?:\\.${LABEL})*)\\.?(?::([0-9]{1,5}))?$`, 'i')
// A name whose last label is a number is an IPv4 address, or a broken one, to every browser and to
// getaddrinfo: 127.1, 0x7f000001, 1.2.3.08 (WHATWG URL, "ends in a number checker").
const NUMBER = /^(?:[0-9]+|0x[0-9a-f]*)$/i
