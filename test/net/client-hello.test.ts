import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import tls from 'node:tls'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { readClientHello } from '../../src/net/client-hello.ts'

// The bytes are built here by hand, after RFC 8446 §4.1.2 and §5.1, without the code under test.

function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff)
}

function vector8(...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.of(body.length), body])
}

function vector16(...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([u16(body.length), body])
}

function record(fragment: Buffer, type = 22): Buffer {
  return Buffer.concat([Buffer.of(type, 3, 1), vector16(fragment)])
}

function handshake(body: Buffer, type = 1): Buffer {
  return Buffer.concat([Buffer.of(type, 0), vector16(body)])
}

interface Parts {
  sessionId?: Buffer
  suites?: Buffer
  compression?: Buffer
  extensions?: Buffer[]
}

function body(parts: Parts = {}): Buffer {
  return Buffer.concat([
    u16(0x0303),
    Buffer.alloc(32, 0xaa),
    vector8(parts.sessionId ?? Buffer.alloc(32, 0xbb)),
    vector16(parts.suites ?? Buffer.of(0x13, 0x01)),
    vector8(parts.compression ?? Buffer.of(0)),
    ...(parts.extensions === undefined ? [] : [vector16(...parts.extensions)]),
  ])
}

function extension(type: number, data: Buffer): Buffer {
  return Buffer.concat([u16(type), vector16(data)])
}

function hostName(name: string): Buffer {
  return Buffer.concat([Buffer.of(0), vector16(Buffer.from(name, 'latin1'))])
}

function serverName(name: string): Buffer {
  return extension(0, vector16(hostName(name)))
}

function alpn(...names: string[]): Buffer {
  return extension(16, vector16(...names.map((name) => vector8(Buffer.from(name, 'latin1')))))
}

function helloWith(...extensions: Buffer[]): Buffer {
  return record(handshake(body({ extensions })))
}

/** The first bytes that a real client sends. */
async function capture(t: Test, dial: (port: number) => void): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  dial((server.address() as AddressInfo).port)
  const [socket] = await once(server, 'connection')
  socket.on('error', () => {})
  let bytes = Buffer.alloc(0)
  while (readClientHello(bytes).kind === 'partial') {
    const [chunk] = await once(socket, 'data')
    bytes = Buffer.concat([bytes, chunk])
  }
  socket.destroy()
  return bytes
}

function captureNode(t: Test, options: tls.ConnectionOptions): Promise<Buffer> {
  return capture(t, (port) => {
    tls.connect({ host: '127.0.0.1', port, ...options }).on('error', () => {})
  })
}

function captureOpenssl(t: Test, ...args: string[]): Promise<Buffer> {
  return capture(t, (port) => {
    const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args])
    child.on('error', () => {})
    t.teardown(() => child.kill())
  })
}

/** The same message in records of at most `size` bytes. */
function inRecordsOf(size: number, message: Buffer): Buffer {
  const records: Buffer[] = []
  for (let at = 0; at < message.length; at += size) {
    records.push(record(message.subarray(at, at + size)))
  }
  return Buffer.concat(records)
}

t.test('reads the ClientHello of real clients, whatever piece of it has come', async (t) => {
  const protocols = ['h2', 'http/1.1']
  const hellos = {
    'node, TLS 1.3': await captureNode(t, {
      servername: 'App.example.com',
      ALPNProtocols: protocols,
    }),
    'node, TLS 1.2 only': await captureNode(t, {
      servername: 'App.example.com',
      ALPNProtocols: protocols,
      maxVersion: 'TLSv1.2',
    }),
  }
  for (const [client, hello] of Object.entries(hellos)) {
    const expected = { kind: 'hello', serverName: 'App.example.com', alpn: protocols }
    t.same(readClientHello(hello), expected, client)
    const early = Buffer.concat([hello, Buffer.from('what follows')])
    t.same(readClientHello(early), expected, `${client}, and more in the same chunk`)
    for (let length = 0; length < hello.length; length += 1) {
      const { kind } = readClientHello(hello.subarray(0, length))
      if (kind !== 'partial') t.equal(kind, 'partial', `${client}, ${length} bytes of it`)
    }
  }
  t.same(readClientHello(await captureNode(t, {})), { kind: 'hello', alpn: [] }, 'node, no name')
})

