import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readCertificate } from '../../src/certs/certificate.ts'
import { Certificates, type CertificatesOptions } from '../../src/certs/certificates.ts'
import { DevelopmentIssuer } from '../../src/certs/development-issuer.ts'
import { CertificateError } from '../../src/certs/errors.ts'
import { FileStore } from '../../src/certs/file-store.ts'
import type { Issuer, KeyAndChain } from '../../src/certs/issuer.ts'
import type { Store } from '../../src/certs/store.ts'
import { enterClock, opensslPair, RecordingLog } from './support.ts'

const START = '2026-03-01T00:00:00Z'
const DAY_MS = 86_400_000
const ca = await DevelopmentIssuer.load({ directory: t.testdir(), log: new RecordingLog() })

/** Issues from the development CA, as soon as the test lets it. */
class FakeIssuer implements Issuer {
  readonly id = 'fake'
  readonly calls: string[] = []
  readonly signals: AbortSignal[] = []
  /** How an issuing goes; by default at once and well. */
  behave: (hostname: string, signal: AbortSignal) => Promise<KeyAndChain> = (hostname) =>
    ca.issue(hostname)

  issue(hostname: string, signal: AbortSignal): Promise<KeyAndChain> {
    this.calls.push(hostname)
    this.signals.push(signal)
    return this.behave(hostname, signal)
  }
}

class MemoryStore implements Store {
  readonly pairs = new Map<string, KeyAndChain>()
  async load(hostname: string) {
    return this.pairs.get(hostname)
  }
  async save(hostname: string, { key, chain }: KeyAndChain) {
    this.pairs.set(hostname, { key, chain })
  }
  async list() {
    return [...this.pairs.keys()]
  }
}

/** A manager with fakes around it, whose gate lets the names of `held` through. */
function setUp(t: Test, options: Partial<CertificatesOptions> = {}) {
  const issuer = new FakeIssuer()
  const store = new MemoryStore()
  const log = new RecordingLog()
  const held = new Set(['a.test', 'b.test'])
  const decide = (hostname: string) => held.has(hostname)
  const certificates = new Certificates({ issuer, store, decide, log, ...options })
  t.teardown(() => certificates.close())
  return { issuer, store, log, held, certificates }
}

/** Lets everything happen that waits for no timer. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => realSetImmediate(resolve))
}
const realSetImmediate = setImmediate

/** A gate in the issuer: calls wait until they are let go. */
function hold(issuer: FakeIssuer): () => void {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  const { behave } = issuer
  issuer.behave = async (hostname, signal) => {
    await opened
    return behave(hostname, signal)
  }
  return open
}

t.test('50 first handshakes at once make one certificate', async (t) => {
  const { certificates, issuer, store } = setUp(t)
  const names = Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? 'a.test' : 'A.Test.'))
  const got = await Promise.all(names.map((name) => certificates.certificateFor(name)))
  t.equal(new Set(got).size, 1)
  t.strictSame(got[0]?.names, ['a.test'])
  t.strictSame(issuer.calls, ['a.test'])
  t.equal(await certificates.certificateFor('a.test'), got[0], 'and later ones too')
  await settle()
  t.strictSame([...store.pairs.keys()], ['a.test'])
  t.match(certificates.status(), [{ name: 'a.test', source: 'fake', notAfterMs: Number }])
})

