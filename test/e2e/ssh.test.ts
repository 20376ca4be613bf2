import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, mkdirSync, writeFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { cli, startAgent, startGateway, temporaryDirectory } from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { isListening, startSshd } from './daemons.ts'
import { bytesUpTo, closedPort, serveHttp, sha256 } from './targets.ts'
import { run } from './visitor.ts'

// OpenSSH through a tunnel, by each of the ways in, as a person would use it.

const ways = ['connect', 'openssl', 'plain', 'port'] as const
const fileMB = 500
const idleMs = 61_000
// An sshd of any user's may not always hand out terminals: chown("/dev/pts/0") is root's.
const terminal = process.getuid?.() === 0 ? '-tt' : '-T'

t.setTimeout(300_000)
const skip = lacks('ssh', 'sshd', 'scp', 'openssl')

t.test('OpenSSH', { skip }, async (t) => {
  const sshd = await startSshd(t)
  const gateway = await startGateway(t, { env: { TCP_PORTS: '20000-29999' } })
  const agent = await startAgent(t, gateway, [
    { hostname: 'ssh.localhost', target: sshd.port, mode: 'tcp', ssh: true, listen_port: 0 },
  ])
  const directory = temporaryDirectory(t)
  const config = join(directory, 'ssh_config')
  const { ports } = (await agent.waitFor('connected')) as unknown as {
    ports: Record<string, number>
  }
  writeFileSync(config, sshConfig(sshd.clientOptions, gateway, ports['ssh.localhost'] ?? 0))
  const ssh = (...args: string[]) => spawnFor(t, 'ssh', ['-F', config, ...args])
  const scp = (...args: string[]) => run('scp', ['-q', '-F', config, ...args])

  // They do so beside all the other tests.
  const idling = Promise.all(ways.map((way) => idleSession(ssh(terminal, way, 'sh'))))
  idling.catch(() => {})

  for (const way of ways) {
    t.test(`a command has its input, its output and its exit code (${way})`, async (t) => {
      const child = ssh(way, 'cat; echo "and an error" >&2; exit 7')
      const sent = 'x'.repeat(1_000_000)
      child.stdin.end(sent)
      const [stdout, stderr, [code]] = await Promise.all([
        text(child.stdout),
        text(child.stderr),
        once(child, 'close'),
      ])
      t.ok(stdout === sent)
      t.strictSame([code, stderr], [7, 'and an error\n'])
    })
  }

  t.test(`scp carries ${fileMB} MB there and back`, async (t) => {
    const bytes = fileMB * 1_000_000
    const [here, there] = ['here', 'there'].map((name) => join(directory, name)) as [string, string]
    const expected = await sha256(bytesUpTo(bytes))
    await writeFile(here, bytesUpTo(bytes))
    for (const [from, to, way] of [
      [here, `connect:${there}`, 'connect'],
      [`plain:${there}`, here, 'plain'],
    ] as const) {
      const startMs = performance.now()
      t.match(await scp(from, to), { code: 0, stderr: '' })
      const seconds = (performance.now() - startMs) / 1000
      t.comment(`${way}: ${Math.round(fileMB / seconds)} MB/s`)
      const arrived = to === here ? here : there
      t.equal(await sha256(createReadStream(arrived)), expected)
      if (arrived === there) await rm(here)
    }
    await Promise.all([rm(here), rm(there)])
  })

  t.test('rsync carries a tree, and then nothing more', { skip: lacks('rsync') }, async (t) => {
    const [from, to] = ['tree', 'copy'].map((name) => join(directory, name)) as [string, string]
    for (let index = 0; index < 50; index += 1) {
      const folder = join(from, `folder ${index % 7}`)
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, `file ${index}`), 'word '.repeat(index * 1000))
    }
    const rsync = async (way: string) => {
      const args = ['-a', '--stats', '-e', `ssh -F ${config}`, `${from}/`, `${way}:${to}`]
      const { code, stdout, stderr } = await run('rsync', args)
      t.strictSame([code, stderr], [0, ''])
      return Number(/files transferred: (\d+)/.exec(stdout.toString())?.[1])
    }
    t.equal(await rsync('port'), 50)
    t.equal(await rsync('openssl'), 0)
    t.match(await run('diff', ['-r', from, to]), { code: 0 })
  })

  t.test(
    'a browser reaches the private network through ssh -D',
    { skip: lacks('curl') },
    async (t) => {
      const site = await serveHttp(t, (_request, response) => void response.end('a private page'))
      const port = await closedPort()
      const child = ssh('-N', '-o', 'ExitOnForwardFailure=yes', '-D', `127.0.0.1:${port}`, 'plain')
      t.ok(await isListening(port, child))
      // The name is for the far end to look up.
      const proxy = ['--socks5-hostname', `127.0.0.1:${port}`, '--noproxy', '']
      const url = `http://localhost:${site}/`
      const visits = Array.from({ length: 10 }, () => run('curl', ['-sS', ...proxy, url]))
      for (const { code, stdout } of await Promise.all(visits)) {
        t.strictSame([code, stdout.toString()], [0, 'a private page'])
      }
    },
  )

  t.test('sessions outlive an idle minute, by every way', async (t) => {
    for (const [index, session] of (await idling).entries()) {
      t.match(session, { code: 3, word: 'still here: 42' }, `${ways[index]}`)
    }
  })

  t.test('nothing of all this was worth a warning', async (t) => {
    for (const program of [gateway.program, agent]) {
      const warnings = program.log.filter(({ level }) => level === 'warn' || level === 'error')
      const told = warnings.filter(({ message }) => !message.startsWith('Node '))
      t.strictSame(told, [])
    }
  })
})

