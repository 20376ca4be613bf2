import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Budget, registeredDomain } from '../../src/certs/budget.ts'
import { Certificates, type CertificatesOptions } from '../../src/certs/certificates.ts'
import { DevelopmentIssuer } from '../../src/certs/development-issuer.ts'
import { CertificateError, type CertificateErrorOptions } from '../../src/certs/errors.ts'
import { Failures } from '../../src/certs/failures.ts'
import type { IssueOptions, Issuer, KeyAndChain, RenewalWindow } from '../../src/certs/issuer.ts'
import { StateFile } from '../../src/certs/state-file.ts'
import { enterClock, RecordingLog } from './support.ts'

const START = '2026-03-01T00:00:00Z'
const [SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS] = [1_000, 60_000, 3_600_000, 86_400_000]
const ca = await DevelopmentIssuer.load({ directory: t.testdir(), log: new RecordingLog() })

/** Fails as it is told, else issues; and may say when to renew. */
class FakeIssuer implements Issuer {
  readonly id = 'fake'
  readonly calls: { hostname: string; replacing: string | undefined }[] = []
  fails: CertificateErrorOptions | undefined
  window: RenewalWindow | undefined

  async issue(hostname: string, _signal: AbortSignal, options: IssueOptions = {}) {
    this.calls.push({ hostname, replacing: options.replacing })
    if (this.fails) throw new CertificateError('CERT_ISSUE_FAILED', 'the CA says no', this.fails)
    return ca.issue(hostname)
  }

  async renewalWindow(): Promise<RenewalWindow | undefined> {
    return this.window
  }
}

function setUp(t: Test, options: Partial<CertificatesOptions> = {}) {
  const issuer = new FakeIssuer()
  const pairs = new Map<string, KeyAndChain>()
  const store = {
    load: async (hostname: string) => pairs.get(hostname),
    save: async (hostname: string, pair: KeyAndChain) => void pairs.set(hostname, pair),
    list: async () => [...pairs.keys()],
  }
  const log = new RecordingLog()
  const held = new Set(['a.test', 'b.test'])
  const decide = (hostname: string) => held.has(hostname)
  const make = (more: Partial<CertificatesOptions> = {}) => {
    const made = new Certificates({ issuer, store, decide, log, ...options, ...more })
    t.teardown(() => made.close())
    return made
  }
  return { issuer, store, pairs, log, held, make, certificates: make() }
}

const realSetImmediate = setImmediate
/** Lets everything happen that waits for no timer. */
async function settle(): Promise<void> {
  for (let i = 0; i < 40; i += 1) await new Promise((resolve) => realSetImmediate(resolve))
}

t.test('a failure is waited out by its kind', async (t) => {
  const waits = {
    unreachable: [5 * SECOND_MS, 10 * SECOND_MS, 20 * SECOND_MS],
    challenge: [1, 2, 4, 8, 16, 32, 60, 60].map((minutes) => minutes * MINUTE_MS),
    limited: [MINUTE_MS, 2 * MINUTE_MS],
    rejected: [DAY_MS, DAY_MS],
    account: [MINUTE_MS, 2 * MINUTE_MS],
  } as const
  for (const [kind, expected] of Object.entries(waits)) {
    const failures = new Failures()
    for (const waitMs of expected) {
      t.equal(failures.add('a.test', 0, { kind: kind as never, reason: '' }), waitMs, kind)
    }
  }
  const failures = new Failures()
  const add = (failure: object) => failures.add('a.test', 0, { reason: '', ...failure })
  t.equal(add({ kind: 'limited', retryAfterMs: 7_200_000 }), 7_200_000, 'as the CA asks')
  t.equal(add({ kind: 'limited', retryAfterMs: 1_000 }), 2 * MINUTE_MS, 'and never sooner')
  t.equal(add({ kind: 'limited', retryAfterMs: 1e15 }), 7 * DAY_MS, 'nor in another life')
  t.equal(add({ kind: 'challenge' }), MINUTE_MS, 'another kind starts anew')
})

