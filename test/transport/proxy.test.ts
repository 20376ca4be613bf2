import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import * as net from 'node:net'
import * as tls from 'node:tls'
import t, { type Test } from 'tap'
import { DevelopmentIssuer } from '../../src/certs/development-issuer.ts'
import { Secret } from '../../src/config/secret.ts'
import type { ProxyServer } from '../../src/net/proxy-server.ts'
import { dialTls } from '../../src/transport/tls.ts'
import { RecordingLog } from '../certs/support.ts'
import { listening } from '../support/listening.ts'

// Proxies written here, in a few lines each, and dialled by real sockets. Debian's are in test/e2e.

const issuer = await DevelopmentIssuer.load({ directory: t.testdir(), log: new RecordingLog() })
const ca = readFileSync(issuer.caPath, 'utf8')
const { key, chain } = await issuer.issue('gateway.test')
const credentials = { username: 'Aladdin', password: new Secret('open:sesame é') }

/** A TLS server that greets: `gateway.test`, which nobody can look up. */
const gateway = tls.createServer({ key, cert: chain }, (socket) => {
  socket.on('error', () => {})
  socket.end('hello')
})
const gatewayPort = await listening(t, gateway)

/** A server whose conversation is scripted: each text or Buffer is an answer to what was read until then. */
async function scripted(
  t: Test,
  answers: readonly (Buffer | string)[],
  { isChopped = false } = {},
) {
  const heard: Buffer[] = []
  const server = net.createServer((socket) => {
    let turn = 0
    socket.on('data', (chunk) => {
      const answer = answers[turn]
      if (answer === undefined) return
      heard.push(chunk)
      turn += 1
      const bytes = Buffer.from(answer as string, 'latin1')
      if (turn === answers.length) relay(socket)
      if (!isChopped) return void socket.write(bytes)
      for (const byte of bytes) socket.write(Buffer.from([byte]))
    })
  })
  const relay = (socket: net.Socket) => {
    socket.removeAllListeners('data')
    const onward = net.connect({ port: gatewayPort, host: '127.0.0.1' })
    onward.on('error', () => socket.destroy())
    socket.pipe(onward).pipe(socket)
    socket.on('close', () => onward.destroy())
  }
  return { port: await listening(t, server), heard }
}

function dial(proxy: Omit<ProxyServer, 'host'>, host = 'gateway.test', timeoutMs = 10_000) {
  const options = { host, port: 9443, servername: 'gateway.test', ca, timeoutMs }
  return dialTls({ ...options, proxy: { host: '127.0.0.1', ...proxy } })(
    AbortSignal.timeout(20_000),
  )
}

async function greeted(dialling: Promise<tls.TLSSocket>): Promise<string> {
  const socket = await dialling
  const [greeting] = await once(socket, 'data')
  socket.destroy()
  return String(greeting)
}

const established = 'HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n'
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

