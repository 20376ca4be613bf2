/** The kinds of values people type. What each allows is in its first line. */
import { isIP } from 'node:net'
import { type HostPort, parseHostPort } from '../net/address.ts'
import { AddressRanges, parseAddressRange } from '../net/address-ranges.ts'
import { canonicalHostname, canonicalPattern } from '../net/hostname.ts'
import { PortRanges, parsePortRange } from '../net/port-ranges.ts'
import { type Kind, Refusal } from './field.ts'
import { Secret } from './secret.ts'

const passwordMinLength = 10

export const port: Kind<number> = {
  allowed: 'a port, 0 to 65535 (0: any free one)',
  parse: (text) => integerIn(text, 0, 65_535),
}

export const hostname: Kind<string> = {
  allowed: 'a host name, such as app.example.com',
  parse: (text) => canonicalHostname(text) && text,
}

/** A host name in its canonical form: what we compare with, and ask certificates for. */
export const canonicalName: Kind<string> = {
  allowed: hostname.allowed,
  parse: canonicalHostname,
}

export const ipAddress: Kind<string> = {
  allowed: 'an IP address of this machine, such as 0.0.0.0 or ::1',
  parse: (text) => (isIP(text) === 0 ? undefined : text),
}

/** Also one that leads nowhere but to this machine, by its name. */
export const listenHost: Kind<string> = {
  allowed: 'an IP address of this machine, or localhost',
  parse: (text) => (text === 'localhost' || isIP(text) !== 0 ? text : undefined),
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

/** Chosen by a person, and typed by one: guessing is slowed down. */
export const password: Kind<Secret> = {
  allowed: `a password of at least ${passwordMinLength} characters`,
  isSecret: true,
  parse(text) {
    const value = parseSecret(text)
    if (value instanceof Refusal || text.length >= passwordMinLength) return value
    return new Refusal(`must have at least ${passwordMinLength} characters`)
  },
}

export const flag: Kind<boolean> = {
  allowed: 'true or false',
  words: ['true', 'false'],
  parse(text) {
    if (/^(true|yes|on)$/i.test(text)) return true
    if (/^(false|no|off)$/i.test(text)) return false
    return undefined
  },
}

export const filePath: Kind<string> = {
  allowed: 'a path',
  parse: (text) => (text.includes('\0') ? undefined : text),
}

export const httpsUrl: Kind<string> = {
  allowed: 'an https:// URL',
  parse: (text) => (/^https:\/\/[^\s@]+$/.test(text) && URL.canParse(text) ? text : undefined),
}

/** As far as a CA cares. */
export const email: Kind<string> = {
  allowed: 'an e-mail address',
  parse: (text) => (/^[!-~]+@[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(text) ? text : undefined),
}

/** Letters, digits, `.`, `_` and `-`: what can be read aloud, logged and compared without a thought. */
export const identifier: Kind<string> = {
  allowed: 'up to 64 letters, digits, dots, hyphens and underscores',
  parse: (text) => (/^[\w.-]{1,64}$/.test(text) ? text : undefined),
}

export const shortText: Kind<string> = {
  allowed: 'a text of up to 255 characters',
  parse: (text) => (text.length <= 255 && !/[\x00-\x1f\x7f]/.test(text) ? text : undefined),
}

/** Whether it is strong enough is not asked here (see `auth/secret.ts`). */
export const secret: Kind<Secret> = {
  allowed: 'a secret of at least 32 bytes (gotunnel-server secret prints one)',
  isSecret: true,
  parse: parseSecret,
}

/** With commas between, so that a secret can be replaced while the one before still counts. */
export const secrets: Kind<readonly Secret[]> = {
  allowed: `${secret.allowed}, or several with commas between`,
  isSecret: true,
  parse(text) {
    const whole = parseSecret(text)
    if (whole instanceof Refusal) return whole
    const items = text.split(',').map((item) => item.trim())
    if (items.includes('')) return new Refusal('has a comma with no secret beside it')
    return items.map((item) => new Secret(item))
  },
}

export const token: Kind<Secret> = {
  allowed: 'a token from the owner of the gateway',
  isSecret: true,
  parse(text) {
    const value = parseSecret(text)
    if (value instanceof Refusal || /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)) return value
    return new Refusal('is no token: it has three parts of letters and digits, with dots between')
  },
}

/** As CAs give it out, in base64 of either alphabet. */
export const hmacKey: Kind<Secret> = {
  allowed: 'a key in base64url, as the CA gave it to you',
  isSecret: true,
  parse(text) {
    const isKey = /^[\w+/-]{16,}={0,2}$/.test(text.trim())
    return isKey ? new Secret(text.trim()) : undefined
  },
}

export function integer(options: { min: number; max: number; unit?: string }): Kind<number> {
  const { min, max, unit } = options
  return {
    allowed: `a whole number${unit ? ` of ${unit}` : ''}, ${min} to ${max}`,
    parse: (text) => integerIn(text, min, max),
  }
}

/** One of some words, in any case. What a later version will take is refused by name. */
export function choice<const Word extends string>(
  words: readonly Word[],
  refused: Readonly<Record<string, string>> = {},
): Kind<Word> {
  return {
    allowed:
      words.length === 1 ? `${words[0]}` : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`,
    words,
    parse(text) {
      const typed = text.toLowerCase()
      if (Object.hasOwn(refused, typed)) return new Refusal(`${refused[typed]}`)
      return words.find((word) => word === typed)
    },
  }
}

/** Texts with commas between, each of a kind of its own. */
export function listOf<Item, T>(
  allowed: string,
  parseItem: (text: string) => Item | undefined,
  collect: (items: readonly Item[]) => T | Refusal | undefined,
): Kind<T> {
  return {
    allowed,
    isList: true,
    parse(text) {
      const typed = text.split(',').map((item) => item.trim())
      const items = typed.flatMap((item) => parseItem(item) ?? [])
      if (items.length === typed.length) return collect(items)
      if (typed.length === 1) return undefined
      const wrong = typed.findIndex((item) => parseItem(item) === undefined)
      return new Refusal(`must be ${allowed}; number ${wrong + 1} of the list is not`)
    },
  }
}

/** What a token may be limited to. Each in canonical form. */
export const hostPatterns = listOf(
  'host names and wildcards such as app.example.com,*.alice.example.com',
  canonicalPattern,
  (patterns) => patterns,
)

export const portRanges = listOf(
  'ports and ranges of them, such as 2222,30000-30999',
  parsePortRange,
  (ranges) => new PortRanges(ranges),
)

export const addressRanges = listOf(
  'IP addresses and ranges of them, such as 192.0.2.1,10.0.0.0/8',
  parseAddressRange,
  (ranges) => new AddressRanges(ranges),
)

/** RFC 7301 §3.1; of its bytes only those that can be typed, and no comma. */
export const alpnNames = listOf(
  'names of protocols, such as postgresql or h2,http/1.1',
  (text) => (/^[!-~]{1,255}$/.test(text) ? text : undefined),
  // As many as the protocol takes.
  (names) => (names.length <= 16 ? names : new Refusal('has more than 16 names')),
)

/** In seconds; at most what a timer waits for, and the protocol carries. */
export const idleTime: Kind<number> = {
  allowed: 'seconds, or a time such as 90s, 10m or 2h, up to 24d (0: no limit)',
  parse(text) {
    const [, number = '', unit = 's'] = /^(\d{1,7})([smhd])?$/.exec(text) ?? []
    if (number === '') return undefined
    const seconds = Number(number) * (secondsOf[unit] ?? 1)
    return seconds <= 24 * 86_400 ? seconds : undefined
  },
}

/** In seconds. */
export const lifetime: Kind<number | 'never'> = {
  allowed: 'a time such as 90m, 12h or 30d, or never',
  parse(text) {
    if (text === 'never') return text
    const [, number = '', unit = ''] = /^(\d{1,5})([smhd])$/.exec(text) ?? []
    return number === '' || Number(number) === 0
      ? undefined
      : Number(number) * (secondsOf[unit] ?? 1)
  },
}

const secondsOf: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

export const gatewayAddresses = listOf(
  'host:port, such as tunnel.example.com:9443, or a list of them',
  (text) => parseHostPort(text, { defaultPort: 9443 }),
  (addresses) => addresses,
)

/** A tunnel is found by its name, so an address is none. */
export const tunnelAddress: Kind<HostPort> = {
  allowed: 'the name of a tcp tunnel, such as ssh.example.com or ssh.example.com:443',
  parse(text) {
    const address = parseHostPort(text, { defaultPort: 443 })
    const host = canonicalHostname(address?.host ?? '')
    return address && host !== undefined ? { ...address, host } : undefined
  },
}

export const listenAddress: Kind<HostPort> = {
  allowed: 'a port, or an address of this machine and a port, such as 127.0.0.1:5432 (port 0: any)',
  parse: (text) => parseHostPort(text, { defaultHost: '127.0.0.1', lowestPort: 0 }),
}

function integerIn(text: string, min: number, max: number): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined
  const value = Number(text)
  return value >= min && value <= max ? value : undefined
}

function parseSecret(text: string): Secret | Refusal {
  // Read with the quotes of another program's file, or with its line end: never meant.
  if (text !== text.trim()) return new Refusal('has white space at its ends')
  if (/[\x00-\x1f\x7f]/.test(text)) return new Refusal('has control characters in it')
  return new Secret(text)
}
