import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import * as net from 'node:net'
import * as tls from 'node:tls'
import t, { type Test } from 'tap'
import { DevelopmentIssuer } from '../../src/certs/development-issuer.ts'
import type { KeyAndChain } from '../../src/certs/issuer.ts'
import { TransportError } from '../../src/transport/errors.ts'
import { type DialTlsOptions, dialTls } from '../../src/transport/tls.ts'
import { TlsAcceptor } from '../../src/transport/tls-acceptor.ts'
import { enterClock } from '../certs/support.ts'
import { listening } from '../support/listening.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {} }
const issuer = await DevelopmentIssuer.load({ directory: t.testdir(), log: quiet })
const ca = readFileSync(issuer.caPath, 'utf8')
const pair = await issuer.issue('localhost')

function gateway(t: Test, { key, chain }: KeyAndChain = pair): Promise<number> {
  const server = tls.createServer({ key, cert: chain }, (socket) => {
    socket.on('error', () => {})
    socket.end('hello')
  })
  return listening(t, server)
}

function dial(
  options: Partial<DialTlsOptions> & { port: number },
  signal = new AbortController().signal,
) {
  return dialTls({ host: 'localhost', ca, ...options })(signal)
}

/** Fails the test unless the dialling fails so; gives the error. */
async function failure(
  t: Test,
  dialling: Promise<tls.TLSSocket>,
  code: string,
  message: RegExp,
): Promise<TransportError> {
  const error = await dialling.then(
    (socket) => socket.destroy(),
    (error) => error,
  )
  t.ok(error instanceof TransportError, String(error))
  t.match(error, { code, message })
  t.match(error.message, /^[ -~]{1,300}$/)
  return error as TransportError
}

t.test('gives a socket that is connected, verified, and the caller’s alone', async (t) => {
  const port = await gateway(t)
  const bare = tls.connect({ port, host: 'localhost', ca })
  await once(bare, 'secureConnect')
  const socket = await dial({ port })
  t.teardown(() => [bare, socket].forEach((one) => void one.destroy()))
  t.ok(socket.authorized)
  t.equal(socket.getPeerCertificate().subjectaltname, 'DNS:localhost')
  for (const event of ['error', 'close', 'secureConnect', 'timeout']) {
    t.equal(socket.listenerCount(event), bare.listenerCount(event), event)
  }
  const [greeting] = await once(socket, 'data')
  t.equal(String(greeting), 'hello')
})

