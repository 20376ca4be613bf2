import { execFileSync } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import { checkEngine, startEngine } from '../../../src/certs/acme/engine.ts'
import { AcmeError } from '../../../src/certs/acme/errors.ts'
import { AcmeHttp, readRetryAfter } from '../../../src/certs/acme/http.ts'
import { runIsolated } from '../../../src/certs/acme/isolated.ts'
import type { AccountKey } from '../../../src/certs/acme/jws.ts'
import { certificateId } from '../../../src/certs/acme/renewal-info.ts'
import type { EngineRequest } from '../../../src/certs/acme/transport.ts'
import { certificateRequest, challengeCertificate } from '../../../src/certs/acme/x509.ts'
import { newKeys } from '../../../src/certs/keys.ts'
import { workerFile } from './fixture.ts'

const base = 'https://ca.test'

t.test('the engine is the one that we know', async (t) => {
  checkEngine()
  t.equal(await runIsolated({ kind: 'check' }, { workerFile }), '')
})

t.test('the engine asks nobody but its transport, and tells nobody else', async (t) => {
  const spied = spyOnProcess(t)
  t.clock.enter()
  t.teardown(() => t.clock.exit())
  const asked: EngineRequest[] = []
  const challenge = { type: 'http-01', url: `${base}/challenge`, token: 'tkn', status: 'pending' }
  const answers: Record<string, object | string> = {
    '/dir': {
      ...{ newNonce: `${base}/nonce`, newAccount: `${base}/account`, newOrder: `${base}/order` },
      meta: {},
    },
    '/nonce': '',
    '/account': { status: 'valid' },
    '/order': { finalize: `${base}/finalize`, authorizations: [`${base}/authorization`] },
    '/authorization': { identifier: { type: 'dns', value: 'a.test' }, challenges: [challenge] },
    '/challenge': { status: 'valid' },
    '/finalize': { status: 'valid', certificate: `${base}/certificate` },
    '/certificate': '-leaf-\n\n-issuer-\n',
  }
  const engine = await startEngine(`${base}/dir`, async (request) => {
    asked.push(request)
    const headers = { 'replay-nonce': 'n', location: `${base}/kid` }
    return { statusCode: 200, headers, body: answers[new URL(request.url).pathname] }
  })
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = privateKey.export({ format: 'jwk' }) as AccountKey
  const untouched = structuredClone(key)
  t.equal(await engine.register(key, undefined), `${base}/kid`)
  const presented: string[] = []
  const present = async (one: { keyAuthorization: string }) => {
    presented.push(one.keyAuthorization)
  }
  const order = { hostname: 'a.test', key, kid: `${base}/kid`, challengeType: 'http-01', present }
  t.equal(await engine.order(order), '-leaf-\n-issuer-\n')
  t.match(presented, [/^tkn\.[\w-]{43}$/])
  t.strictSame(key, untouched, 'the key is not written into')
  t.clock.advance(3_600_000) // stock, it tells a third party of us after 3 s
  await new Promise((resolve) => realSetImmediate(resolve))
  const paths = new Set(asked.map(({ url }) => new URL(url).pathname))
  t.strictSame(
    [...paths].sort(),
    Object.keys(answers)
      .sort()
      .filter((path) => path !== '/nonce'),
    'nonces came with the answers',
  )
  t.strictSame(spied(), { sockets: 0, printed: [] })
})

const realSetImmediate = setImmediate

function spyOnProcess(t: Test) {
  let sockets = 0
  const printed: unknown[] = []
  const { connect } = Socket.prototype
  Socket.prototype.connect = function (...args: unknown[]) {
    sockets += 1
    return (connect as (...args: unknown[]) => Socket).apply(this, args)
  }
  const names = ['log', 'info', 'warn', 'error', 'debug'] as const
  const before = names.map((name) => console[name])
  for (const name of names) console[name] = (...words) => void printed.push(words)
  const restore = () => {
    Socket.prototype.connect = connect
    for (const [at, name] of names.entries()) console[name] = before[at] as typeof console.log
  }
  t.teardown(restore)
  return () => {
    restore()
    return { sockets, printed }
  }
}

