import { spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Gateway } from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { certsIn, createWorld, serialOf, startAgentOf } from './acme.ts'
import { serveHttp } from './targets.ts'
import { visit } from './visitor.ts'

const skip = lacks('pebble') || lacks('pebble-challtestsrv')

t.test('what may go wrong with certificates', { skip }, async (t) => {
  const world = await createWorld(t)
  const { proxy, pebble } = world
  const target = await serveHttp(t, (_request, response) => response.end('hello'))
  const names = ['app', 'lost', 'limited', 'hung', 'new', 'spare'].map(
    (label) => `${label}.example.com`,
  )
  const start = async (t: Test) => {
    const gateway = await world.start({ isWaited: false, env: { SHUTDOWN_GRACE_SEC: '1' } })
    t.teardown(() => gateway.program.kill('SIGKILL'))
    await startAgentOf(
      t,
      gateway,
      names.map((hostname) => ({ hostname, target })),
    )
    return gateway
  }
  const startOn = async (t: Test, disk: string) => {
    const env = { ACME_CACHE: join(disk, 'certificates') }
    const gateway = await world.start({ isWaited: false, env })
    t.teardown(() => gateway.program.kill('SIGKILL'))
    const offers = ['app.example.com', 'unsaved.example.com']
    await startAgentOf(
      t,
      gateway,
      offers.map((hostname) => ({ hostname, target })),
    )
    return gateway
  }
  const isServed = async (gateway: Gateway, name: string) => {
    const { status, body } = await visit(gateway, name)
    return status === 200 && String(body) === 'hello'
  }
  t.afterEach(() => {
    proxy.intercept = () => undefined
  })

  t.test('the CA does not find the name: it is not tried again before its time', async (t) => {
    const gateway = await start(t)
    const lost = 'lost.example.com'
    t.ok(await isServed(gateway, 'app.example.com'))
    await pebble.loseName(lost)
    await t.rejects(serialOf(gateway, lost))
    const failed = await gateway.program.waitFor('certificate not issued', { hostname: lost })
    t.match(failed, {
      level: 'error',
      kind: 'challenge',
      retryAfterMs: 60_000,
      error: /http-01: .*tls-alpn-01: /,
    })
    t.equal(proxy.orders(lost), 2, 'one a challenge')
    const before = proxy.asked.length
    for (let i = 0; i < 5; i += 1) await t.rejects(serialOf(gateway, lost))
    t.equal(proxy.asked.length, before)
    t.ok(await isServed(gateway, 'app.example.com'), 'others are served meanwhile')
    t.match(
      (await certsIn(world)).stdout,
      /^lost\.example\.com +failing .*\n +.*; next try 2.* UTC, in .*, or now with certs issue$/m,
    )
    await gateway.program.kill('SIGTERM')
  })

  t.test('and not after a restart either, but when the operator says so', async (t) => {
    const gateway = await start(t)
    const before = proxy.asked.length
    await t.rejects(serialOf(gateway, 'lost.example.com'))
    t.equal(proxy.asked.length, before)
    await pebble.findName('lost.example.com')
    t.match(await certsIn(world, 'issue', 'lost.example.com'), { code: 0, stdout: /valid until/ })
    t.ok(await isServed(gateway, 'lost.example.com'))

    proxy.intercept = ({ path }) => (path === '/order-plz' ? limited : undefined)
    await t.rejects(serialOf(gateway, 'limited.example.com'))
    const asked = proxy.asked.length
    await t.rejects(serialOf(gateway, 'limited.example.com'))
    const refused = await certsIn(world, 'issue', 'limited.example.com')
    t.match(refused, {
      code: 1,
      stderr: /no certificate for .* before 7\d\d\d s are over: .*too many.*CERT_BACKING_OFF/,
    })
    t.equal(proxy.asked.length, asked, 'a limit of the CA holds for commands too')
    await gateway.program.kill('SIGTERM')
  })

  t.test('the CA does not answer: nobody else waits, nor does the end', async (t) => {
    const gateway = await start(t)
    let reach = () => {}
    const reached = new Promise<void>((resolve) => (reach = resolve))
    proxy.intercept = () => {
      reach()
      return 'silence'
    }
    const waiting = t.rejects(serialOf(gateway, 'hung.example.com'))
    await reached
    t.ok(await isServed(gateway, 'app.example.com'))
    t.equal((await fetch(`http://127.0.0.1:${gateway.ports.dashboard}/healthz`)).status, 200)
    t.strictSame(await gateway.program.kill('SIGTERM'), { code: 0, signal: null })
    await waiting
  })

  t.test('the CA is down at the start: what is kept is served, and nothing asked', async (t) => {
    await pebble.stop()
    const before = proxy.asked.length
    const gateway = await start(t)
    t.ok(await isServed(gateway, 'app.example.com'))
    t.ok(await isServed(gateway, 'lost.example.com'))
    t.equal(proxy.asked.length, before)
    await t.rejects(serialOf(gateway, 'new.example.com'))
    await gateway.program.waitFor('certificate not issued', {
      kind: 'unreachable',
      retryAfterMs: 5_000,
    })
    await pebble.start()
    t.match(
      await certsIn(world, 'issue', 'new.example.com'),
      { code: 0 },
      'and a CA that has lost our account',
    )
    const found = 'the CA has lost our account, registering it again'
    t.equal(gateway.program.logged(found).length, 1)
    await gateway.program.kill('SIGTERM')
  })

  t.test('files are cut off: they are made anew', async (t) => {
    const files = filesIn(world.cache)
    t.ok(files.length >= 6, `${files.length} files`)
    for (const file of files) truncateSync(file, statSync(file).size >> 1)
    const gateway = await start(t)
    const pem = join(world.cache, 'certs', 'app.example.com.pem')
    const ignored = gateway.program.waitFor('stored certificate ignored', {
      hostname: 'app.example.com',
    })
    t.ok(await isServed(gateway, 'app.example.com'))
    t.match(await ignored, { level: 'warn', error: /does not hold a key and a certificate/ })
    await gateway.program.waitFor('ACME account file is broken: a new account is made')
    await gateway.program.kill('SIGTERM')
    t.match(readFileSync(pem, 'utf8'), /BEGIN CERTIFICATE[\s\S]*END PRIVATE KEY/)
    t.doesNotThrow(() => JSON.parse(readFileSync(join(world.cache, 'account.json'), 'utf8')))
  })

  t.test('two gateways in turn are one account to the CA', async (t) => {
    const registrations = proxy.registrations()
    for (const name of ['hung.example.com', 'spare.example.com']) {
      const gateway = await start(t)
      t.ok(await isServed(gateway, name))
      await gateway.program.kill('SIGTERM')
      t.equal(gateway.program.stderr, '')
    }
    t.equal(proxy.registrations(), registrations)
  })

  const full = mountDisk(t, 'full')
  t.test('a full disk costs the memory, no visitor', { skip: full.skip }, async (t) => {
    fill(full.directory)
    const gateway = await startOn(t, full.directory)
    t.ok(await isServed(gateway, 'app.example.com'))
    t.ok(await isServed(gateway, 'app.example.com'))
    const kept = 'certificate not saved, served from memory'
    const said = await gateway.program.waitFor(kept, { hostname: 'app.example.com' })
    t.match(said, { error: /ENOSPC/ })
    const account = 'ACME account not kept: every start will register another'
    t.match(gateway.program.logged(account), [{ error: /ENOSPC/ }])
    t.strictSame(await gateway.program.kill('SIGTERM'), { code: 0, signal: null })
    t.equal(gateway.program.stderr, '')
  })

  const readOnly = mountDisk(t, 'read-only')
  t.test('a disk that is read-only is read', { skip: readOnly.skip }, async (t) => {
    cpSync(join(world.directory, 'certificates'), join(readOnly.directory, 'certificates'), {
      recursive: true,
    })
    spawnSync('mount', ['-o', 'remount,ro', readOnly.directory])
    const [orders, registrations] = [proxy.orders(), proxy.registrations()]
    const gateway = await startOn(t, readOnly.directory)
    t.ok(await isServed(gateway, 'app.example.com'))
    t.equal(proxy.orders(), orders)
    t.ok(await isServed(gateway, 'unsaved.example.com'), 'and what is new is not kept')
    const kept = 'certificate not saved, served from memory'
    const said = await gateway.program.waitFor(kept, { hostname: 'unsaved.example.com' })
    t.match(said, { error: /EROFS/ })
    t.equal(proxy.registrations(), registrations, 'with the account that is there')
    t.strictSame(await gateway.program.kill('SIGTERM'), { code: 0, signal: null })
    t.equal(gateway.program.stderr, '')
  })
})

const limited = {
  status: 429,
  headers: { 'retry-after': '7200' },
  body: { type: 'urn:ietf:params:acme:error:rateLimited', detail: 'too many certificates' },
}

function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

/** A small disk of its own; only root may mount one. */
function mountDisk(t: Test, name: string) {
  const directory = join(t.testdirName, name)
  mkdirSync(directory, { recursive: true })
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', directory])
  if (status === 0) t.teardown(() => spawnSync('umount', ['--lazy', directory]))
  return { directory, skip: status !== 0 && 'no disk may be mounted here' }
}

function fill(directory: string): void {
  const block = Buffer.alloc(4096)
  try {
    for (let i = 0; i < 1000; i += 1) writeFileSync(join(directory, `filler-${i}`), block)
  } catch {
    return // full
  }
  throw new Error('the disk is larger than it was told to be')
}
