import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { jitterOf, readCertificate, renewAtMs, splitPem } from '../../src/certs/certificate.ts'
import { CertificateDirectory } from '../../src/certs/certificate-directory.ts'
import { opensslPair, RecordingLog } from './support.ts'

const scratch = t.testdir()
const DAY_MS = 86_400_000

/** `name.crt` and `name.key`. */
function files(name: string, subjectAltName: string, options?: { days: number }) {
  const { key, chain } = opensslPair(scratch, subjectAltName, options)
  return { [`${name}.crt`]: chain, [`${name}.key`]: key }
}

async function open(t: Test, directory: string) {
  const log = new RecordingLog()
  const opened = await CertificateDirectory.open({ directory, log, pollMs: 3_600_000 })
  t.teardown(() => opened.close())
  const namesFor = (hostname: string, nowMs = Date.now()) =>
    opened.find(hostname, nowMs)?.names.join()
  return { opened, log, namesFor }
}

t.test('a key and chain are read', async (t) => {
  const { key, chain } = opensslPair(scratch, 'DNS:A.test,DNS:*.b.TEST,IP:10.0.0.1,DNS:a_b.test')
  t.test('for the DNS names that are hostnames', async (t) => {
    const certificate = readCertificate({ key, chain })
    t.strictSame(certificate.names, ['a.test', '*.b.test'])
    t.ok(Math.abs(certificate.notAfterMs - certificate.notBeforeMs - 30 * DAY_MS) < 2000)
  })

  t.test('or it is said what is wrong with them', async (t) => {
    const other = opensslPair(scratch, 'DNS:a.test')
    const nameless = opensslPair(scratch, '')
    const cases = [
      [{ key, chain: 'no' }, /certificate cannot be read/],
      [{ key: 'no', chain }, /private key cannot be read/],
      [{ key: other.key, chain }, /does not belong to the first certificate/],
      [{ key, chain: other.chain + chain }, /does not belong to the first certificate/],
      [{ key, chain: `${chain}${chain.slice(0, 200)}` }, /TLS library refuses/],
      [nameless, /no DNS name/],
    ] as const
    for (const [pair, message] of cases) {
      t.throws(() => readCertificate(pair), { code: 'CERT_UNUSABLE', message })
    }
  })

  t.test('from one text too', async (t) => {
    const whole = splitPem(`# both\n${chain}text between\n${key}${chain}`)
    t.equal(whole?.key, key)
    t.equal(whole?.chain, chain + chain)
    t.equal(splitPem(chain), undefined)
    t.equal(splitPem(key), undefined)
    t.equal(splitPem(key + chain + chain.slice(0, 90)), undefined, 'cut off')
    t.equal(splitPem(''), undefined)
  })

  t.test('and renewed with a third of the lifetime left, half of a short one', async (t) => {
    const fractionAt = (days: number, hostname: string) => {
      const [notBeforeMs, notAfterMs] = [0, days * DAY_MS]
      const certificate = { key, chain, names: [hostname], notBeforeMs, notAfterMs }
      return renewAtMs(certificate, jitterOf(hostname)) / notAfterMs
    }
    for (let i = 0; i < 100; i += 1) {
      const long = fractionAt(45, `${i}.test`)
      const short = fractionAt(6, `${i}.test`)
      if (long < 2 / 3 || long > 2 / 3 + 0.05) t.fail(`${long} of a long life`)
      if (short < 1 / 2 || short > 1 / 2 + 0.05) t.fail(`${short} of a short life`)
    }
    t.not(fractionAt(45, 'a.test'), fractionAt(45, 'b.test'), 'names are spread')
    t.equal(fractionAt(45, 'a.test'), fractionAt(45, 'a.test'))
  })
})

t.test('finds the most specific name', async (t) => {
  const { namesFor, opened } = await open(
    t,
    t.testdir({
      ...files('one', 'DNS:app.example.test'),
      ...files('wild', 'DNS:*.example.test'),
      ...files('deep', 'DNS:*.deep.example.test,DNS:example.test'),
    }),
  )
  t.equal(namesFor('app.example.test'), 'app.example.test')
  t.equal(namesFor('other.example.test'), '*.example.test')
  t.equal(namesFor('a.deep.example.test'), '*.deep.example.test,example.test')
  t.equal(namesFor('deep.example.test'), '*.example.test')
  t.equal(namesFor('example.test'), '*.deep.example.test,example.test')
  t.equal(namesFor('a.b.example.test'), undefined, 'a wildcard is one label')
  t.equal(namesFor('test'), undefined)
  t.equal(namesFor('badexample.test'), undefined)
  t.equal(namesFor('__proto__'), undefined)
  t.equal(opened.list().length, 3)
})