t.test('the gate', async (t) => {
  t.test('without it no certificate is made', async (t) => {
    const { certificates, issuer, log } = setUp(t)
    t.equal(await certificates.certificateFor('stranger.test'), undefined)
    t.equal(await certificates.hasAtHand('stranger.test'), false)
    t.equal(await certificates.hasAtHand('a.test'), false, 'asking makes none either')
    t.strictSame(issuer.calls, [])
    t.strictSame(log.lines, [], 'nor a log line: strangers are many')
  })

  t.test('is asked again right before the issuer', async (t) => {
    const { certificates, issuer, held } = setUp(t, { limits: { issuing: 1 } })
    const open = hold(issuer)
    const first = certificates.certificateFor('a.test')
    await settle()
    const second = certificates.certificateFor('b.test')
    await settle()
    held.delete('b.test')
    open()
    t.ok(await first)
    t.equal(await second, undefined)
    t.strictSame(issuer.calls, ['a.test'])
  })

  t.test('is not asked for what is at hand, in memory or stored', async (t) => {
    const { certificates, issuer, held, store } = setUp(t)
    const got = await certificates.certificateFor('a.test')
    held.clear()
    t.equal(await certificates.certificateFor('a.test'), got)
    await settle()
    const { certificates: restarted, issuer: second } = setUp(t, { store })
    const loaded = await restarted.certificateFor('a.test')
    t.equal(loaded?.chain, got?.chain)
    t.equal(await restarted.hasAtHand('a.test'), true)
    t.strictSame([...issuer.calls, ...second.calls], ['a.test'], 'a restart issues nothing')
  })
})

t.test('at most four are made at once, and a bounded number waits', async (t) => {
  const limits = { waiting: 6 }
  const { certificates, issuer } = setUp(t, { decide: () => true, limits })
  const open = hold(issuer)
  const asked = Array.from({ length: 12 }, (_, i) => certificates.certificateFor(`${i}.test`))
  const settled = Promise.allSettled(asked)
  await settle()
  t.equal(issuer.calls.length, 4)
  open()
  const refused = (await settled).flatMap((one) => (one.status === 'rejected' ? one.reason : []))
  t.match(refused, [{ code: 'CERT_BUSY' }, { code: 'CERT_BUSY' }])
  t.equal(refused.length, 2)
  t.equal(issuer.calls.length, 10)
  t.ok(await certificates.certificateFor('11.test'), 'a refused name may come again at once')
})

t.test('after a failure', async (t) => {
  const failing = async () => {
    throw new Error('the CA is on fire')
  }
  t.test('the name waits, twice as long each time, without a new try', async (t) => {
    const clock = enterClock(t, START)
    const { certificates, issuer, log } = setUp(t)
    issuer.behave = failing
    for (const seconds of [5, 10, 20, 40, 80, 160, 300, 300]) {
      const calls = issuer.calls.length
      const error = { code: 'CERT_ISSUE_FAILED', message: /on fire/, cause: Error }
      await t.rejects(certificates.certificateFor('a.test'), error)
      for (const beforeMs of [seconds * 1000, 1]) {
        const retry = { code: 'CERT_BACKING_OFF', retryAfterMs: beforeMs }
        await t.rejects(certificates.certificateFor('a.test'), retry)
        clock.advance(beforeMs === 1 ? 1 : seconds * 1000 - 1)
      }
      t.equal(issuer.calls.length, calls + 1)
    }
    t.equal(log.count('certificate not issued'), 8)
    issuer.behave = (hostname) => ca.issue(hostname)
    t.ok(await certificates.certificateFor('a.test'))
  })

  t.test('other names do not wait', async (t) => {
    const { certificates, issuer } = setUp(t)
    issuer.behave = (hostname) => (hostname === 'a.test' ? failing() : ca.issue(hostname))
    await t.rejects(certificates.certificateFor('a.test'))
    t.ok(await certificates.certificateFor('b.test'))
  })

  t.test('the issuer may ask for more patience', async (t) => {
    enterClock(t, START)
    const { certificates, issuer } = setUp(t)
    issuer.behave = async () => {
      throw new CertificateError('CERT_ISSUE_FAILED', 'rate limited', { retryAfterMs: 3_600_000 })
    }
    const error = { code: 'CERT_ISSUE_FAILED', retryAfterMs: 3_600_000 }
    await t.rejects(certificates.certificateFor('a.test'), error)
    const retry = { code: 'CERT_BACKING_OFF', retryAfterMs: 3_600_000 }
    await t.rejects(certificates.certificateFor('a.test'), retry)
  })

  t.test('a certificate for another name, broken or expired is a failure too', async (t) => {
    const { certificates, issuer, store } = setUp(t, { decide: () => true })
    const cases: [string, () => Promise<KeyAndChain>, RegExp][] = [
      ['other.test', () => ca.issue('b.test'), /is for b\.test, not for other\.test/],
      ['broken.test', async () => ({ key: 'x', chain: 'y' }), /cannot be read/],
      ['throws.test', () => JSON.parse('{'), /JSON/],
    ]
    for (const [hostname, behave, message] of cases) {
      issuer.behave = behave
      await t.rejects(certificates.certificateFor(hostname), { code: 'CERT_ISSUE_FAILED', message })
    }
    t.equal(store.pairs.size, 0)
  })
})

