import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import t from 'tap'
import {
  type Addresses,
  encodeProxyHeader,
  encodeProxyLine,
  readProxyHeader,
} from '../../src/protocol/proxy-protocol.ts'

// Version 2 has its cases in preamble.test.ts; here are version 1, and both seen by a receiver.

const sig = '0d0a0d0a000d0a515549540a'
const addresses4: Addresses = {
  remoteAddress: '192.0.2.1',
  remotePort: 54321,
  localAddress: '203.0.113.7',
  localPort: 443,
}
const addresses6: Addresses = {
  remoteAddress: '2001:db8::1',
  remotePort: 0,
  localAddress: 'fe80::2',
  localPort: 65535,
}
const longest = `PROXY UNKNOWN ${'f'.repeat(91)}\r\n` // 107 bytes

const read = (text: string) => readProxyHeader(Buffer.from(text, 'latin1'))
const readHex = (hex: string) => readProxyHeader(Buffer.from(hex.replaceAll(' ', ''), 'hex'))

t.test('a line of version 1 is written as the specification has it', async (t) => {
  const cases: [Addresses | undefined, string][] = [
    [undefined, 'PROXY UNKNOWN\r\n'],
    [addresses4, 'PROXY TCP4 192.0.2.1 203.0.113.7 54321 443\r\n'],
    [addresses6, 'PROXY TCP6 2001:db8::1 fe80::2 0 65535\r\n'],
    // As a dual-stack listener names its ends.
    [
      { ...addresses4, remoteAddress: '::ffff:192.0.2.1', localAddress: '::ffff:203.0.113.7' },
      'PROXY TCP4 192.0.2.1 203.0.113.7 54321 443\r\n',
    ],
    [
      { ...addresses4, remoteAddress: '::1', localAddress: '203.0.113.7' },
      'PROXY TCP6 ::1 ::ffff:203.0.113.7 54321 443\r\n',
    ],
    [{ ...addresses6, remoteAddress: 'fe80::1%eth0' }, 'PROXY TCP6 fe80::1 fe80::2 0 65535\r\n'],
  ]
  for (const [addresses, line] of cases) t.equal(encodeProxyLine(addresses).toString(), line)
  t.throws(() => encodeProxyLine({ ...addresses4, localAddress: '' }), {
    code: 'PROTOCOL_BAD_PREAMBLE',
  })
})

t.test('reads headers of both versions, and says how long they are', async (t) => {
  const v4 = 'c0000201 cb007107 d431 01bb'
  const cases: [ReturnType<typeof read>, Addresses | undefined, number][] = [
    [read('PROXY TCP4 192.0.2.1 203.0.113.7 54321 443\r\n'), addresses4, 44],
    [read('PROXY TCP4 192.0.2.1 203.0.113.7 54321 443\r\n\r\nPROXY '), addresses4, 44],
    [read('PROXY TCP6 2001:DB8:0:0::1 fe80::0002 0 65535\r\nx'), addresses6, 47],
    [read('PROXY UNKNOWN\r\n'), undefined, 15],
    [read('PROXY UNKNOWN ff::1 anything at all 99999\r\n'), undefined, 43],
    [read(longest), undefined, 107],
    [readHex(`${sig} 21 11 000c ${v4}`), addresses4, 28],
    [readHex(`${sig} 21 11 000f ${v4} 04 0000 16 03`), addresses4, 31],
    [readHex(`${sig} 20 00 0000`), undefined, 16],
    [readHex(`${sig} 20 11 000c ${v4}`), undefined, 28],
    [readHex(`${sig} 21 00 0003 ffffff`), undefined, 19],
  ]
  for (const [header, addresses, lengthBytes] of cases) {
    t.strictSame(header, { kind: 'header', lengthBytes, ...(addresses && { addresses }) })
  }
})