t.test('of two for one name, shows the one that lasts longer, and none that is over', async (t) => {
  const { opened } = await open(
    t,
    t.testdir({
      ...files('a', 'DNS:a.test', { days: 10 }),
      ...files('b', 'DNS:a.test', { days: 20 }),
      ...files('w', 'DNS:*.test', { days: 40 }),
    }),
  )
  const lastsDays = (inDays: number) => {
    const found = opened.find('a.test', Date.now() + inDays * DAY_MS)
    return found && Math.round((found.notAfterMs - found.notBeforeMs) / DAY_MS)
  }
  t.equal(lastsDays(0), 20)
  t.equal(lastsDays(25), 40, 'the wildcard, when its own is over')
  t.equal(lastsDays(45), undefined)
  t.equal(lastsDays(-1), undefined, 'not valid yet')
})

t.test('reads pairs in each of their forms, and says what it cannot use', async (t) => {
  const pem = opensslPair(scratch, 'DNS:pem.test')
  const whole = opensslPair(scratch, 'DNS:whole.test')
  const directory = t.testdir({
    ...files('crt', 'DNS:crt.test'),
    'pem.pem': pem.chain,
    'pem.key': pem.key,
    'whole.pem': whole.chain + whole.key,
    'keyless.crt': pem.chain,
    'lonely.key': pem.key,
    'broken.crt': 'no certificate',
    'broken.key': pem.key,
    '.hidden.crt': 'no',
    'README.txt': 'no',
  })
  for (const [file, text] of Object.entries(files('linked', 'DNS:linked.test'))) {
    writeFileSync(join(scratch, file), text)
    symlinkSync(join(scratch, file), join(directory, file))
  }
  const { namesFor, log } = await open(t, directory)
  for (const name of ['crt.test', 'pem.test', 'whole.test', 'linked.test'])
    t.equal(namesFor(name), name)
  const ignored = log.lines.filter((line) => line.message === 'unusable certificate ignored')
  t.strictSame(
    ignored.map(({ fields }) => fields.pair),
    ['broken', 'keyless', 'lonely'],
  )
})

t.test('takes up changes, and keeps the old pair while the new one is half-written', async (t) => {
  const directory = t.testdir(files('a', 'DNS:old.test'))
  const { namesFor, log, opened } = await open(t, directory)
  t.equal(namesFor('old.test'), 'old.test')

  const next = opensslPair(scratch, 'DNS:new.test')
  let ignored = log.next('unusable certificate ignored')
  writeFileSync(join(directory, 'a.crt'), next.chain)
  t.match((await ignored).fields, { pair: 'a', kept: true, error: /does not belong/ })
  t.equal(namesFor('old.test'), 'old.test', 'a certificate without its key')

  ignored = log.next('unusable certificate ignored')
  writeFileSync(join(directory, 'a.key'), next.key.slice(0, 60))
  await ignored
  t.equal(namesFor('old.test'), 'old.test', 'half a key')

  const loaded = log.next('certificate loaded')
  writeFileSync(join(directory, 'a.key'), next.key)
  t.strictSame((await loaded).fields.names, ['new.test'])
  t.equal(namesFor('new.test'), 'new.test')
  t.equal(namesFor('old.test'), undefined)

  ignored = log.next('unusable certificate ignored')
  unlinkSync(join(directory, 'a.key'))
  await ignored
  t.equal(namesFor('new.test'), 'new.test', 'half removed')

  const removed = log.next('certificate removed')
  unlinkSync(join(directory, 'a.crt'))
  await removed
  t.equal(namesFor('new.test'), undefined)

  const said = log.lines.length
  await Promise.all([opened.refresh(), opened.refresh()])
  t.equal(log.lines.length, said, 'nothing new, nothing said')
})

t.test('outlives the loss of its directory, and watches the one that comes instead', async (t) => {
  const parent = t.testdir({ certs: files('a', 'DNS:a.test') })
  const directory = join(parent, 'certs')
  const { namesFor, log, opened } = await open(t, directory)
  renameSync(directory, join(parent, 'away'))
  await opened.refresh()
  await opened.refresh()
  t.equal(log.count('certificate directory unreadable, keeping what was read before'), 1)
  t.equal(namesFor('a.test'), 'a.test')

  mkdirSync(directory)
  await opened.refresh()
  t.equal(namesFor('a.test'), undefined)
  const loaded = log.next('certificate loaded')
  for (const [name, text] of Object.entries(files('b', 'DNS:b.test'))) {
    writeFileSync(join(directory, name), text)
  }
  await loaded
  t.equal(namesFor('b.test'), 'b.test')
})

t.test('fails to open what is no directory, and warns of an empty one', async (t) => {
  const directory = t.testdir({ empty: {} })
  const log = new RecordingLog()
  const gone = CertificateDirectory.open({ directory: join(directory, 'none'), log })
  await t.rejects(gone, { code: 'CERT_FILE_FAILED', message: 'none', cause: { code: 'ENOENT' } })
  await open(t, join(directory, 'empty')).then(({ log }) => {
    t.equal(log.count('no usable certificate in the directory'), 1)
  })
})

t.test('is quiet after close', async (t) => {
  const directory = t.testdir(files('a', 'DNS:a.test'))
  const { opened, log } = await open(t, directory)
  await opened.close()
  await opened.close()
  const said = log.lines.length
  rmSync(join(directory, 'a.crt'))
  await opened.refresh()
  t.equal(log.lines.length, said)
})
