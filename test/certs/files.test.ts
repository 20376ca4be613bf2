import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Certificates } from '../../src/certs/certificates.ts'
import { FileStore } from '../../src/certs/file-store.ts'
import {
  createPrivateFile,
  readPrivateFile,
  writePrivateFile,
} from '../../src/certs/private-file.ts'
import { hostileNames } from './hostile-names.ts'
import { opensslPair, RecordingLog } from './support.ts'

const pair = opensslPair(t.testdir(), 'DNS:a.test')

t.test('a private file', async (t) => {
  t.test('is written whole, readable by us alone, whatever was there', async (t) => {
    const directory = t.testdir({ old: 'old', victim: 'victim' })
    const path = join(directory, 'old')
    chmodSync(path, 0o666)
    await writePrivateFile(path, 'new')
    t.equal(await readPrivateFile(path), 'new')
    t.equal(statSync(path).mode & 0o777, 0o600)

    const link = join(directory, 'link')
    symlinkSync(join(directory, 'victim'), link)
    await writePrivateFile(link, 'new')
    t.ok(lstatSync(link).isFile(), 'the link was replaced, not followed')
    t.equal(readFileSync(join(directory, 'victim'), 'utf8'), 'victim')
    t.strictSame(readdirSync(directory).sort(), ['link', 'old', 'victim'], 'nothing is left over')
  })

  t.test('of many who create it at once, one does', async (t) => {
    const directory = t.testdir()
    const path = join(directory, 'file')
    const creating = Array.from({ length: 20 }, (_, i) => createPrivateFile(path, `text ${i}`))
    const made = await Promise.all(creating)
    t.equal(made.filter(Boolean).length, 1)
    t.equal(await readPrivateFile(path), `text ${made.indexOf(true)}`)
    t.strictSame(readdirSync(directory), ['file'])
  })

  t.test('is not read through a link, from a pipe, a directory, or without end', async (t) => {
    const directory = t.testdir({ real: 'text', sub: {}, long: 'x'.repeat(300_000) })
    symlinkSync(join(directory, 'real'), join(directory, 'link'))
    symlinkSync('/dev/zero', join(directory, 'zero'))
    execFileSync('mkfifo', [join(directory, 'pipe')])
    for (const name of ['link', 'zero', 'pipe', 'sub', 'long']) {
      await t.rejects(readPrivateFile(join(directory, name)), { code: 'CERT_FILE_FAILED' }, name)
    }
    t.equal(await readPrivateFile(join(directory, 'none')), undefined)
  })

  t.test('that cannot be written is an error that names it', async (t) => {
    const path = join(t.testdir(), 'no', 'such', 'file')
    const error = { code: 'CERT_FILE_FAILED', message: path, cause: { code: 'ENOENT' } }
    await t.rejects(writePrivateFile(path, 'x'), error)
  })
})

t.test('the file store', async (t) => {
  t.test('gives back what was saved, and nothing for other names', async (t) => {
    const directory = join(t.testdir(), 'new', 'certs')
    const store = new FileStore({ directory })
    t.equal(await store.load('a.test'), undefined)
    await store.save('a.test', pair)
    const loaded = await store.load('a.test')
    t.equal(loaded?.key.trim(), pair.key.trim())
    t.equal(loaded?.chain.trim(), pair.chain.trim())
    t.equal(await store.load('b.test'), undefined)
    t.strictSame(readdirSync(directory), ['a.test.pem'])
    t.equal(statSync(join(directory, 'a.test.pem')).mode & 0o777, 0o600)
    for (const made of [directory, join(directory, '..')]) {
      t.equal(statSync(made).mode & 0o777, 0o700)
    }
  })

  t.test('keeps names that are longer than a file name may be', async (t) => {
    const directory = t.testdir()
    const store = new FileStore({ directory })
    const label = 'a'.repeat(61)
    for (const last of ['x', 'y']) {
      const hostname = `${label}.${label}.${label}.${label}.${last.repeat(5)}`
      t.equal(hostname.length, 253)
      t.equal(await store.load(hostname), undefined)
      await store.save(hostname, pair)
      t.ok(await store.load(hostname))
    }
    t.equal(readdirSync(directory).length, 2)
  })

  t.test('a file that is no pair is an error', async (t) => {
    const certificateOnly = pair.chain
    const directory = t.testdir({ 'a.test.pem': 'half a f', 'b.test.pem': certificateOnly })
    const store = new FileStore({ directory })
    for (const name of ['a.test', 'b.test']) {
      await t.rejects(store.load(name), { code: 'CERT_UNUSABLE', message: `${name}.pem` })
    }
  })

  t.test('a file that was cut off is no pair, wherever', async (t) => {
    const directory = t.testdir()
    const store = new FileStore({ directory })
    await store.save('a.test', { ...pair, chain: pair.chain + pair.chain })
    const file = join(directory, 'a.test.pem')
    const whole = readFileSync(file, 'utf8')
    t.ok(await store.load('a.test'))
    // Within and behind each line.
    for (const { index } of whole.trimEnd().matchAll(/.\n|\n/g)) {
      writeFileSync(file, whole.slice(0, index + 1))
      await t.rejects(store.load('a.test'), { code: 'CERT_UNUSABLE' }, `after ${index + 1} bytes`)
    }
  })

  t.test('clears away what a crash has left, but nothing young', async (t) => {
    const directory = t.testdir({ '.tmp-old': 'x', '.tmp-young': 'x', other: 'x' })
    const twoHoursAgo = Date.now() / 1000 - 7200
    for (const name of ['.tmp-old', 'other'])
      utimesSync(join(directory, name), twoHoursAgo, twoHoursAgo)
    await new FileStore({ directory }).save('a.test', pair)
    t.strictSame(readdirSync(directory).sort(), ['.tmp-young', 'a.test.pem', 'other'])
  })

  t.test('makes no path of a hostile name', async (t) => {
    const root = t.testdir({ certs: {}, 'victim.pem': 'victim', etc: { passwd: 'victim' } })
    const before = tree(root)
    const store = new FileStore({ directory: join(root, 'certs') })
    const names = [...hostileNames(), 'A.TEST', 'a.test.', 'a.test:443']
    t.ok(names.length >= 200, `${names.length} names`)
    for (const name of names) {
      await t.rejects(store.save(name, pair), { code: 'CERT_NAME_INVALID', message: /^[ -~]+$/ })
      await t.rejects(store.load(name), { code: 'CERT_NAME_INVALID' })
    }
    t.strictSame(tree(root), before)
  })

  t.test('behind the manager, hostile names touch no file and no issuer', async (t) => {
    const root = t.testdir({ certs: {}, 'victim.pem': 'victim' })
    const before = tree(root)
    const asked: string[] = []
    const certificates = new Certificates({
      issuer: {
        id: 'spy',
        issue: async (hostname) => {
          asked.push(hostname)
          return pair
        },
      },
      store: new FileStore({ directory: join(root, 'certs') }),
      decide: (hostname) => asked.push(hostname) > 0,
      log: new RecordingLog(),
    })
    t.teardown(() => certificates.close())
    for (const name of hostileNames()) {
      t.equal(await certificates.certificateFor(name), undefined)
      t.equal(await certificates.hasAtHand(name), false)
    }
    t.strictSame(asked, [])
    t.strictSame(tree(root), before)
  })
})

/** Every path below the directory, with the texts of files. */
function tree(directory: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    found[path] = entry.isFile() ? readFileSync(path, 'utf8') : 'directory'
  }
  return found
}