t.test('a limit of the account stops all names, and a restart forgets none of it', async (t) => {
  const clock = enterClock(t, START)
  const log = new RecordingLog()
  const path = join(t.testdir(), 'deeper', 'failures.json')
  const load = () => Failures.load(new StateFile({ path, log }), Date.now())
  const { certificates, issuer, make } = setUp(t, { failures: await load() })
  issuer.fails = { kind: 'challenge' }
  await t.rejects(certificates.certificateFor('a.test'), { code: 'CERT_ISSUE_FAILED' })
  await certificates.close()

  const second = make({ failures: await load() })
  const waiting = { code: 'CERT_BACKING_OFF', retryAfterMs: MINUTE_MS, message: /the CA says no/ }
  await t.rejects(second.certificateFor('a.test'), waiting)
  issuer.fails = { kind: 'limited', retryAfterMs: HOUR_MS, isForAll: true }
  await t.rejects(second.certificateFor('b.test'), { code: 'CERT_ISSUE_FAILED' })
  t.match(second.issuance(), { pausedUntilMs: Date.now() + HOUR_MS })
  await second.close()

  const third = make({ failures: await load(), decide: () => true })
  const calls = issuer.calls.length
  await t.rejects(third.certificateFor('c.test'), {
    code: 'CERT_BACKING_OFF',
    retryAfterMs: HOUR_MS,
  })
  await t.rejects(third.order('b.test'), { code: 'CERT_BACKING_OFF' }, 'not by command either')
  t.equal(issuer.calls.length, calls)
  issuer.fails = undefined
  clock.advance(HOUR_MS)
  t.ok(await third.certificateFor('c.test'))
  t.ok(await third.certificateFor('b.test'))
  await third.close()
  t.match(JSON.parse(readFileSync(path, 'utf8')), { failures: [{ name: 'a.test' }] })
  t.strictSame(log.lines, [])
})

t.test('what the files have is taken as far as it makes sense', async (t) => {
  const log = new RecordingLog()
  const directory = t.testdir()
  const file = (content: string) => {
    const path = join(directory, 'state.json')
    writeFileSync(path, content)
    return new StateFile({ path, log })
  }
  const far = Date.now() + 1e12
  const whole = { name: 'a.test', kind: 'challenge', count: 3, reason: 'x', retryAtMs: far }
  const broken = [null, 1, {}, { ...whole, kind: 'odd' }, { ...whole, retryAtMs: 'soon' }]
  const nowMs = Date.now()
  const found = await Failures.load(file(JSON.stringify({ failures: [...broken, whole] })), nowMs)
  t.strictSame([...found.names()], ['a.test'])
  t.equal(found.waitMs('a.test', nowMs), 7 * DAY_MS, 'the clock was ahead when that was written')
  for (const content of ['{', '[]', '{"failures":3}', 'null', '{"failures":[null,1]}', '']) {
    t.strictSame([...(await Failures.load(file(content), nowMs)).names()], [], content)
    t.ok(await Budget.load({ perDomain: 1, file: file(content), log }), content)
  }
  t.equal(log.count('state file ignored'), 4)
})