t.test('what begins otherwise is no header, and is not touched', async (t) => {
  for (const text of [
    'SSH-2.0-x\r\n',
    'POST / HTTP/1.1\r\n',
    'PROXX',
    'proxy TCP4',
    '\r\n\r\nGET',
    '\n',
  ]) {
    t.strictSame(read(text), { kind: 'none' }, JSON.stringify(text))
  }
  t.strictSame(readHex('16 03 01 02 00'), { kind: 'none' }, 'a ClientHello')
  t.strictSame(
    readHex('0d0a0d0a000d0a515549540b 21'),
    { kind: 'none' },
    'a signature but for its end',
  )
})

t.test('is read at its last byte, and waits until then', async (t) => {
  const headers = [
    encodeProxyLine(addresses4),
    encodeProxyLine(addresses6),
    encodeProxyLine(undefined),
    Buffer.from(longest),
    encodeProxyHeader({ addresses: addresses6, authority: 'a.test' }),
    encodeProxyHeader({}),
  ]
  for (const header of headers) {
    for (let length = 0; length < header.length; length += 1) {
      const { kind } = readProxyHeader(header.subarray(0, length))
      if (kind !== 'partial')
        t.fail(`${kind} after ${length} bytes of ${header.toString('latin1')}`)
    }
    t.equal(readProxyHeader(header).kind, 'header')
  }
})

t.test('a line that is nearly one is refused, with the reason', async (t) => {
  const cases: [string, string][] = [
    ['PROXY \r\n', 'it is not TCP4, TCP6 or UNKNOWN'],
    ['PROXY UDP4 192.0.2.1 203.0.113.7 1 2\r\n', 'it is not TCP4, TCP6 or UNKNOWN'],
    ['PROXY tcp4 192.0.2.1 203.0.113.7 1 2\r\n', 'it is not TCP4, TCP6 or UNKNOWN'],
    ['PROXY  TCP4 192.0.2.1 203.0.113.7 1 2\r\n', 'it is not TCP4, TCP6 or UNKNOWN'],
    ['PROXY UNKNOWNS\r\n', 'it is not TCP4, TCP6 or UNKNOWN'],
    ['PROXY TCP4\r\n', 'it has 0 words behind TCP4, not 4'],
    ['PROXY TCP4 192.0.2.1 203.0.113.7 1\r\n', 'it has 3 words behind TCP4, not 4'],
    ['PROXY TCP4 192.0.2.1 203.0.113.7 1 2 3\r\n', 'it has 5 words behind TCP4, not 4'],
    ['PROXY TCP4 192.0.2.1 203.0.113.7 1 2 \r\n', 'it has 5 words behind TCP4, not 4'],
    ['PROXY TCP4 192.0.2.1  203.0.113.7 1 2\r\n', 'it has 5 words behind TCP4, not 4'],
    ['PROXY TCP4 ::1 ::1 1 2\r\n', 'an address is not of TCP4'],
    ['PROXY TCP4 192.0.2.01 203.0.113.7 1 2\r\n', 'an address is not of TCP4'],
    ['PROXY TCP4 192.0.2 203.0.113.7 1 2\r\n', 'an address is not of TCP4'],
    ['PROXY TCP6 192.0.2.1 203.0.113.7 1 2\r\n', 'an address is not of TCP6'],
    ['PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n', 'an address is not of TCP6'],
    ['PROXY TCP6 [::1] [::1] 1 2\r\n', 'an address is not of TCP6'],
    ['PROXY TCP4 192.0.2.1 203.0.113.7 65536 2\r\n', 'a port is none'],
    ['PROXY TCP4 192.0.2.1 203.0.113.7 1 02\r\n', 'a port is none'],
    ['PROXY TCP4 192.0.2.1 203.0.113.7 -1 2\r\n', 'a port is none'],
    ['PROXY TCP4 192.0.2.1 203.0.113.7 +1 2\r\n', 'a port is none'],
    ['PROXY TCP4 192.0.2.1 203.0.113.7 1 2\n', 'its line does not end with CR and LF'],
    ['PROXY TCP4 192.0.2.1 203.0.113.7 1 2\r ', 'its line does not end with CR and LF'],
    ['PROXY TCP4\t192.0.2.1 203.0.113.7 1 2\r\n', 'its line does not end with CR and LF'],
    ['PROXY UNKNOWN \xff\r\n', 'its line does not end with CR and LF'],
    ['PROXY \0', 'its line does not end with CR and LF'],
    [`PROXY ${'x'.repeat(101)}`, 'its line is longer than 107 bytes'],
    [`PROXY UNKNOWN ${'f'.repeat(92)}\r\n`, 'its line is longer than 107 bytes'],
    [`PROXY UNKNOWN ${'f'.repeat(93)}\r\n`, 'its line is longer than 107 bytes'],
  ]
  for (const [line, problem] of cases) {
    const expected = { kind: 'malformed', reason: `bad PROXY header: ${problem}` }
    t.strictSame(read(line), expected, JSON.stringify(line))
  }
})

