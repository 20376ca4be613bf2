import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import * as net from 'node:net'
import * as tls from 'node:tls'
import t, { type Test } from 'tap'
import { DevelopmentIssuer } from '../../src/certs/development-issuer.ts'
import type { KeyAndChain } from '../../src/certs/issuer.ts'
import { readClientHello } from '../../src/net/client-hello.ts'
import { peek } from '../../src/net/peek.ts'
import type { TransportError } from '../../src/transport/errors.ts'
import { TlsAcceptor, type TlsAcceptorOptions } from '../../src/transport/tls-acceptor.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {} }
const issuer = await DevelopmentIssuer.load({ directory: t.testdir(), log: quiet })
const ca = readFileSync(issuer.caPath)
const pairs = new Map<string, KeyAndChain>()
for (const name of ['a.test', 'b.test', 'default.test']) pairs.set(name, await issuer.issue(name))

/** A listening acceptor that greets each connection with the name it was given. */
async function accepting(t: Test, options: Partial<TlsAcceptorOptions> = {}) {
  const asked: string[] = []
  const errors: TransportError[] = []
  const connected: { socket: tls.TLSSocket; hostname: string }[] = []
  let onError = (_: TransportError) => {}
  const acceptor = new TlsAcceptor({
    certificateFor: async (hostname) => {
      asked.push(hostname)
      return pairs.get(hostname)
    },
    defaultName: 'default.test',
    onConnection: (socket, hostname) => {
      connected.push({ socket, hostname })
      socket.on('error', () => {})
      socket.end(`hello, ${hostname}`)
    },
    onError: (error, remoteAddress) => {
      if (!/^(::ffff:)?127\.0\.0\.1$/.test(remoteAddress)) t.fail(`from ${remoteAddress}`)
      errors.push(error)
      onError(error)
    },
    ...options,
  })
  const port = await listening(t, acceptor)
  const nextError = () =>
    new Promise<TransportError>((resolve) => {
      onError = resolve
    })
  return { acceptor, port, asked, errors, connected, nextError }
}

async function listening(t: Test, server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  await once(server, 'listening')
  return (server.address() as net.AddressInfo).port
}

interface Visit {
  greeting: string
  names: string | undefined
  isResumed: boolean
  alpn: string | false | null
  session: Buffer | undefined
}

/** One TLS connection, read to its end. */
async function visit(
  port: number,
  servername: string,
  options: tls.ConnectionOptions = {},
): Promise<Visit> {
  const socket = tls.connect({ port, host: '127.0.0.1', servername, ca, ...options })
  let session: Buffer | undefined
  socket.on('session', (ticket) => {
    session = ticket
  })
  socket.on('error', () => {}) // beside the first, which rejects below
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  const secured = { names: undefined as string | undefined, isResumed: false }
  socket.on('secureConnect', () => {
    secured.names = socket.getPeerCertificate().subjectaltname
    secured.isResumed = socket.isSessionReused()
  })
  await once(socket, 'end')
  const alpn = socket.alpnProtocol
  socket.destroy()
  return { greeting: String(Buffer.concat(chunks)), ...secured, alpn, session }
}

async function rawConnection(t: Test, port: number): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** A ClientHello as a real client sends it. */
async function clientHello(servername: string): Promise<Buffer> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const client = tls.connect({ port, host: '127.0.0.1', servername })
  client.on('error', () => {})
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  const [hello] = (await once(socket, 'data')) as [Buffer]
  client.destroy()
  socket.destroy()
  server.close()
  return hello
}

t.test('shows each name its own certificate, and tells its owner the canonical name', async (t) => {
  const { port, asked } = await accepting(t)
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    for (const [sent, name] of [
      ['a.test', 'a.test'],
      ['B.Test', 'b.test'],
      ['a.test.', 'a.test'],
    ] as const) {
      const seen = await visit(port, sent, { maxVersion })
      t.match(seen, { greeting: `hello, ${name}`, names: `DNS:${name}`, isResumed: false })
      t.equal(asked.at(-1), name)
    }
  }
})

t.test('shows the default name to a client that sends none', async (t) => {
  const { port } = await accepting(t)
  const checkServerIdentity = () => undefined
  const seen = await visit(port, '', { checkServerIdentity })
  t.match(seen, { greeting: 'hello, default.test', names: 'DNS:default.test' })
})

