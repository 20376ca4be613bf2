import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import t from 'tap'
import { ProtocolError } from '../../src/protocol/errors.ts'
import { encodePreamble, PreambleDecoder } from '../../src/protocol/preamble.ts'
import {
  type Addresses,
  decodeProxyHeader,
  encodeProxyHeader,
} from '../../src/protocol/proxy-protocol.ts'

const sig = '0d0a0d0a000d0a515549540a'
const v4 = 'c0000201 cb007107 d431 01bb'
const v6 = '20010db8000000000000000000000001 fe800000000000000000000000000002 d431 01bb'
const addresses4: Addresses = {
  remoteAddress: '192.0.2.1',
  remotePort: 54321,
  localAddress: '203.0.113.7',
  localPort: 443,
}
const addresses6: Addresses = {
  remoteAddress: '2001:db8::1',
  remotePort: 54321,
  localAddress: 'fe80::2',
  localPort: 443,
}
const none = Buffer.alloc(0)

const bad = (message: string | RegExp) => ({
  name: 'ProtocolError',
  code: 'PROTOCOL_BAD_PREAMBLE',
  message,
})

function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex')
}

function decode(hex: string) {
  return new PreambleDecoder().push(bytes(hex))
}

t.test('reads every preamble ever written', async (t) => {
  const preambles = ['transcript-v1.txt', 'transcript-v2.txt'].flatMap((file) =>
    readFileSync(new URL(`../fixtures/${file}`, import.meta.url), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('preamble > '))
      .map((line) => decode(line.slice(11))),
  )
  t.strictSame(preambles, [
    { version: 1, hostname: 'App.Example.com', rest: none },
    { version: 1, hostname: 'a', rest: none },
    { version: 2, hostname: 'app.example.com', addresses: addresses4, rest: none },
    { version: 2, hostname: 'a', addresses: addresses6, rest: none },
  ])
})

t.test('writes version 1 without addresses, version 2 with them', async (t) => {
  const cases: [Parameters<typeof encodePreamble>[0], string][] = [
    [{ hostname: 'a.test' }, '01 0006 612e74657374'],
    [{ hostname: 'A.test.:8443' }, '01 000c 412e746573742e3a38343433'],
    [{ hostname: 'ä' }, '01 0002 c3a4'],
    [{ hostname: 'a.test', addresses: addresses4 }, `${sig} 21 11 0015 ${v4} 02 0006 612e74657374`],
    [{ hostname: 'a.test', addresses: addresses6 }, `${sig} 21 21 002d ${v6} 02 0006 612e74657374`],
    [
      { hostname: 'a.test', addresses: { ...addresses4, remoteAddress: '' } },
      '01 0006 612e74657374',
    ],
  ]
  for (const [preamble, hex] of cases) {
    t.equal(encodePreamble(preamble).toString('hex'), hex.replaceAll(' ', ''))
  }
})

t.test('a hostname is neither empty nor longer than 260 bytes', async (t) => {
  const longest = 'x'.repeat(260)
  for (const addresses of [undefined, addresses4, addresses6]) {
    const head = addresses === undefined ? {} : { addresses }
    const preamble = encodePreamble({ hostname: longest, ...head })
    t.equal(new PreambleDecoder().push(preamble)?.hostname, longest)
    t.throws(() => encodePreamble({ hostname: '', ...head }), bad('empty hostname'))
    t.throws(
      () => encodePreamble({ hostname: `${longest}x`, ...head }),
      bad('invalid hostname length'),
    )
    t.throws(
      () => encodePreamble({ hostname: 'ä'.repeat(131), ...head }),
      bad('invalid hostname length'),
    )
  }
})

