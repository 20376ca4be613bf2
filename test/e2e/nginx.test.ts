import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { connect } from 'node:tls'
import t from 'tap'
import { opensslPair } from '../certs/support.ts'
import { startAgent, startGateway, temporaryDirectory } from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { startHaproxy, startNginx } from './daemons.ts'
import { bytesUpTo, closedPort } from './targets.ts'
import { curl, run } from './visitor.ts'

// nginx as the target: with a certificate of its own, which the gateway does not have (mode tls), and
// told by the PROXY protocol who its visitor is. HAProxy tells the gateway the same.

const skip = lacks('nginx', 'haproxy', 'curl', 'openssl')
/** A visitor who is not who everybody else on this machine is. */
const elsewhere = '127.0.0.2'
const balancer = '127.0.0.3'

t.test('nginx', { skip }, async (t) => {
  const directory = temporaryDirectory(t)
  const pair = opensslPair(directory, 'DNS:own.localhost')
  const own = { file: join(directory, 'own.crt'), keyFile: join(directory, 'own.key') }
  writeFileSync(own.file, pair.chain)
  writeFileSync(own.keyFile, pair.key)
  const content = await buffer(bytesUpTo(20_000_000))
  writeFileSync(join(directory, 'file'), content)
  const plain = { tls: await closedPort(), v1: await closedPort(), v2: await closedPort() }
  const ports = { ...plain, tlsV2: await closedPort() }
  const secure = `ssl http2; ssl_certificate ${own.file}; ssl_certificate_key ${own.keyFile}`
  const server = (listen: string) => `server {
    listen 127.0.0.1:${listen};
    root ${directory};
    location = / { return 200 "$proxy_protocol_addr $proxy_protocol_server_port\\n"; }
  }`
  const servers = [
    server(`${ports.tls} ${secure}`),
    server(`${ports.v1} proxy_protocol`),
    server(`${ports.v2} proxy_protocol`),
    server(`${ports.tlsV2} proxy_protocol ${secure}`),
  ]
  await startNginx(t, servers.join('\n'), Object.values(ports), directory)

  const env = { TCP_PORTS: '20000-29999', TRUSTED_PROXIES: balancer }
  const gateway = await startGateway(t, { env })
  const { public: publicPort } = gateway.ports
  const agent = await startAgent(t, gateway, [
    { hostname: 'own.localhost', target: ports.tls, mode: 'tls' },
    { hostname: 'v1.localhost', target: ports.v1, mode: 'tcp', proxy_protocol: 'v1' },
    {
      hostname: 'v2.localhost',
      target: ports.v2,
      mode: 'tcp',
      proxy_protocol: 'v2',
      listen_port: 0,
    },
    { hostname: 'tls-v2.localhost', target: ports.tlsV2, mode: 'tls', proxy_protocol: 'v2' },
  ])
  const { ports: given } = (await agent.waitFor('connected')) as unknown as {
    ports: { 'v2.localhost': number }
  }
  const url = (host: string, port = publicPort) => `https://${host}:${port}/`
  /** By a visitor who trusts nginx's certificate, and nothing else. */
  const ofItsOwn = { ...gateway, caFile: own.file }

  t.test('shows its own certificate, which the gateway has not', async (t) => {
    const { code, stdout } = await curl(ofItsOwn, url('own.localhost'), ['-w', '%{http_version}'])
    t.strictSame([code, stdout.toString()], [0, ' \n2'], 'and speaks HTTP/2, as it likes')
    const socket = connect({
      host: '127.0.0.1',
      port: publicPort,
      servername: 'own.localhost',
      ca: pair.chain,
    })
    await once(socket, 'secureConnect')
    const { fingerprint256 } = new X509Certificate(pair.chain)
    t.equal(socket.getPeerCertificate().fingerprint256, fingerprint256)
    socket.destroy()

    t.match(await curl(gateway, url('own.localhost')), { code: 60 }, "the gateway's CA is no help")
    const kept = readdirSync(gateway.directory, { recursive: true }).map(String)
    t.ok(kept.some((file) => file.endsWith('ca.pem')))
    t.strictSame(
      kept.filter((file) => file.includes('own')),
      [],
    )
  })

  t.test('serves a file through it, whole', async (t) => {
    const { code, stdout } = await curl(ofItsOwn, `${url('own.localhost')}file`)
    t.equal(code, 0)
    t.ok(stdout.equals(content))
  })

  t.test('is told who the visitor is', async (t) => {
    const from = ['--interface', elsewhere]
    const told = async (host: string, door = gateway) =>
      (await curl(door, url(host), from)).stdout.toString()
    // The port is the one that the visitor has reached.
    t.equal(await told('v1.localhost'), `${elsewhere} ${publicPort}\n`)
    t.equal(await told('v2.localhost'), `${elsewhere} ${publicPort}\n`)
    const listenPort = given['v2.localhost']
    const plain = await run('curl', ['-sS', ...from, `http://127.0.0.1:${listenPort}/`])
    t.equal(plain.stdout.toString(), `${elsewhere} ${listenPort}\n`)
    const inside = await curl(ofItsOwn, url('tls-v2.localhost'), [...from, '--insecure'])
    t.equal(inside.stdout.toString(), `${elsewhere} ${publicPort}\n`)
  })

  for (const header of ['send-proxy', 'send-proxy-v2']) {
    t.test(`is told the same behind a load balancer (${header})`, async (t) => {
      const port = await startHaproxy(t, publicPort, `${header} source ${balancer}`)
      for (const [host, door] of [
        ['v1.localhost', gateway],
        ['tls-v2.localhost', ofItsOwn],
      ] as const) {
        const options = ['--interface', elsewhere, '--insecure']
        const { stdout } = await curl(door, url(host, port), options)
        t.equal(stdout.toString(), `${elsewhere} ${port}\n`, host)
      }
      const lines = gateway.program.logged('connection', { remoteAddress: balancer })
      t.strictSame(lines, [], 'and the gateway logs the visitor too')
    })
  }

  t.test('believes no one else: a header from elsewhere is no header', async (t) => {
    const port = await startHaproxy(t, publicPort, 'send-proxy-v2')
    t.match(await curl(gateway, url('v1.localhost', port)), { code: 35 })
  })

  t.test('gets whole what goes through at its fastest, and nobody warns', async (t) => {
    const visits = Array.from({ length: 8 }, () => curl(ofItsOwn, `${url('own.localhost')}file`))
    for (const { stdout } of await Promise.all(visits)) t.ok(stdout.equals(content))
    t.strictSame(agent.warnings, [])
  })
})