/** A way in is a host. */
function sshConfig(
  options: readonly string[],
  { ports, caFile }: { ports: { public: number }; caFile: string },
  port: number,
): string {
  const connect = `${process.execPath} ${join(cli, 'agent.js')} connect ssh.localhost:${ports.public} --ca ${caFile}`
  const openssl = [
    'openssl s_client -quiet -verify_quiet -verify_return_error',
    `-CAfile ${caFile} -verify_hostname ssh.localhost -servername ssh.localhost`,
    `-connect 127.0.0.1:${ports.public}`,
  ].join(' ')
  const hosts: Record<(typeof ways)[number], string[]> = {
    connect: [`ProxyCommand env -u NODE_OPTIONS ${connect}`],
    openssl: [`ProxyCommand ${openssl}`],
    plain: ['HostName 127.0.0.1', `Port ${ports.public}`],
    port: ['HostName 127.0.0.1', `Port ${port}`],
  }
  return Object.entries({ ...hosts, '*': options })
    .flatMap(([host, lines]) => [`Host ${host}`, ...lines.map((line) => `  ${line}`)])
    .join('\n')
}

/** A shell on a terminal that says nothing for a minute, and then is still there. */
async function idleSession(child: ChildProcessWithoutNullStreams) {
  let screen = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (screen += text))
  const closed = once(child, 'close')
  const appears = async (word: string) => {
    while (!screen.includes(word)) {
      const [code] = await Promise.race([once(child.stdout, 'data').then(() => []), closed])
      if (code !== undefined) throw new Error(`ended with ${code}, after: ${screen}`)
    }
  }
  // What is typed is echoed, so it must not have the words that are waited for.
  child.stdin.write('echo "$((20 + 1)) is ready"\n')
  await appears('21 is ready')
  await delay(idleMs)
  child.stdin.write('echo "still here: $((40 + 2))"\n')
  await appears('still here: 42')
  child.stdin.write('exit 3\n')
  const [code] = await closed
  return { code, word: /still here: 42/.exec(screen)?.[0] }
}

function spawnFor(t: Test, file: string, args: string[]): ChildProcessWithoutNullStreams {
  const child = spawn(file, args)
  child.stdin.on('error', () => {}) // it may have ended already
  t.teardown(() => child.kill('SIGKILL'))
  return child
}