t.test('a caller waits for a minute at most, and the issuing goes on', async (t) => {
  const clock = enterClock(t, START)
  const { certificates, issuer } = setUp(t)
  const open = hold(issuer)
  const asked = certificates.certificateFor('a.test')
  const refused = t.rejects(asked, { code: 'CERT_PENDING' })
  await settle()
  clock.advance(60_000)
  await refused
  open()
  t.ok(await certificates.certificateFor('a.test'))
  t.strictSame(issuer.calls, ['a.test'])
})

t.test('an issuer that hangs is given up, and its place is free again', async (t) => {
  const clock = enterClock(t, START)
  const { certificates, issuer } = setUp(t, { limits: { issuing: 1, waitMs: 600_000 } })
  issuer.behave = () => new Promise(() => {})
  const failed = t.rejects(certificates.certificateFor('a.test'), { message: /within 180 s/ })
  await settle()
  clock.advance(180_000)
  await failed
  t.ok(issuer.signals[0]?.aborted)
  issuer.behave = (hostname) => ca.issue(hostname)
  t.ok(await certificates.certificateFor('b.test'))
})

t.test('renewal', async (t) => {
  t.test('comes with a third of the lifetime left, and shows the old one until then', async (t) => {
    const clock = enterClock(t, START)
    const { certificates, issuer, store, log } = setUp(t)
    const old = await certificates.certificateFor('a.test')
    clock.advance(59 * DAY_MS)
    await settle()
    t.equal(issuer.calls.length, 1, 'not yet')
    const open = hold(issuer)
    clock.advance(6 * DAY_MS)
    await settle()
    t.equal(issuer.calls.length, 2, 'without any visitor')
    for (let i = 0; i < 10; i += 1) t.equal(await certificates.certificateFor('a.test'), old)
    const issued = log.next('certificate renewed')
    open()
    await issued
    await settle()
    const next = await certificates.certificateFor('a.test')
    t.not(next, old)
    t.ok((next?.notAfterMs ?? 0) > (old?.notAfterMs ?? 0))
    t.equal(issuer.calls.length, 2)
    t.equal(store.pairs.get('a.test')?.chain, next?.chain)
  })

  t.test('that fails keeps the old one, for as long as it is valid', async (t) => {
    const clock = enterClock(t, START)
    const { certificates, issuer } = setUp(t)
    const old = await certificates.certificateFor('a.test')
    issuer.behave = async () => {
      throw new Error('the CA is gone')
    }
    clock.advance(70 * DAY_MS)
    await settle()
    const calls = issuer.calls.length
    t.ok(calls >= 2)
    t.equal(await certificates.certificateFor('a.test'), old)
    t.equal(await certificates.certificateFor('a.test'), old)
    await settle()
    t.equal(issuer.calls.length, calls, 'in back-off')
    clock.advance(21 * DAY_MS)
    await settle()
    await t.rejects(certificates.certificateFor('a.test'), CertificateError)
    const failure = { kind: 'unreachable', reason: 'the CA is gone' }
    t.match(certificates.status(), [{ state: 'failing', notAfterMs: undefined, failure }])
  })

  t.test('is not for a name that nobody holds', async (t) => {
    const clock = enterClock(t, START)
    const { certificates, issuer, held } = setUp(t)
    const old = await certificates.certificateFor('a.test')
    held.clear()
    clock.advance(70 * DAY_MS)
    t.equal(await certificates.certificateFor('a.test'), old)
    await settle()
    t.equal(issuer.calls.length, 1)
    clock.advance(21 * DAY_MS)
    t.equal(await certificates.certificateFor('a.test'), undefined, 'expired: never shown')
    t.equal(issuer.calls.length, 1)
  })
})