t.test('every split gives the same preamble and the same rest', async (t) => {
  for (const hex of ['01 0006 612e74657374', `${sig} 21 21 002d ${v6} 02 0006 612e74657374`]) {
    const head = bytes(hex)
    const stream = Buffer.concat([head, Buffer.from('GET / HTTP/1.1\r\n')])
    const whole = new PreambleDecoder().push(stream)
    t.equal(whole?.rest.toString(), 'GET / HTTP/1.1\r\n')
    for (let cut = 0; cut <= stream.length; cut++) {
      const decoder = new PreambleDecoder()
      const first = decoder.push(stream.subarray(0, cut))
      if (cut < head.length) {
        t.equal(first, undefined, `${cut} bytes are not enough`)
        t.strictSame(decoder.push(stream.subarray(cut)), whole, `the rest after ${cut}`)
      } else {
        t.strictSame(
          first,
          { ...whole, rest: stream.subarray(head.length, cut) },
          `${cut} are enough`,
        )
      }
    }
    const bytewise = new PreambleDecoder()
    const results = [...head].map((byte) => bytewise.push(Buffer.from([byte])))
    t.strictSame(results.pop(), { ...whole, rest: none })
    t.ok(results.every((result) => result === undefined))
  }
})

t.test('the rest is passed on and not copied', async (t) => {
  const chunk = Buffer.concat([bytes('01 0001 61'), Buffer.alloc(200_000, 7)])
  const decoded = new PreambleDecoder().push(chunk)
  t.equal(decoded?.rest.length, 200_000)
  t.equal(decoded?.rest.buffer, chunk.buffer)
})

t.test('what is no preamble is refused at the byte that shows it', async (t) => {
  const cases: [string, string | RegExp][] = [
    ['00', 'unsupported version 0'],
    ['02', 'unsupported version 2'],
    ['47', 'unsupported version 71'],
    ['ff', 'unsupported version 255'],
    ['01 0000', 'empty hostname'],
    ['01 0105', 'invalid hostname length'],
    ['01 ffff', 'invalid hostname length'],
    ['0d0a0d0b', 'bad PROXY header: the signature is wrong'],
    ['0d0a0d0a000d0a515549540b', 'bad PROXY header: the signature is wrong'],
    [`${sig} 11`, 'bad PROXY header: version and command are 0x11, not 0x20 or 0x21'],
    [`${sig} 22`, 'bad PROXY header: version and command are 0x22, not 0x20 or 0x21'],
    [`${sig} 21 12`, 'bad PROXY header: family 0x12 is neither TCP over IPv4 nor over IPv6'],
    [`${sig} 21 22`, 'bad PROXY header: family 0x22 is neither TCP over IPv4 nor over IPv6'],
    [`${sig} 21 31`, 'bad PROXY header: family 0x31 is neither TCP over IPv4 nor over IPv6'],
    [`${sig} 21 11 0209`, 'bad PROXY header: it says to be 537 bytes long, more than 536'],
    [`${sig} 20 00 ffff`, 'bad PROXY header: it says to be 65551 bytes long, more than 536'],
    [`${sig} 21 11 0000`, 'bad PROXY header: it ends within its addresses'],
    [`${sig} 21 11 000b c0000201 cb007107 d431 01`, /ends within its addresses/],
    [`${sig} 21 21 000c ${v4}`, /ends within its addresses/],
    [`${sig} 21 11 000d ${v4} 02`, /ends within a TLV/],
    [`${sig} 21 11 000e ${v4} 02 00`, /ends within a TLV/],
    [`${sig} 21 11 0010 ${v4} 02 0002 61`, /a TLV is longer than the header it is in/],
    [`${sig} 21 11 0010 ${v4} 02 ffff 61`, /a TLV is longer than the header it is in/],
    [`${sig} 21 11 0013 ${v4} 02 0001 61 ea 0001`, /a TLV is longer than the header it is in/],
    [`${sig} 21 11 0014 ${v4} 02 0001 61 02 0001 61`, /it has two authorities/],
    [`${sig} 21 11 000c ${v4}`, 'empty hostname'],
    [`${sig} 21 11 000f ${v4} 02 0000`, 'empty hostname'],
    [`${sig} 21 11 0114 ${v4} 02 0105 ${'61'.repeat(261)}`, 'invalid hostname length'],
    [`${sig} 20 00 0000`, 'empty hostname'],
    [`${sig} 20 11 0010 ${v4} 02 0001 61`, 'empty hostname'],
    [`${sig} 21 00 0004 02 0001 61`, 'empty hostname'],
  ]
  for (const [hex, message] of cases) {
    const whole = bytes(hex)
    t.throws(() => new PreambleDecoder().push(whole), bad(message), hex)
    const decoder = new PreambleDecoder()
    for (const byte of whole.subarray(0, -1)) {
      if (decoder.push(Buffer.from([byte])) !== undefined) t.fail(hex)
    }
    t.throws(() => decoder.push(whole.subarray(-1)), bad(message), `${hex}, byte by byte`)
  }
})