t.test('a session ticket', async (t) => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    await t.test(`saves its own name a full handshake (${maxVersion})`, async (t) => {
      const { port } = await accepting(t)
      const { session } = await visit(port, 'a.test', { maxVersion })
      const again = await visit(port, 'a.test', { maxVersion, ...(session && { session }) })
      t.match(again, { isResumed: true, greeting: 'hello, a.test' })
    })

    await t.test(`lets nobody in by another name (${maxVersion})`, async (t) => {
      const { port } = await accepting(t)
      const { session } = await visit(port, 'a.test', { maxVersion })
      t.ok(session)
      const other = await visit(port, 'b.test', { maxVersion, ...(session && { session }) })
      t.match(other, { isResumed: false, names: 'DNS:b.test', greeting: 'hello, b.test' })
      const refused = visit(port, 'none.test', { maxVersion, ...(session && { session }) })
      await t.rejects(refused, { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' })
    })

    await t.test(`does not outlive its certificate (${maxVersion})`, async (t) => {
      let pair = pairs.get('a.test')
      const { port } = await accepting(t, { certificateFor: async () => pair })
      const { session } = await visit(port, 'a.test', { maxVersion })
      pair = await issuer.issue('a.test')
      const next = await visit(port, 'a.test', { maxVersion, ...(session && { session }) })
      t.match(next, { isResumed: false, names: 'DNS:a.test' })
    })
  }
})