t.test('what is stored', async (t) => {
  t.test('and expired is not shown, and no news', async (t) => {
    const clock = enterClock(t, START)
    const store = new MemoryStore()
    await store.save('a.test', await ca.issue('a.test'))
    clock.advance(91 * DAY_MS)
    const { certificates, log, held, issuer } = setUp(t, { store })
    held.clear()
    t.equal(await certificates.certificateFor('a.test'), undefined)
    t.strictSame(log.lines, [])
    held.add('a.test')
    t.ok(await certificates.certificateFor('a.test'))
    t.equal(issuer.calls.length, 1)
  })

  t.test('and not to be read for want of descriptors, is awaited, not made anew', async (t) => {
    const directory = t.testdir()
    const store = new FileStore({ directory })
    await store.save('a.test', await ca.issue('a.test'))
    let cause: Error | undefined = Object.assign(new Error('too many'), { code: 'EMFILE' })
    const wanting = {
      save: store.save.bind(store),
      list: store.list.bind(store),
      load: async (name: string) => {
        if (cause) throw new CertificateError('CERT_FILE_FAILED', 'cannot read', { cause })
        return store.load(name)
      },
    }
    const { certificates, issuer } = setUp(t, { store: wanting })
    await t.rejects(certificates.certificateFor('a.test'), { code: 'CERT_FILE_FAILED' })
    t.notOk(await certificates.hasAtHand('a.test'))
    t.strictSame(await certificates.list(), [])
    cause = undefined
    t.ok(await certificates.certificateFor('a.test'))
    t.strictSame(issuer.calls, [])
  })

  t.test('and broken, or for another name, is logged and made anew', async (t) => {
    const directory = t.testdir({ 'a.test.pem': 'half a f' })
    const store = new FileStore({ directory })
    await store.save('b.test', await ca.issue('a.test'))
    const { certificates, log, issuer } = setUp(t, { store })
    for (const name of ['a.test', 'b.test']) {
      t.strictSame((await certificates.certificateFor(name))?.names, [name])
    }
    t.equal(log.count('stored certificate ignored'), 2)
    t.strictSame(issuer.calls, ['a.test', 'b.test'])
    await certificates.close()
    for (const name of ['a.test', 'b.test']) {
      const pair = await store.load(name)
      t.strictSame(pair && readCertificate(pair).names, [name], 'close waits for what is saved')
    }
  })

  t.test('cannot be, and the certificate is served from memory', async (t) => {
    const file = join(t.testdir({ file: 'not a directory' }), 'file')
    const store = new FileStore({ directory: join(file, 'certs') })
    const { certificates, log, issuer } = setUp(t, { store })
    const said = log.next('certificate not saved, served from memory')
    const got = await certificates.certificateFor('a.test')
    t.match((await said).fields, { hostname: 'a.test', error: /ENOTDIR/ })
    t.equal(await certificates.certificateFor('a.test'), got)
    t.equal(issuer.calls.length, 1)
  })

  t.test('in a directory that is read-only is read, and not written', async (t) => {
    const directory = t.testdir()
    await new FileStore({ directory }).save('a.test', await ca.issue('a.test'))
    chmodSync(directory, 0o500)
    const { certificates, log } = setUp(t, { store: new FileStore({ directory }) })
    t.ok(await certificates.certificateFor('a.test'))
    t.ok(await certificates.certificateFor('b.test'))
    await certificates.close()
    chmodSync(directory, 0o700)
    const isRoot = process.getuid?.() === 0
    if (!isRoot) t.equal(log.count('certificate not saved, served from memory'), 1)
    t.strictSame(
      readdirSync(directory).sort(),
      isRoot ? ['a.test.pem', 'b.test.pem'] : ['a.test.pem'],
    )
  })
})