t.test('new names come out of a budget for each registered domain', async (t) => {
  const clock = enterClock(t, START)
  const log = new RecordingLog()
  const path = join(t.testdir(), 'issued.json')
  const load = () => Budget.load({ perDomain: 5, file: new StateFile({ path, log }), log })
  const decide = () => true
  const { certificates, issuer, make, log: said } = setUp(t, { decide, budget: await load() })
  issuer.fails = { kind: 'rejected' }
  await t.rejects(certificates.certificateFor('no.example.com'), { code: 'CERT_ISSUE_FAILED' })
  issuer.fails = undefined
  for (const label of ['a', 'b.b', 'c', 'd'])
    await certificates.certificateFor(`${label}.example.com`)
  const warned = 'most of the budget for new certificates is used'
  t.match(log.lines, [
    { message: warned, fields: { domain: 'example.com', used: 4, perDomain: 5 } },
  ])
  clock.advance(DAY_MS)
  t.ok(await certificates.order('a.example.com', { isRenewal: true }), 'a renewal costs nothing')
  await certificates.certificateFor('e.example.com')
  const over = { code: 'CERT_OVER_BUDGET', retryAfterMs: 6 * DAY_MS, message: /ACME_DOMAIN_BUDGET/ }
  await t.rejects(certificates.certificateFor('f.example.com'), over)
  const waiting = { code: 'CERT_BACKING_OFF', message: /ACME_DOMAIN_BUDGET/ }
  await t.rejects(certificates.certificateFor('f.example.com'), waiting)
  t.equal(said.count('certificate not issued'), 2, 'for each name once')
  t.match(certificates.status(['f.example.com']).at(-1), { state: 'failing' })
  await t.rejects(certificates.order('f.example.com'), over, 'not by command either')
  t.ok(await certificates.certificateFor('f.example.org'), 'another domain has its own')
  t.ok(await certificates.certificateFor('a.github.io'))
  await certificates.close()

  const restarted = make({ budget: await load() })
  await t.rejects(restarted.certificateFor('f.example.com'), over)
  clock.advance(6 * DAY_MS)
  t.ok(await restarted.certificateFor('f.example.com'), 'after a week')
  clock.advance(91 * DAY_MS)
  for (const label of ['1', '2', '3', '4', '5']) {
    await restarted.certificateFor(`${label}.example.com`)
  }
  await t.rejects(restarted.certificateFor('6.example.com'), { code: 'CERT_OVER_BUDGET' })
  t.ok(await restarted.certificateFor('f.example.com'), 'in place of one that is over')
})

t.test('what is issued and of no use is not ordered again soon, and counts', async (t) => {
  const clock = enterClock(t, START)
  const budget = await Budget.load({ perDomain: 2, log: new RecordingLog() })
  const { certificates, issuer } = setUp(t, { decide: () => true, budget })
  const { issue } = issuer
  issuer.issue = () => ca.issue('other.test')
  const failed = { code: 'CERT_ISSUE_FAILED', kind: 'rejected', retryAfterMs: DAY_MS }
  await t.rejects(certificates.certificateFor('a.example.com'), {
    ...failed,
    message: /cannot be used: .* for other\.test/,
  })
  clock.travel(Date.parse(START) + 365 * DAY_MS)
  const late = await ca.issue('b.test')
  clock.travel(Date.parse(START))
  issuer.issue = async () => late
  const message = /valid from .* to .*: is the clock of this machine right\?/
  await t.rejects(certificates.certificateFor('b.test'), { ...failed, message })
  issuer.issue = issue
  t.ok(await certificates.certificateFor('b.example.com'))
  await t.rejects(certificates.certificateFor('c.example.com'), { code: 'CERT_OVER_BUDGET' })
})

t.test('a registered domain is what a CA counts by', async (t) => {
  const cases = {
    'example.com': 'example.com',
    'a.b.example.com': 'example.com',
    'a.b.example.co.uk': 'example.co.uk',
    'mine.github.io': 'mine.github.io',
    localhost: 'localhost',
    'a.test': 'a.test',
  }
  for (const [name, domain] of Object.entries(cases)) t.equal(registeredDomain(name), domain)
})