t.test('a header of version 2 that lies about its lengths is refused', async (t) => {
  const v4 = 'c0000201 cb007107 d431 01bb'
  const cases: [string, string][] = [
    ['11', 'version and command are 0x11, not 0x20 or 0x21'],
    ['22', 'version and command are 0x22, not 0x20 or 0x21'],
    ['21 12', 'family 0x12 is neither TCP over IPv4 nor over IPv6'],
    ['21 31', 'family 0x31 is neither TCP over IPv4 nor over IPv6'],
    ['21 11 0209', 'it says to be 537 bytes long, more than 536'],
    ['21 11 ffff', 'it says to be 65551 bytes long, more than 536'],
    [`21 11 000b ${v4}`, 'it ends within its addresses'],
    [`21 21 000c ${v4}`, 'it ends within its addresses'],
    [`21 11 000e ${v4} 0400`, 'it ends within a TLV'],
    [`21 11 000f ${v4} 040001`, 'a TLV is longer than the header it is in'],
    [`21 11 0010 ${v4} 04ffff 00`, 'a TLV is longer than the header it is in'],
  ]
  for (const [hex, problem] of cases) {
    const expected = { kind: 'malformed', reason: `bad PROXY header: ${problem}` }
    t.strictSame(readHex(sig + hex), expected, hex)
  }
})

t.test('what is written is read as the same, in either version', async () => {
  const port = fc.nat(65_535)
  const address = fc.oneof(
    fc.tuple(fc.ipV4(), fc.ipV4()),
    fc.tuple(fc.ipV6(), fc.ipV6()),
    fc.tuple(fc.ipV4(), fc.ipV6()),
  )
  fc.assert(
    fc.property(address, port, port, ([remoteAddress, localAddress], remotePort, localPort) => {
      const addresses = { remoteAddress, localAddress, remotePort, localPort }
      const ofLine = readProxyHeader(encodeProxyLine(addresses))
      const ofBytes = readProxyHeader(encodeProxyHeader({ addresses }))
      if (ofLine.kind !== 'header' || ofBytes.kind !== 'header') return false
      return isDeepStrictEqual(ofLine.addresses, ofBytes.addresses)
    }),
  )
})

t.test('no bytes make the reader throw, or wait for more than 536', async () => {
  const start = fc
    .constantFrom('PROXY ', 'PROXY TCP4 ', 'PROXY UNKNOWN', '')
    .map((s) => Buffer.from(s))
  const head = fc.oneof(
    start,
    fc.constantFrom('', '21', '2111', '2021').map((hex) => Buffer.from(sig + hex, 'hex')),
  )
  fc.assert(
    fc.property(head, fc.uint8Array({ minLength: 536, maxLength: 600 }), (head, tail) => {
      return readProxyHeader(Buffer.concat([head, tail])).kind !== 'partial'
    }),
    { numRuns: 2000 },
  )
})