t.test('HTTP', async (t) => {
  t.test('is asked for the gateway by name, and TLS goes through', async (t) => {
    for (const isChopped of [false, true]) {
      const { port, heard } = await scripted(t, [established], { isChopped })
      t.equal(await greeted(dial({ kind: 'http', port })), 'hello')
      t.equal(
        String(heard[0]),
        'CONNECT gateway.test:9443 HTTP/1.1\r\nHost: gateway.test:9443\r\nConnection: keep-alive\r\n\r\n',
      )
    }
  })

  t.test('is asked for an IPv6 address in brackets', async (t) => {
    const { port, heard } = await scripted(t, [established])
    t.equal(await greeted(dial({ kind: 'http', port }, '2001:db8::1')), 'hello')
    t.match(
      String(heard[0]),
      /^CONNECT \[2001:db8::1\]:9443 HTTP\/1\.1\r\nHost: \[2001:db8::1\]:9443/,
    )
  })

  t.test('is given credentials', async (t) => {
    const { port, heard } = await scripted(t, [established])
    t.equal(await greeted(dial({ kind: 'http', port, credentials })), 'hello')
    const [, basic = ''] = /^Proxy-Authorization: Basic (.*)\r$/m.exec(String(heard[0])) ?? []
    t.equal(String(Buffer.from(basic, 'base64')), 'Aladdin:open:sesame é')
  })

  const failures: [name: string, answer: string, message: RegExp][] = [
    ['a refusal', 'HTTP/1.1 403 Forbidden\r\n\r\n', /: it refuses the connection: 403 Forbidden$/],
    ['no reason', 'HTTP/1.0 502\r\n\r\n', /: it refuses the connection: 502$/],
    ['407', 'HTTP/1.1 407 No\r\n\r\n', /it wants credentials \(407\): http:\/\/user/],
    ['control characters', 'HTTP/1.1 500 \x1b[31m\x00\r\n\r\n', /500 \?\[31m\?$/],
    ['something else', 'SSH-2.0-OpenSSH_9.2\r\n', /not as an HTTP proxy does$/],
    ['HTTP of another kind', 'HTTP/2 200 OK\r\n\r\n', /not as an HTTP proxy does$/],
    [
      'a header without end',
      `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(20_000)}`,
      /not as an HTTP proxy does$/,
    ],
  ]
  for (const [name, answer, message] of failures) {
    t.test(`fails by ${name}`, async (t) => {
      const { port } = await scripted(t, [answer])
      await t.rejects(dial({ kind: 'http', port }), { code: 'TRANSPORT_PROXY_FAILED', message })
    })
  }

  t.test('says that it does not take the credentials, and not which they are', async (t) => {
    const { port } = await scripted(t, ['HTTP/1.1 407 No\r\n\r\n'])
    const error = await dial({ kind: 'http', port, credentials }).catch((error) => error)
    t.match(error, {
      code: 'TRANSPORT_PROXY_FAILED',
      message: `the proxy 127.0.0.1:${port}: it does not take these credentials (407)`,
    })
    t.notMatch(JSON.stringify([error.message, error.stack, error.cause.stack]), /sesame|Aladdin/)
  })
})

t.test('SOCKS5', async (t) => {
  const done = hex('05 00 00 01 7f000001 1f90')

  t.test('is asked for the gateway by name, and TLS goes through', async (t) => {
    for (const isChopped of [false, true]) {
      for (const reply of [
        done,
        hex('05 00 00 03 03 616263 1f90'),
        hex(`05 00 00 04 ${'00'.repeat(16)} 1f90`),
      ]) {
        const { port, heard } = await scripted(t, [hex('05 00'), reply], { isChopped })
        t.equal(await greeted(dial({ kind: 'socks5', port })), 'hello')
        t.equal(heard[0]?.toString('hex'), '050100')
        t.equal(
          heard[1]?.toString('hex'),
          `05010003${'0c'}${Buffer.from('gateway.test').toString('hex')}24e3`,
        )
      }
    }
  })

  t.test('is asked for addresses as such', async (t) => {
    for (const [host, address] of [
      ['192.0.2.1', '01 c0000201'],
      ['2001:db8::1', '04 20010db8000000000000000000000001'],
      ['::', `04 ${'00'.repeat(16)}`],
      ['1:2:3:4:5:6:7:8', '04 00010002000300040005000600070008'],
      ['::ffff:192.0.2.1', '04 00000000000000000000ffffc0000201'],
      ['fe80::1%eth0', '04 fe800000000000000000000000000001'],
    ] as const) {
      const { port, heard } = await scripted(t, [hex('05 00'), done])
      t.equal(await greeted(dial({ kind: 'socks5', port }, host)), 'hello')
      t.equal(heard[1]?.toString('hex'), `050100${address}24e3`.replaceAll(' ', ''), host)
    }
  })

  t.test('is given credentials where it wants them', async (t) => {
    const { port, heard } = await scripted(t, [hex('05 02'), hex('01 00'), done])
    t.equal(await greeted(dial({ kind: 'socks5', port, credentials })), 'hello')
    t.equal(heard[0]?.toString('hex'), '05020002')
    const password = Buffer.from('open:sesame é')
    t.equal(
      heard[1]?.toString('hex'),
      `0107${Buffer.from('Aladdin').toString('hex')}0e${password.toString('hex')}`,
    )
    const other = await scripted(t, [hex('05 00'), done])
    t.equal(await greeted(dial({ kind: 'socks5', port: other.port, credentials })), 'hello')
    t.equal(other.heard.length, 2, 'and not where it does not')
  })

  const failures: [name: string, answers: string[], message: RegExp, has?: boolean][] = [
    ['a proxy that wants credentials', ['05 ff'], /it wants credentials: socks5:\/\/user/],
    ['one that chooses what was not offered', ['05 02', '01 01'], /it wants credentials/],
    ['wrong credentials', ['05 02', '01 01'], /it does not take these credentials$/, true],
    ['its rules', ['05 00', '05 02 00 01 00000000 0000'], /NotAllowed$/],
    ['an unreachable host', ['05 00', '05 04 00 01 00000000 0000'], /HostUnreachable$/],
    ['a refused connection', ['05 00', '05 05 00 01 00000000 0000'], /ConnectionRefused$/],
    ['an unknown reply', ['05 00', '05 63 00 01 00000000 0000'], /rejected connection/],
    ['another protocol', ['48 54 54 50'], /not as a SOCKS5 proxy does$/],
  ]
  for (const [name, answers, message, has] of failures) {
    t.test(`fails by ${name}`, async (t) => {
      const { port } = await scripted(t, answers.map(hex))
      const proxy = { kind: 'socks5', port, ...(has && { credentials }) } as const
      await t.rejects(dial(proxy), { code: 'TRANSPORT_PROXY_FAILED', message })
    })
  }

  t.test('takes no names of more than 255 bytes', async (t) => {
    const { port } = await scripted(t, [hex('05 00'), done])
    await t.rejects(dial({ kind: 'socks5', port }, 'x'.repeat(256)), {
      code: 'TRANSPORT_PROXY_FAILED',
      message: /invalid destination host/,
    })
  })
})

t.test('a proxy that is not there, hangs up, or is silent', async (t) => {
  const closing = net.createServer((socket) => socket.end())
  const silent = net.createServer((socket) => void socket.resume())
  const gone = net.createServer()
  const [closingPort, silentPort] = [await listening(t, closing), await listening(t, silent)]
  gone.listen(0, '127.0.0.1')
  await once(gone, 'listening')
  const { port: gonePort } = gone.address() as net.AddressInfo
  await new Promise((resolve) => gone.close(resolve))
  for (const kind of ['http', 'socks5'] as const) {
    const failed = { code: 'TRANSPORT_PROXY_FAILED' }
    await t.rejects(dial({ kind, port: gonePort }), { ...failed, message: /ECONNREFUSED/ })
    await t.rejects(dial({ kind, port: closingPort }), { ...failed, message: /hang up|closed/ })
    await t.rejects(dial({ kind, port: silentPort }, 'gateway.test', 50), {
      code: 'TRANSPORT_TIMEOUT',
      message: /within 0.05 s \(proxy\): check the address of the proxy/,
    })
  }
})

t.test('an aborted signal ends the dialling, and the connection to the proxy', async (t) => {
  const server = net.createServer((socket) => void socket.resume())
  const port = await listening(t, server)
  const controller = new AbortController()
  const proxy = { kind: 'http', host: '127.0.0.1', port } as const
  const dialling = dialTls({ host: 'gateway.test', port: 1, proxy })(controller.signal)
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  const closed = once(socket, 'close')
  controller.abort(new Error('enough'))
  await t.rejects(dialling, { message: 'enough' })
  await closed
})

t.test('the certificate is the gateway’s, whoever made the connection', async (t) => {
  const { port } = await scripted(t, [established])
  const proxy = { kind: 'http', host: '127.0.0.1', port } as const
  const dialled = dialTls({ host: 'other.test', port: 9443, ca, proxy })(
    AbortSignal.timeout(20_000),
  )
  await t.rejects(dialled, { code: 'TRANSPORT_CERTIFICATE', message: /not for other\.test/ })
})