const hasOpenssl = spawnSync('openssl', ['version']).status === 0

t.test('reads what openssl s_client sends', { skip: !hasOpenssl && 'no openssl' }, async (t) => {
  const named = await captureOpenssl(t, '-servername', 'a.test', '-alpn', 'gotunnel,h2')
  t.same(readClientHello(named), { kind: 'hello', serverName: 'a.test', alpn: ['gotunnel', 'h2'] })
  t.same(readClientHello(await captureOpenssl(t, '-noservername')), { kind: 'hello', alpn: [] })
  const old = await captureOpenssl(t, '-tls1_2', '-servername', 'a.test')
  t.same(readClientHello(old), { kind: 'hello', serverName: 'a.test', alpn: [] })
})

t.test('reads a hello that is spread over several records, cut anywhere', async (t) => {
  const message = handshake(body({ extensions: [serverName('a.test'), alpn('h2')] }))
  const expected = { kind: 'hello', serverName: 'a.test', alpn: ['h2'] }
  for (const size of [1, 2, 3, 4, 5, 7, 16, 64, message.length - 1, message.length]) {
    const bytes = inRecordsOf(size, message)
    t.same(readClientHello(bytes), expected, `records of ${size}`)
    for (let length = 0; length < bytes.length; length += 1) {
      const { kind } = readClientHello(bytes.subarray(0, length))
      if (kind !== 'partial') t.equal(kind, 'partial', `records of ${size}, ${length} bytes`)
    }
  }
})

t.test('passes over GREASE, kilobytes of key shares and unknown extensions', async (t) => {
  const grease = extension(0x0a0a, Buffer.alloc(0)) // RFC 8701
  const keyShares = extension(51, vector16(Buffer.alloc(6000, 0xcc)))
  const unknown = extension(0xfe0d, Buffer.alloc(500, 0xdd))
  const hello = body({
    suites: Buffer.of(0x0a, 0x0a, 0x13, 0x01),
    extensions: [grease, keyShares, serverName('a.test'), unknown, alpn('\x0a\x0a', 'h2')],
  })
  const expected = { kind: 'hello', serverName: 'a.test', alpn: ['\x0a\x0a', 'h2'] }
  t.same(readClientHello(record(handshake(hello))), expected)
  t.same(readClientHello(inRecordsOf(1000, handshake(hello))), expected)
})

t.test('reads a hello without extensions, and without a name', async (t) => {
  t.same(readClientHello(record(handshake(body()))), { kind: 'hello', alpn: [] })
  t.same(readClientHello(helloWith()), { kind: 'hello', alpn: [] })
  t.same(readClientHello(helloWith(alpn('h2'))), { kind: 'hello', alpn: ['h2'] })
})

t.test('gives the name exactly as it was sent', async (t) => {
  for (const name of [
    '../../etc/passwd',
    'A.Test.',
    '*.test',
    'b\xfccher',
    ' ',
    'a\n',
    '__proto__',
  ]) {
    t.match(readClientHello(helloWith(serverName(name))), { serverName: name })
  }
})

t.test(
  'says of other protocols that they are no TLS, from the first byte that tells',
  async (t) => {
    const others = ['SSH-2.0-OpenSSH_9.6\r\n', 'GET / HTTP/1.1\r\n', '\0', '\x80\x2e\x01\x03\x01']
    for (const text of others) {
      const bytes = Buffer.from(text, 'latin1')
      t.same(readClientHello(bytes), { kind: 'not-tls' }, JSON.stringify(text))
      t.same(readClientHello(bytes.subarray(0, 1)), { kind: 'not-tls' })
    }
    t.same(readClientHello(Buffer.of(22, 2)), { kind: 'not-tls' })
    t.same(readClientHello(Buffer.of(22)), { kind: 'partial' })
    t.same(readClientHello(Buffer.alloc(0)), { kind: 'partial' })
  },
)