t.test('asks for the server name it is given, which need not be the host', async (t) => {
  const port = await gateway(t)
  const socket = await dial({ port, host: '127.0.0.1', servername: 'localhost' })
  t.ok(socket.authorized)
  socket.destroy()
  const wrong = dial({ port, host: '127.0.0.1', servername: 'tunnel.example.com' })
  const expected = /is for DNS:localhost, not for tunnel\.example\.com: .*tunnel_addr/
  const error = await failure(t, wrong, 'TRANSPORT_CERTIFICATE', expected)
  t.match(error.cause, { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  await failure(
    t,
    dial({ port, host: '127.0.0.1' }),
    'TRANSPORT_CERTIFICATE',
    /not for 127\.0\.0\.1/,
  )
})

t.test('an unknown CA is refused, with the way out', async (t) => {
  const port = await gateway(t)
  const other = await DevelopmentIssuer.load({ directory: t.testdir(), log: quiet })
  for (const trusted of [undefined, readFileSync(other.caPath)]) {
    const dialling = dialTls({ host: 'localhost', port, ca: trusted })(new AbortController().signal)
    const error = await failure(t, dialling, 'TRANSPORT_CERTIFICATE', /ca_file.*skip_tls_verify/)
    t.match(error.cause, { code: String })
  }
  const socket = await dial({ port, ca: undefined, verify: false })
  t.notOk(socket.authorized)
  socket.destroy()
})

t.test('a certificate out of its time is refused', async (t) => {
  for (const [at, message] of [
    ['2024-01-01', /has expired: renew it, or set the clock/],
    ['2095-01-01', /not valid yet: set the clock/],
  ] as const) {
    await t.test(at, async (t) => {
      let old: KeyAndChain | undefined
      await t.test('made then', async (t) => {
        enterClock(t, at)
        const directory = t.testdir()
        old = await (await DevelopmentIssuer.load({ directory, log: quiet })).issue('localhost')
      })
      // Its CA is of that time too, so it is told first what is wrong with the leaf.
      const port = await gateway(t, old)
      await failure(t, dial({ port, ca: old?.chain }), 'TRANSPORT_CERTIFICATE', message)
    })
  }
})

t.test('a connection that does not come about', async (t) => {
  t.test('because nobody listens', async (t) => {
    const server = net.createServer()
    const port = await listening(t, server)
    server.close()
    const error = await failure(
      t,
      dial({ port }),
      'TRANSPORT_DIAL_FAILED',
      /^localhost:\d+ refused/,
    )
    t.match(error.cause, { code: 'ECONNREFUSED' })
  })

  t.test('because the name is not known', async (t) => {
    const dialling = dial({ port: 1, host: 'no-such-host.invalid' })
    const expected = /check the (host name|name servers)/
    await failure(t, dialling, 'TRANSPORT_DIAL_FAILED', expected)
  })

  t.test('because the peer speaks no TLS', async (t) => {
    const server = net.createServer((socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    const port = await listening(t, server)
    await failure(t, dial({ port }), 'TRANSPORT_DIAL_FAILED', /does not speak TLS.*tunnel port/)
  })

  t.test('because the peer hangs up', async (t) => {
    for (const leave of ['end', 'resetAndDestroy'] as const) {
      const server = net.createServer((socket) => {
        socket.once('data', () => socket[leave]())
      })
      const port = await listening(t, server)
      const expected = /ended the connection during the TLS handshake/
      await failure(t, dial({ port }), 'TRANSPORT_DIAL_FAILED', expected)
    }
  })

  t.test('because the gateway has no certificate for the name', async (t) => {
    for (const [certificateFor, message] of [
      [async () => undefined, /has no certificate for localhost.*TUNNEL_HOST/],
      [() => Promise.reject(new Error('x')), /failed to show a certificate for localhost/],
    ] as const) {
      const nothing = { onConnection() {}, onError() {}, defaultName: 'localhost' }
      const port = await listening(t, new TlsAcceptor({ ...nothing, certificateFor }))
      await failure(t, dial({ port }), 'TRANSPORT_DIAL_FAILED', message)
    }
  })

  t.test('in time', async (t) => {
    const server = net.createServer((socket) => void socket.resume())
    const port = await listening(t, server)
    const connected = once(server, 'connection')
    const expected = /did not answer within 0\.1 s \(TLS handshake\): check/
    await failure(t, dial({ port, timeoutMs: 100 }), 'TRANSPORT_TIMEOUT', expected)
    const [socket] = (await connected) as [net.Socket]
    if (!socket.destroyed) await once(socket, 'close')
    t.pass('and is closed')
  })
})

t.test('an aborted signal ends the dialling, with its reason', async (t) => {
  const server = net.createServer((socket) => void socket.resume())
  const port = await listening(t, server)
  const reason = new Error('not wanted any more')
  await t.rejects(dial({ port }, AbortSignal.abort(reason)), reason)

  const controller = new AbortController()
  const connected = once(server, 'connection')
  const dialling = t.rejects(dial({ port }, controller.signal), reason)
  const [socket] = (await connected) as [net.Socket]
  controller.abort(reason)
  await dialling
  if (!socket.destroyed) await once(socket, 'close')
})

t.test('an aborted signal leaves alone what was handed over', async (t) => {
  const controller = new AbortController()
  const socket = await dial({ port: await gateway(t) }, controller.signal)
  controller.abort()
  const [greeting] = await once(socket, 'data')
  t.equal(String(greeting), 'hello')
  socket.destroy()
})