t.test('renewal', async (t) => {
  t.test('comes when the CA suggests it, and says for which certificate', async (t) => {
    const clock = enterClock(t, START)
    const { certificates, issuer, log } = setUp(t)
    const old = await certificates.certificateFor('a.test')
    const startMs = Date.now() + 10 * DAY_MS
    issuer.window = { startMs, endMs: startMs + DAY_MS, askAgainMs: startMs + 90 * DAY_MS }
    const advance = async (ms: number) => {
      for (let left = ms; left > 0; left -= 10 * MINUTE_MS) clock.advance(10 * MINUTE_MS)
      await settle()
    }
    await advance(HOUR_MS)
    await advance(9.9 * DAY_MS)
    t.equal(issuer.calls.length, 1, 'not before')
    const renewed = log.next('certificate renewed')
    await advance(1.2 * DAY_MS)
    await renewed
    t.match(issuer.calls, [{}, { hostname: 'a.test', replacing: old?.chain }])
    t.equal(log.count('certificate renewed'), 1)
    t.match(certificates.issuance(), { issuer: 'fake', issued: 1, renewed: 1, failed: 0 })
  })

  t.test('is not later than the certificate can bear, whatever the CA suggests', async (t) => {
    const clock = enterClock(t, START)
    const { certificates, issuer } = setUp(t)
    const old = await certificates.certificateFor('a.test')
    const endMs = (old?.notAfterMs ?? 0) + DAY_MS
    issuer.window = { startMs: endMs - 1, endMs, askAgainMs: endMs }
    clock.advance(10 * MINUTE_MS)
    await settle()
    clock.advance(85 * DAY_MS)
    await settle()
    t.equal(issuer.calls.length, 2)
  })

  t.test('is also for what is stored and nobody has asked for since the start', async (t) => {
    const clock = enterClock(t, START)
    const { certificates, issuer, make, held } = setUp(t)
    await certificates.certificateFor('a.test')
    await certificates.certificateFor('b.test')
    await certificates.close()
    clock.advance(70 * DAY_MS)
    held.delete('b.test')
    make()
    clock.advance(10 * MINUTE_MS)
    await settle()
    t.strictSame(
      issuer.calls.slice(2).map(({ hostname }) => hostname),
      ['a.test'],
    )
  })
})

t.test('by command', async (t) => {
  const { certificates, issuer, held, make } = setUp(t)
  const refused = (message: RegExp) => ({ code: 'CERT_REFUSED', message })
  await t.rejects(certificates.order('stranger.test'), refused(/nobody holds stranger\.test/))
  await t.rejects(certificates.order('no host'), refused(/no host name/))
  issuer.fails = { kind: 'rejected' }
  await t.rejects(certificates.order('a.test'), { code: 'CERT_ISSUE_FAILED' })
  issuer.fails = undefined
  await t.rejects(certificates.certificateFor('a.test'), { code: 'CERT_BACKING_OFF' })
  const first = await certificates.order('a.test')
  t.equal(issuer.calls.length, 2, 'tried again at once')
  t.equal(await certificates.order('a.test'), first, 'what is at hand is enough')
  const renewed = await certificates.order('A.test.', { isRenewal: true })
  t.not(renewed, first)
  t.equal(await certificates.certificateFor('a.test'), renewed)
  t.equal(issuer.calls.at(-1)?.replacing, first.chain)
  held.clear()
  await t.rejects(certificates.order('a.test', { isRenewal: true }), refused(/nobody holds/))
  const off = make({ issuer: undefined, store: undefined })
  await t.rejects(off.order('a.test'), refused(/ACME_ENV is off/))
})

t.test('the status of a name', async (t) => {
  const { certificates, issuer } = setUp(t)
  const stateOf = (name: string) =>
    certificates.status(['a.test', 'b.test']).find((one) => one.name === name)
  t.strictSame(stateOf('a.test'), { name: 'a.test', source: 'fake', state: 'none' })
  await certificates.certificateFor('a.test')
  t.match(stateOf('a.test'), { state: 'valid', notAfterMs: Number })

  const { issue } = issuer
  let open = () => {}
  const gate = new Promise<void>((resolve) => (open = resolve))
  issuer.issue = async (...call) => {
    await gate
    return issue.apply(issuer, call)
  }
  const renewing = certificates.order('a.test', { isRenewal: true })
  const first = certificates.certificateFor('b.test')
  await settle()
  t.match(stateOf('a.test'), { state: 'renewing', notAfterMs: Number })
  t.strictSame(stateOf('b.test'), { name: 'b.test', source: 'fake', state: 'ordering' })
  t.match(certificates.issuance(), { issuer: 'fake', ordering: 2, issued: 1 })
  open()
  await Promise.all([renewing, first])
  t.match(certificates.issuance(), { ordering: 0, issued: 2, renewed: 1 })

  issuer.fails = { kind: 'challenge' }
  await t.rejects(certificates.order('a.test', { isRenewal: true }))
  t.match(stateOf('a.test'), {
    state: 'failing',
    notAfterMs: Number,
    failure: { kind: 'challenge', reason: 'the CA says no', nextTryAtMs: Number },
  })
})