t.test('whatever the engine does in its worker, the gateway goes on', async (t) => {
  const directory = t.testdir()
  const run = (code: string, signal?: AbortSignal) => {
    const file = join(directory, `${Math.random()}.mjs`)
    writeFileSync(file, `import { parentPort } from 'node:worker_threads'\n${code}`)
    return runIsolated({ kind: 'check' }, { workerFile: pathToFileURL(file), signal })
  }
  const failed = (message: RegExp) => ({ code: 'ACME_ENGINE_FAILED', message })
  await t.rejects(run('process.exit(1)'), failed(/ended without a result, with code 1/))
  await t.rejects(run('throw new Error("oops")'), failed(/oops/))
  await t.rejects(run('Promise.reject(new Error("later"))'), failed(/later/))
  await t.rejects(run('parentPort.close()'), failed(/without a result/))
  await t.rejects(
    run('const all = []; for (;;) all.push("x".repeat(9999).split(""))'),
    failed(/memory/),
  )
  const hung = AbortSignal.timeout(300)
  let turns = 0
  const turning = setInterval(() => (turns += 1), 5)
  await t.rejects(run('for (;;);', hung), { name: 'TimeoutError' })
  clearInterval(turning)
  t.ok(turns > 10, `${turns} turns of the event loop meanwhile`)
  const talking =
    'console.log("x".repeat(1e6)); parentPort.postMessage({ kind: "done", result: process.env.PATH ?? "no environment" })'
  t.equal(await run(talking), 'no environment')
})

t.test('a transport speaks https, and to the hosts of the directory only', async (t) => {
  const http = new AcmeHttp({ directoryUrl: `${base}/dir`, userAgent: 'test' })
  t.teardown(() => http.close())
  const urls = [
    ...['http://ca.test/dir', 'https://ca.test:8443/dir', 'https://api.rootprojects.org/api/nonce'],
    ...['https://ca.test.evil.test/', 'https://ca.test@evil.test/', 'file:///etc/passwd', '', 'x'],
  ]
  for (const url of urls) {
    await t.rejects(http.send({ method: 'GET', url }), { code: 'ACME_HOST_REFUSED' }, url)
  }
})

t.test('requests and challenge certificates are what openssl takes', async (t) => {
  const directory = t.testdir()
  const openssl = (input: Buffer | string, ...args: string[]) =>
    execFileSync('openssl', args, { input, stdio: ['pipe', 'pipe', 'pipe'] }).toString()
  const file = join(directory, 'challenge.pem')
  for (let i = 0; i < 20; i += 1) {
    const request = await certificateRequest('a.test', await newKeys())
    const args = ['req', '-inform', 'der', '-verify', '-noout', '-text']
    t.match(openssl(request, ...args), /CN = a\.test[\s\S]*DNS:a\.test/)
  }
  const long = `${'label.'.repeat(12)}test`
  const unnamed = await certificateRequest(long, await newKeys())
  const read = openssl(unnamed, 'req', '-inform', 'der', '-verify', '-noout', '-text')
  t.match(read, /Subject: *\n[\s\S]*DNS:label\./, 'too long for a common name')
  const { chain } = await challengeCertificate('a.test', 'token.thumbprint')
  writeFileSync(file, chain)
  const text = openssl(chain, 'x509', '-noout', '-text')
  t.match(text, /DNS:a\.test/)
  t.match(text, /1\.3\.6\.1\.5\.5\.7\.1\.31: critical/)
  // Signatures differ in length, and so does what is around them.
  for (let i = 0; i < 300; i += 1) {
    const { key, chain } = await challengeCertificate('a.test', `${i}`)
    if (!new X509Certificate(chain).checkPrivateKey(createPrivateKey(key))) t.fail(chain)
    if (/\n\n/.test(chain)) t.fail('an empty line')
  }
  t.match(openssl('', 'verify', '-CAfile', file, '-check_ss_sig', '-ignore_critical', file), /OK/)
})

t.test('a certificate is called as RFC 9773 has it', async (t) => {
  t.equal(certificateId(EXAMPLE), 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE')
})

t.test('Retry-After is seconds or a date', async (t) => {
  const nowMs = Date.parse('2026-03-01T00:00:00Z')
  const cases: [string | undefined, number | undefined][] = [
    ['7', 7000],
    ['0', 0],
    ['Sun, 01 Mar 2026 00:01:00 GMT', 60_000],
    ['Sat, 28 Feb 2026 00:00:00 GMT', 0],
    ['soon', undefined],
    [undefined, undefined],
  ]
  for (const [header, ms] of cases) t.equal(readRetryAfter(header, nowMs), ms, String(header))
})

t.test('an error about the account is told from others', async (t) => {
  t.equal(new AcmeError('ACME_ACCOUNT_REFUSED', '').isOfAccount, true)
  t.equal(new AcmeError('ACME_RATE_LIMITED', '').isOfAccount, false)
})

// RFC 9773, appendix A.
const EXAMPLE = `-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
`