t.test('refuses what a TLS stack would refuse, or read in another way', async (t) => {
  const sound = serverName('a.test')
  const message = handshake(body({ extensions: [sound] }))
  const cut = message.subarray(0, 20)
  const cases: Record<string, Buffer> = {
    'an empty record': record(Buffer.alloc(0)),
    'a record over 2^14 bytes': Buffer.of(22, 3, 1, 0x40, 0x01),
    'another record in between': Buffer.concat([record(cut), record(message.subarray(20), 23)]),
    'an alert in between': Buffer.concat([record(cut), Buffer.of(21, 3, 1, 0, 2, 1, 0)]),
    'another version in between': Buffer.concat([record(cut), Buffer.of(22, 2, 1, 0, 2, 1, 0)]),
    'another handshake message': record(handshake(body(), 2)),
    'a message of 16 MiB': record(Buffer.of(1, 0xff, 0xff, 0xff)),
    'an empty message': record(Buffer.of(1, 0, 0, 0)),
    'a session id of 33 bytes': record(handshake(body({ sessionId: Buffer.alloc(33) }))),
    'no cipher suite': record(handshake(body({ suites: Buffer.alloc(0) }))),
    'half a cipher suite': record(handshake(body({ suites: Buffer.alloc(3) }))),
    'no compression method': record(handshake(body({ compression: Buffer.alloc(0) }))),
    'bytes after the extensions': record(
      handshake(Buffer.concat([body({ extensions: [sound] }), Buffer.of(0)])),
    ),
    'extensions that end early': record(handshake(Buffer.concat([body(), u16(100), sound]))),
    'half a length of extensions': record(handshake(Buffer.concat([body(), Buffer.of(0)]))),
    'half an extension': helloWith(sound, Buffer.of(0, 16, 0)),
    'two server_name extensions': helloWith(sound, serverName('b.test')),
    'two ALPN extensions': helloWith(alpn('h2'), alpn('h2')),
    'two names in one': helloWith(extension(0, vector16(hostName('a.test'), hostName('b.test')))),
    'no name in the list': helloWith(extension(0, vector16())),
    'no list of names': helloWith(extension(0, Buffer.alloc(0))),
    'an empty name': helloWith(serverName('')),
    'a name of 256 bytes': helloWith(serverName('a'.repeat(256))),
    'a NUL in the name': helloWith(serverName('a.test\0.b.test')),
    'a name of another type': helloWith(
      extension(0, vector16(Buffer.of(1), vector16(Buffer.from('a.test')))),
    ),
    'bytes after the list of names': helloWith(
      extension(0, Buffer.concat([vector16(hostName('a.test')), Buffer.of(0)])),
    ),
    'a name longer than its list': helloWith(extension(0, Buffer.of(0, 4, 0, 0, 9, 0x61))),
    'an empty ALPN list': helloWith(extension(16, vector16())),
    'an empty ALPN name': helloWith(alpn('h2', '')),
    'an ALPN name longer than its list': helloWith(extension(16, vector16(Buffer.of(9, 0x61)))),
  }
  for (const [what, bytes] of Object.entries(cases)) {
    t.match(readClientHello(bytes), { kind: 'malformed', reason: String }, what)
  }
})

t.test('never throws, whatever the bytes', async () => {
  const hello = helloWith(serverName('a.test'), alpn('h2', 'http/1.1'), extension(51, u16(7)))
  const edit = fc.record({ at: fc.nat(hello.length - 1), byte: fc.nat(255) })
  fc.assert(
    fc.property(
      fc.array(edit, { minLength: 1, maxLength: 4 }),
      fc.nat(hello.length),
      (edits, end) => {
        const bytes = Buffer.from(hello)
        for (const { at, byte } of edits) bytes[at] = byte
        readClientHello(bytes)
        readClientHello(bytes.subarray(0, end))
        readClientHello(Buffer.concat([bytes.subarray(0, end), hello]))
      },
    ),
    { numRuns: 20_000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (it) => {
      readClientHello(Buffer.from(it))
      readClientHello(record(Buffer.from(it)))
      readClientHello(record(handshake(Buffer.from(it))))
    }),
  )
})