t.test('a preamble cut short at any byte is waited for, never guessed', async (t) => {
  const whole = bytes(`${sig} 21 11 0018 ${v4} 02 0006 612e74657374 04 0000`)
  for (let end = 0; end < whole.length; end++) {
    t.equal(new PreambleDecoder().push(whole.subarray(0, end)), undefined, `${end} bytes`)
  }
  t.equal(new PreambleDecoder().push(whole)?.hostname, 'a.test')
})

t.test('TLVs of other types are skipped, before and after the authority', async (t) => {
  const tlvs = '01 0002 6832 04 0000 02 0001 61 20 0005 0100000000 ea 0003 020304'
  const decoded = decode(`${sig} 21 11 0026 ${v4} ${tlvs}`)
  t.strictSame(decoded, { version: 2, hostname: 'a', addresses: addresses4, rest: none })
})

t.test('a header of exactly 536 bytes is the longest', async (t) => {
  const authority = 'x'.repeat(536 - 16 - 12 - 3)
  const header = encodeProxyHeader({ addresses: addresses4, authority })
  t.equal(header.length, 536)
  t.strictSame(decodeProxyHeader(header), {
    header: { addresses: addresses4, authority },
    lengthBytes: 536,
  })
  t.throws(
    () => encodeProxyHeader({ addresses: addresses4, authority: `${authority}x` }),
    bad('bad PROXY header: it would be 537 bytes long, more than 536'),
  )
})

t.test('a PROXY header needs no authority, and LOCAL carries nothing', async (t) => {
  t.equal(
    encodeProxyHeader({ addresses: addresses4 }).toString('hex'),
    bytes(`${sig} 21 11 000c ${v4}`).toString('hex'),
  )
  t.equal(encodeProxyHeader({}).toString('hex'), bytes(`${sig} 20 00 0000`).toString('hex'))
  t.equal(encodeProxyHeader({ authority: 'a' }).length, 16)
  for (const hex of [
    `${sig} 20 00 0000`,
    `${sig} 20 11 000c ${v4}`,
    `${sig} 20 ff 0003 ffffff`,
    `${sig} 21 00 0003 ffffff`,
  ]) {
    t.strictSame(decodeProxyHeader(bytes(hex)), { header: {}, lengthBytes: bytes(hex).length }, hex)
  }
})

t.test('addresses are written in 4 or 16 bytes, and read in their shortest form', async (t) => {
  // As a socket says it → family and bytes → as we read it.
  const cases: [string, string, string][] = [
    ['0.0.0.0', '11 00000000', '0.0.0.0'],
    ['255.255.255.255', '11 ffffffff', '255.255.255.255'],
    ['::ffff:192.0.2.1', '11 c0000201', '192.0.2.1'],
    ['::ffff:c000:201', '11 c0000201', '192.0.2.1'],
    ['::', `21 ${'00'.repeat(16)}`, '::'],
    ['::1', `21 ${'00'.repeat(15)}01`, '::1'],
    ['1::', `21 0001${'00'.repeat(14)}`, '1::'],
    ['FE80::A%eth0', `21 fe80${'00'.repeat(13)}0a`, 'fe80::a'],
    ['1:2:3:4:5:6:7:8', '21 00010002000300040005000600070008', '1:2:3:4:5:6:7:8'],
    ['1:0:2:0:3:0:4:0', '21 00010000000200000003000000040000', '1:0:2:0:3:0:4:0'],
    ['1:0:0:2:0:0:0:3', '21 00010000000000020000000000000003', '1:0:0:2::3'],
    ['1:0:0:2:3:0:0:4', '21 00010000000000020003000000000004', '1::2:3:0:0:4'],
    ['64:ff9b::192.0.2.33', '21 0064ff9b0000000000000000c0000221', '64:ff9b::c000:221'],
    ['10:0:0:100::', '21 00100000000001000000000000000000', '10:0:0:100::'],
  ]
  for (const [text, hex, read] of cases) {
    const [family = '', address = ''] = hex.split(' ')
    const ends = { remoteAddress: text, localAddress: text, remotePort: 1, localPort: 65535 }
    const header = encodeProxyHeader({ addresses: ends })
    t.equal(header.toString('hex', 13, 14), family, text)
    t.equal(header.toString('hex', 16), `${address}${address}0001ffff`, text)
    t.strictSame(
      decodeProxyHeader(header)?.header.addresses,
      { ...ends, remoteAddress: read, localAddress: read },
      text,
    )
  }
})

