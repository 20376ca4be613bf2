import { execFile, execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import * as tls from 'node:tls'
import { promisify } from 'node:util'
import t from 'tap'
import { readCertificate } from '../../src/certs/certificate.ts'
import { DevelopmentIssuer } from '../../src/certs/development-issuer.ts'
import { enterClock, opensslPair, RecordingLog } from './support.ts'

const run = promisify(execFile)

t.test('makes a CA once, and issues from it', async (t) => {
  const directory = t.testdir()
  const log = new RecordingLog()
  const first = await DevelopmentIssuer.load({ directory, log })
  const again = await DevelopmentIssuer.load({ directory, log })
  t.equal(again.storeName, first.storeName)
  t.match(first.storeName, /^development-[0-9a-f]{16}$/)
  t.equal(log.count('development CA made'), 1)
  t.strictSame(readdirSync(directory).sort(), ['ca.key', 'ca.pem'])
  for (const file of ['ca.key', 'ca.pem']) {
    t.equal(statSync(join(directory, file)).mode & 0o777, 0o600, file)
  }

  const ca = new X509Certificate(readFileSync(first.caPath))
  t.equal(ca.subject, 'CN=gotunnel development CA')
  t.ok(ca.ca)
  const pair = await again.issue('app.example.test')
  const leaf = new X509Certificate(pair.chain)
  t.ok(leaf.checkIssued(ca) && leaf.verify(ca.publicKey))
  t.equal(leaf.subjectAltName, 'DNS:app.example.test')
  t.notOk(leaf.ca)
  t.strictSame(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1'], 'extended: serverAuth')
  t.ok(Date.parse(leaf.validFrom) <= Date.now() - 59 * 60_000, 'valid since an hour ago')
  const days = (Date.parse(leaf.validTo) - Date.now()) / 86_400_000
  t.ok(days > 89 && days <= 90, `${days} days`)
  t.strictSame(readCertificate(pair).names, ['app.example.test'])
})

t.test('its certificates are accepted by openssl and curl', async (t) => {
  const directory = t.testdir()
  const issuer = await DevelopmentIssuer.load({ directory, log: new RecordingLog() })
  const pair = await issuer.issue('app.example.test')
  const leafPath = join(directory, 'leaf.pem')
  writeFileSync(leafPath, pair.chain)
  const verify = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', issuer.caPath]
  const told = execFileSync('openssl', [
    ...verify,
    '-verify_hostname',
    'app.example.test',
    leafPath,
  ])
  t.match(String(told), 'OK')

  const server = tls.createServer({ key: pair.key, cert: pair.chain }, (socket) => {
    socket.on('error', () => {})
    socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello')
  })
  server.listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const resolve = ['--resolve', `app.example.test:${port}:127.0.0.1`]
  const url = `https://app.example.test:${port}/`
  const { stdout } = await run('curl', ['-sS', '--cacert', issuer.caPath, ...resolve, url])
  t.equal(stdout, 'hello')
})

t.test('issues for the longest hostname there is', async (t) => {
  const issuer = await DevelopmentIssuer.load({ directory: t.testdir(), log: new RecordingLog() })
  const hostname = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`
  t.equal(hostname.length, 253)
  t.strictSame(readCertificate(await issuer.issue(hostname)).names, [hostname])
})

t.test('many gateways that start at once in one directory have one CA', async (t) => {
  const directory = t.testdir()
  const log = new RecordingLog()
  const starting = Array.from({ length: 12 }, () => DevelopmentIssuer.load({ directory, log }))
  const issuers = await Promise.all(starting)
  t.equal(new Set(issuers.map(({ storeName }) => storeName)).size, 1)
  t.equal(log.count('development CA made'), 1)
  t.strictSame(readdirSync(directory).sort(), ['ca.key', 'ca.pem'])
  const ca = new X509Certificate(readFileSync(join(directory, 'ca.pem')))
  for (const issuer of issuers) {
    const leaf = new X509Certificate((await issuer.issue('app.test')).chain)
    t.ok(leaf.verify(ca.publicKey))
  }
})

t.test('finishes what a crash between key and certificate has left', async (t) => {
  const directory = t.testdir()
  const log = new RecordingLog()
  await DevelopmentIssuer.load({ directory, log })
  const key = readFileSync(join(directory, 'ca.key'))
  rmSync(join(directory, 'ca.pem'))
  const issuer = await DevelopmentIssuer.load({ directory, log })
  t.strictSame(readFileSync(join(directory, 'ca.key')), key)
  t.ok(readCertificate(await issuer.issue('app.test')))
})

t.test('says which file is broken, and what to do', async (t) => {
  const made = t.testdir()
  const log = new RecordingLog()
  await DevelopmentIssuer.load({ directory: made, log })
  const key = readFileSync(join(made, 'ca.key'), 'utf8')
  const ca = readFileSync(join(made, 'ca.pem'), 'utf8')
  const other = opensslPair(t.testdir(), 'DNS:a.test')
  const cases: [string, Record<string, string>, RegExp][] = [
    ['no key', { 'ca.pem': ca }, /ca\.pem has no ca\.key beside it/],
    ['broken key', { 'ca.key': 'no', 'ca.pem': ca }, /ca\.key is not a P-256 private key/],
    ['broken certificate', { 'ca.key': key, 'ca.pem': 'no' }, /ca\.pem is not a certificate/],
    ['not a pair', { 'ca.key': key, 'ca.pem': other.chain }, /ca\.pem is not for ca\.key/],
  ]
  for (const [title, files, expected] of cases) {
    await t.test(title, async (t) => {
      const directory = t.testdir(files)
      const error = { code: 'CERT_UNUSABLE', message: expected }
      await t.rejects(DevelopmentIssuer.load({ directory, log }), error)
      const remedy = { message: /delete ca\.pem and ca\.key/ }
      await t.rejects(DevelopmentIssuer.load({ directory, log }), remedy)
    })
  }
})

t.test('refuses a CA that has expired', async (t) => {
  const directory = t.testdir()
  const log = new RecordingLog()
  const clock = enterClock(t, '2010-01-01')
  const issuer = await DevelopmentIssuer.load({ directory, log })
  clock.travel(Date.parse('2019-12-30'))
  const leaf = new X509Certificate((await issuer.issue('app.test')).chain)
  t.ok(Date.parse(leaf.validTo) < Date.parse('2020-01-02'), 'no leaf outlives its CA')
  clock.travel(Date.parse('2020-02-01'))
  await t.rejects(DevelopmentIssuer.load({ directory, log }), { message: /has expired/ })
})

t.test('follows no symbolic link to a key', async (t) => {
  const elsewhere = t.testdir({ 'victim.key': 'x', inside: {} })
  const directory = join(elsewhere, 'inside')
  symlinkSync(join(elsewhere, 'victim.key'), join(directory, 'ca.key'))
  await t.rejects(DevelopmentIssuer.load({ directory, log: new RecordingLog() }), {
    code: 'CERT_FILE_FAILED',
    message: /symbolic link/,
  })
  t.equal(readFileSync(join(elsewhere, 'victim.key'), 'utf8'), 'x')
})