t.test('a name without a certificate', async (t) => {
  t.test('is refused with an alert that says so', async (t) => {
    const { port, errors } = await accepting(t)
    await t.rejects(visit(port, 'none.test'), { code: 'ERR_SSL_TLSV1_UNRECOGNIZED_NAME' })
    t.match(errors, [{ code: 'TRANSPORT_NAME_UNKNOWN', message: /none\.test/ }])
  })

  t.test(
    'for which there was trouble is refused with another, and the cause is told',
    async (t) => {
      const trouble = new Error('trouble')
      for (const certificateFor of [
        () => Promise.reject(trouble),
        () => {
          throw trouble
        },
      ]) {
        const { port, errors } = await accepting(t, { certificateFor })
        await t.rejects(visit(port, 'a.test'), { code: 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR' })
        t.match(errors, [{ code: 'TRANSPORT_NO_CERTIFICATE', cause: trouble }])
      }
    },
  )

  t.test('or with a pair that cannot be used harms nobody else', async (t) => {
    const broken = { key: 'no', chain: 'no' }
    const { port, errors } = await accepting(t, {
      certificateFor: async (name) => (name === 'a.test' ? broken : pairs.get(name)),
    })
    await t.rejects(visit(port, 'a.test'), { code: 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR' })
    t.match(errors, [{ code: 'TRANSPORT_NO_CERTIFICATE' }])
    t.match(await visit(port, 'b.test'), { greeting: 'hello, b.test' })
  })
})

t.test('asks for no certificate with a hostile name, and does not log it raw', async (t) => {
  const { port, asked, errors } = await accepting(t)
  const hostile = [
    ...['../../etc/passwd', '..', '.', '*.test', 'a.test/../b.test', 'a test', 'a.test:443'],
    ...[
      'a_b.test',
      '-a.test',
      'a..test',
      '1.2.3.4.',
      '0x7f.1',
      'a.test\nb',
      'a.test\x1b[2J',
      '%00',
    ],
    'a'.repeat(64),
  ]
  for (const servername of hostile) {
    const checkServerIdentity = () => undefined
    await t.rejects(visit(port, servername, { checkServerIdentity }))
  }
  t.strictSame(asked, [])
  t.equal(errors.length, hostile.length)
  for (const error of errors) {
    t.equal(error.code, 'TRANSPORT_NAME_UNKNOWN')
    t.match(error.message, /^[ -~]{1,120}$/)
  }
})

t.test('whoever does not complete a handshake is disconnected in time', async (t) => {
  const hello = await clientHello('a.test')
  const cases: [string, Buffer, string][] = [
    ['who sends nothing', Buffer.alloc(0), 'TRANSPORT_TIMEOUT'],
    ['who sends half a ClientHello', hello.subarray(0, 100), 'TRANSPORT_TIMEOUT'],
    ['who sends a ClientHello alone', hello, 'TRANSPORT_TIMEOUT'],
    ['who speaks HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'TRANSPORT_HANDSHAKE_FAILED'],
    [
      'who breaks the record',
      Buffer.from('16030100051000000000', 'hex'),
      'TRANSPORT_HANDSHAKE_FAILED',
    ],
    [
      'who breaks off after the ClientHello',
      Buffer.concat([hello, Buffer.from('garbage after it')]),
      'TRANSPORT_HANDSHAKE_FAILED',
    ],
  ]
  for (const [title, bytes, code] of cases) {
    await t.test(title, async (t) => {
      const { port, nextError } = await accepting(t, { handshakeTimeoutMs: 100 })
      const failed = nextError()
      const socket = await rawConnection(t, port)
      const closed = new Promise((resolve) => socket.once('close', resolve)) // by a reset, too
      socket.resume()
      socket.write(bytes)
      t.equal((await failed).code, code)
      await closed
    })
  }

  t.test('however it drips', async (t) => {
    const { port, nextError } = await accepting(t, { handshakeTimeoutMs: 100 })
    const failed = nextError()
    const socket = await rawConnection(t, port)
    const closed = new Promise((resolve) => socket.once('close', resolve)) // by a reset, too
    let sent = 0
    const dripping = setInterval(() => socket.write(hello.subarray(sent, (sent += 1))), 10)
    t.teardown(() => clearInterval(dripping))
    t.equal((await failed).code, 'TRANSPORT_TIMEOUT')
    await closed
  })

  t.test('and one that just leaves is not waited for', async (t) => {
    const { port, nextError } = await accepting(t)
    const failed = nextError()
    const socket = await rawConnection(t, port)
    socket.write(hello.subarray(0, 50))
    socket.end()
    t.equal((await failed).code, 'TRANSPORT_HANDSHAKE_FAILED')
  })

  // `accepting` checks the address that is told, which a TLS socket that has closed does not know.
  t.test('nor one that leaves at the sight of the certificate', async (t) => {
    const { port, nextError } = await accepting(t)
    const failed = nextError()
    const socket = await rawConnection(t, port)
    socket.write(hello)
    await once(socket, 'data')
    socket.end()
    t.equal((await failed).code, 'TRANSPORT_HANDSHAKE_FAILED')
  })
})

t.test('while a certificate is made', async (t) => {
  function slow() {
    let give = (_: KeyAndChain | undefined) => {}
    const asked = new Promise<void>((resolveAsked) => {
      slowly = () =>
        new Promise((resolve) => {
          give = resolve
          resolveAsked()
        })
    })
    return { asked, give: () => give(pairs.get('a.test')) }
  }
  let slowly: () => Promise<KeyAndChain | undefined> = async () => undefined

  t.test("the client's time does not run", async (t) => {
    const { asked, give } = slow()
    const { port } = await accepting(t, { handshakeTimeoutMs: 100, certificateFor: () => slowly() })
    const visiting = visit(port, 'a.test')
    await asked
    await new Promise((resolve) => setTimeout(resolve, 200)) // more than its time
    give()
    t.match(await visiting, { greeting: 'hello, a.test' })
  })

  t.test('a client may go, in either way', async (t) => {
    for (const leave of ['end', 'resetAndDestroy'] as const) {
      const { asked, give } = slow()
      const { acceptor, port, connected, errors } = await accepting(t, {
        handshakeTimeoutMs: 100,
        certificateFor: () => slowly(),
      })
      const accepted = once(acceptor, 'connection')
      const client = await rawConnection(t, port)
      client.write(await clientHello('a.test'))
      const [socket] = (await accepted) as [net.Socket]
      await asked
      client[leave]()
      const closed = new Promise((resolve) => socket.once('close', resolve))
      if (leave === 'resetAndDestroy') await closed
      give()
      await closed
      t.strictSame(connected, [])
      t.ok(errors.length <= 1)
    }
  })
})

t.test('ALPN', async (t) => {
  t.test('is answered by the owner, for the name and the offer', async (t) => {
    const asked: unknown[] = []
    const { port } = await accepting(t, {
      alpn: (hostname, offered) => {
        asked.push([hostname, offered])
        return offered.includes('h2') ? 'h2' : offered[0]
      },
    })
    const offer = async (...ALPNProtocols: string[]) =>
      (await visit(port, 'A.test', { ALPNProtocols })).alpn
    t.equal(await offer('http/1.1', 'h2'), 'h2')
    t.equal(await offer('postgresql'), 'postgresql')
    t.strictSame(asked, [
      ['a.test', ['http/1.1', 'h2']],
      ['a.test', ['postgresql']],
    ])
    t.equal((await visit(port, 'a.test')).alpn, false, 'nothing offered, nothing asked')
    t.equal(asked.length, 2)
  })

  t.test('that is refused, or answered wrongly, ends that connection alone', async (t) => {
    const answers: TlsAcceptorOptions['alpn'][] = [
      () => undefined,
      () => 'spdy',
      () => {
        throw new Error('a bug')
      },
    ]
    for (const alpn of answers) {
      const { port, errors } = await accepting(t, { ...(alpn && { alpn }) })
      const refused = visit(port, 'a.test', { ALPNProtocols: ['h2'] })
      await t.rejects(refused, { code: /NO_APPLICATION_PROTOCOL/ })
      t.match(await visit(port, 'a.test'), { greeting: 'hello, a.test' })
      t.equal(errors.length, 1)
    }
  })

  t.test('without an owner that cares is not answered', async (t) => {
    const { port } = await accepting(t)
    t.equal((await visit(port, 'a.test', { ALPNProtocols: ['h2'] })).alpn, false)
  })
})

t.test('takes a connection that somebody else accepted and looked into', async (t) => {
  const { acceptor } = await accepting(t)
  const names: (string | undefined)[] = []
  const edge = net.createServer({ allowHalfOpen: true }, async (socket) => {
    const hello = await peek(socket, (bytes) => {
      const read = readClientHello(bytes)
      return read.kind === 'partial' ? undefined : read
    })
    if (hello.kind === 'hello') names.push(hello.serverName)
    acceptor.emit('connection', socket)
  })
  const port = await listening(t, edge)
  t.match(await visit(port, 'a.test'), { greeting: 'hello, a.test' })
  t.strictSame(names, ['a.test'])
})

t.test('keeps half-closed connections open', async (t) => {
  const { port } = await accepting(t, {
    onConnection: (socket) => {
      socket.on('error', () => {})
      const chunks: Buffer[] = []
      socket.on('data', (chunk) => chunks.push(chunk))
      const answer = () => socket.end(`after your end: ${Buffer.concat(chunks)}`)
      socket.on('end', () => setImmediate(answer)) // when Node would have ended our half as well
    },
  })
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    // An option of tls.connect that its types do not know.
    const halfOpen = { allowHalfOpen: true }
    const socket = tls.connect({ port, servername: 'a.test', ca, maxVersion, ...halfOpen })
    socket.end('question')
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk)
    t.equal(String(Buffer.concat(chunks)), 'after your end: question')
  }
})

t.test('speaks TLS 1.2 or better, and negotiates once', async (t) => {
  const { port, nextError } = await accepting(t, {
    onConnection: (socket) => socket.on('error', () => {}).resume(),
  })
  const old = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  const failed = nextError()
  await t.rejects(visit(port, 'a.test', old), { code: /VERSION/ })
  t.match(await failed, { code: 'TRANSPORT_HANDSHAKE_FAILED' })

  const socket = tls.connect({ port, servername: 'a.test', ca, maxVersion: 'TLSv1.2' })
  t.teardown(() => socket.destroy())
  await once(socket, 'secureConnect')
  const refused = once(socket, 'error').catch((error) => [error])
  socket.renegotiate({}, () => {})
  t.match(await refused, [{ code: /RENEGOTIATION/ }])
})

t.test('many names and many clients at once', async (t) => {
  const { port, errors, asked } = await accepting(t)
  const names = ['a.test', 'b.test', 'default.test']
  const visits = Array.from({ length: 150 }, (_, i) => {
    const name = names[i % 3] ?? ''
    return visit(port, name).then(({ greeting }) => greeting === `hello, ${name}`)
  })
  t.ok((await Promise.all(visits)).every(Boolean))
  t.strictSame(errors, [])
  t.equal(asked.length, 150)
})