t.test('an IPv4 end beside an IPv6 end goes out mapped', async (t) => {
  const mixed = { ...addresses6, remoteAddress: '192.0.2.1' }
  const header = encodeProxyHeader({ addresses: mixed })
  t.equal(header.toString('hex', 13, 32), '210024' + '00000000000000000000ffffc0000201')
  t.equal(decodeProxyHeader(header)?.header.addresses?.remoteAddress, '::ffff:192.0.2.1')
})

t.test('what is no address is not written', async (t) => {
  for (const localAddress of ['', 'localhost', '1.2.3', '1.2.3.4:80', '[::1]', '/run/x.sock']) {
    t.throws(
      () => encodeProxyHeader({ addresses: { ...addresses4, localAddress } }),
      bad('bad PROXY header: an address is no IP address'),
    )
  }
})

t.test('what is written reads back as the same', async () => {
  const port = fc.integer({ min: 0, max: 65535 })
  const pair = (address: fc.Arbitrary<string>) =>
    fc.record(
      { remoteAddress: address, remotePort: port, localAddress: address, localPort: port },
      { noNullPrototype: true },
    )
  const hostname = fc
    .string({ unit: 'binary', minLength: 1, maxLength: 80 })
    .filter((text) => Buffer.byteLength(text) <= 260)
  const v6Text = fc
    .array(fc.constantFrom('0', '1', 'ffff', 'a0'), { minLength: 8, maxLength: 8 })
    .map((groups) => new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1))
    .filter((text) => !text.startsWith('::ffff:'))
  fc.assert(
    fc.property(
      hostname,
      fc.option(fc.oneof(pair(fc.ipV4()), pair(v6Text)), { nil: undefined }),
      fc.uint8Array({ maxLength: 20 }),
      (hostname, addresses, tail) => {
        const head = addresses === undefined ? {} : { addresses }
        const rest = Buffer.from(tail)
        const decoded = new PreambleDecoder().push(
          Buffer.concat([encodePreamble({ hostname, ...head }), rest]),
        )
        const version = addresses === undefined ? 1 : 2
        return isDeepStrictEqual(decoded, { version, hostname, ...head, rest })
      },
    ),
    { numRuns: 1000 },
  )
})

t.test('no bytes make the decoder throw anything but a ProtocolError', async () => {
  const whole = bytes(`${sig} 21 21 0030 ${v6} 02 0006 612e74657374 04 0000`)
  const mutated = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 5 }).map((changes) => {
    const copy = Buffer.from(whole)
    for (const [at, byte] of changes) copy[at % copy.length] = byte
    return copy
  })
  const prefixed = fc
    .tuple(fc.constantFrom('01', '0100', sig, `${sig}2111`), fc.uint8Array({ maxLength: 700 }))
    .map(([head, tail]) => Buffer.concat([bytes(head), tail]))
  fc.assert(
    fc.property(fc.oneof(mutated, prefixed), fc.nat(64), (input, cut) => {
      const decoder = new PreambleDecoder()
      try {
        const first = decoder.push(input.subarray(0, cut))
        const decoded = first ?? decoder.push(input.subarray(cut))
        // Never waits for more than it would hold.
        return decoded !== undefined || input.length < 536
      } catch (error) {
        return error instanceof ProtocolError
      }
    }),
    { numRuns: 10_000 },
  )
})