t.test("the operator's own certificate goes before all others", async (t) => {
  const own = readCertificate(opensslPair(t.testdir(), 'DNS:a.test'))
  const directory = {
    find: (hostname: string) => (hostname === 'a.test' ? own : undefined),
    list: () => [own],
  }
  const { certificates, issuer } = setUp(t, { directory })
  t.equal(await certificates.certificateFor('a.test'), own)
  t.equal(await certificates.hasAtHand('a.test'), true)
  t.strictSame(issuer.calls, [])
  t.ok(await certificates.certificateFor('b.test'))
  t.match(certificates.status(), [
    { name: 'a.test', source: 'operator' },
    { name: 'b.test', source: 'fake' },
  ])
})

t.test('without issuer and store there is what the operator has, and nothing else', async (t) => {
  const nothing = { issuer: undefined, store: undefined }
  const { certificates } = setUp(t, nothing)
  t.equal(await certificates.certificateFor('a.test'), undefined)
  t.strictSame(certificates.status(), [])
})

t.test('memory holds the certificates asked for last', async (t) => {
  const { certificates, issuer } = setUp(t, {
    decide: () => true,
    store: undefined,
    limits: { inMemory: 3 },
  })
  for (const name of ['1.test', '2.test', '3.test', '1.test', '4.test', '1.test']) {
    t.ok(await certificates.certificateFor(name))
  }
  t.strictSame(
    certificates.status().map(({ name }) => name),
    ['3.test', '4.test', '1.test'],
  )
  t.equal(issuer.calls.length, 4)
})

t.test('close', async (t) => {
  t.test('ends what is being made and what waits, and takes no more', async (t) => {
    const { certificates, issuer, log } = setUp(t, { limits: { issuing: 1 } })
    issuer.behave = () => new Promise(() => {})
    const closed = { code: 'CERT_CLOSED' }
    const asked = ['a.test', 'b.test'].map((name) =>
      t.rejects(certificates.certificateFor(name), closed),
    )
    await settle()
    await Promise.all([certificates.close(), certificates.close()])
    await Promise.all(asked)
    t.ok(issuer.signals[0]?.aborted)
    t.strictSame(issuer.calls, ['a.test'])
    await t.rejects(certificates.certificateFor('a.test'), closed)
    t.equal(log.count('certificate not issued'), 0, 'which is no failure')
  })
})

t.test('with the real issuer and files, a restart finds what was made', async (t) => {
  const directory = t.testdir()
  const log = new RecordingLog()
  const issuer = await DevelopmentIssuer.load({ directory, log })
  const folder = join(directory, issuer.storeName)
  const store = new FileStore({ directory: folder })
  const { certificates } = setUp(t, { issuer, store })
  const made = await certificates.certificateFor('a.test')
  await certificates.close()
  t.strictSame(readdirSync(folder), ['a.test.pem'])

  const { certificates: again, issuer: unused } = setUp(t, { store, decide: () => false })
  t.equal((await again.certificateFor('a.test'))?.chain, made?.chain)
  t.strictSame(unused.calls, [])

  // A crash in the middle of a write is kept from happening by FileStore; this is a disk's work.
  const path = join(folder, 'a.test.pem')
  writeFileSync(path, readFileSync(path, 'utf8').slice(0, 400))
  const { certificates: third } = setUp(t, { issuer, store })
  t.ok(await third.certificateFor('a.test'))
  await third.close() // or it still writes where the directory is being removed
})
