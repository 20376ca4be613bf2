/** As much of DER (X.690) as a certificate request, a challenge certificate and RFC 9773 need. */

export function tlv(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents)
  const size = content.length
  const long = size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff]
  return Buffer.concat([Buffer.from([tag, ...(size < 0x80 ? [size] : long)]), content])
}

export const Tag = {
  Boolean: 0x01,
  Integer: 0x02,
  BitString: 0x03,
  OctetString: 0x04,
  ObjectIdentifier: 0x06,
  Utf8String: 0x0c,
  Sequence: 0x30,
  Set: 0x31,
  UtcTime: 0x17,
} as const

export const sequence = (...contents: Buffer[]) => tlv(Tag.Sequence, ...contents)
export const octets = (content: Buffer) => tlv(Tag.OctetString, content)
/** All of its bits are used. */
export const bits = (content: Buffer) => tlv(Tag.BitString, Buffer.from([0]), content)
/** `[n]`, around other elements. */
export const context = (number: number, ...contents: Buffer[]) => tlv(0xa0 | number, ...contents)
/** `[n] IMPLICIT`, in place of a primitive's own tag. */
export const primitive = (number: number, content: Buffer) => tlv(0x80 | number, content)
/** Its content as hex. */
export const oid = (hex: string) => tlv(Tag.ObjectIdentifier, Buffer.from(hex, 'hex'))

export function integer(bytes: Buffer): Buffer {
  const isNegative = ((bytes[0] ?? 0) & 0x80) !== 0
  return tlv(Tag.Integer, isNegative ? Buffer.concat([Buffer.from([0]), bytes]) : bytes)
}

/** 260301000000Z; RFC 5280 §4.1.2.5 has it so until 2049. */
export function time(atMs: number): Buffer {
  const digits = new Date(atMs).toISOString().slice(2, 19).replace(/\D/g, '')
  return tlv(Tag.UtcTime, Buffer.from(`${digits}Z`))
}

/** An X.509 name of a common name alone, or of nothing. */
export function name(commonName: string | undefined): Buffer {
  if (commonName === undefined) return sequence()
  const value = tlv(Tag.Utf8String, Buffer.from(commonName))
  return sequence(tlv(Tag.Set, sequence(oid('550403'), value)))
}

export function extension(id: string, isCritical: boolean, value: Buffer): Buffer {
  const critical = isCritical ? [tlv(Tag.Boolean, Buffer.from([0xff]))] : []
  return sequence(oid(id), ...critical, octets(value))
}

/** The subjectAltName of one host (RFC 5280 §4.2.1.6). */
export function subjectAltName(hostname: string): Buffer {
  return extension('551d11', false, sequence(primitive(2, Buffer.from(hostname))))
}

/** ecdsa-with-SHA256 */
export const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'))

/** The elements within a constructed one's content; stops where lengths do not add up. */
export function* elements(content: Buffer): Generator<{ tag: number; content: Buffer }> {
  for (let at = 0; at + 2 <= content.length; ) {
    const tag = content[at] ?? 0
    let size = content[at + 1] ?? 0
    at += 2
    if (size > 0x84 || size === 0x80) return
    if (size > 0x80) {
      const sizeBytes = size & 0x7f
      if (at + sizeBytes > content.length) return
      size = content.readUIntBE(at, sizeBytes)
      at += sizeBytes
    }
    if (at + size > content.length) return
    yield { tag, content: content.subarray(at, at + size) }
    at += size
  }
}
