import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { temporaryDirectory } from '../support/programs.ts'
import type { Scope } from '../support/scope.ts'
import { pathOf } from '../support/tools.js'
import { closedPort } from './targets.ts'

// Services that people really put behind a tunnel: Debian's programs, each in the foreground with a
// configuration and a directory of its own. They end with the test.

/** Runs it, and waits until it takes connections on these ports. Gives its process id. */
export async function startDaemon(
  t: Scope,
  name: string,
  args: readonly string[],
  ports: readonly number[],
): Promise<number> {
  // Without the loader that tap puts into NODE_OPTIONS, and by its full path: sshd insists on it.
  const child = spawn(pathOf(name) ?? name, args, {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const closed = once(child, 'close')
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill) // tap ends a test file that takes too long
  t.teardown(async () => {
    process.off('exit', kill)
    child.kill('SIGTERM') // SIGKILL would leave nginx's workers
    await closed
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  for (const port of ports) {
    if (!(await isListening(port, child))) throw new Error(`${name} did not start: ${said}`)
  }
  return child.pid as number
}

/** Waits until somebody does; false when the program has ended without. */
export async function isListening(port: number, child: ChildProcess): Promise<boolean> {
  for (const deadlineMs = Date.now() + 30_000; Date.now() < deadlineMs; await delay(20)) {
    if (child.exitCode !== null || child.signalCode !== null) return false
    const socket = connect({ port, host: '127.0.0.1' })
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isOpen) return true
  }
  return false
}

export interface Sshd {
  readonly port: number
  readonly pid: number
  /** What its clients need: a key that it takes, and its own. */
  readonly clientOptions: readonly string[]
}

/** OpenSSH's server, for whoever runs the tests: root or not. */
export async function startSshd(t: Scope): Promise<Sshd> {
  const directory = temporaryDirectory(t)
  const file = (name: string) => join(directory, name)
  for (const key of ['host', 'client']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file(key)])
  }
  writeFileSync(file('authorized'), readFileSync(file('client.pub')), { mode: 0o600 })
  writeFileSync(file('known_hosts'), `target ${readFileSync(file('host.pub'), 'utf8')}`)
  const port = await closedPort()
  const lines = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${file('host')}`,
    `AuthorizedKeysFile ${file('authorized')}`,
    `PidFile none`,
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'PermitRootLogin prohibit-password',
    'Subsystem sftp internal-sftp',
    'MaxStartups 100',
  ]
  writeFileSync(file('sshd_config'), `${lines.join('\n')}\n`)
  // Where it drops its rights: the system's own start makes it.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  const args = ['-D', '-e', '-f', file('sshd_config')]
  return {
    port,
    pid: await startDaemon(t, 'sshd', args, [port]),
    clientOptions: [
      `User ${userInfo().username}`,
      `IdentityFile ${file('client')}`,
      'IdentitiesOnly yes',
      `UserKnownHostsFile ${file('known_hosts')}`,
      'GlobalKnownHostsFile none',
      'HostKeyAlias target',
      'StrictHostKeyChecking yes',
      'BatchMode yes',
      'LogLevel ERROR',
    ],
  }
}

/** Redis, without a disk. */
export async function startRedis(t: Scope): Promise<number> {
  const port = await closedPort()
  const options = {
    bind: '127.0.0.1',
    port,
    dir: temporaryDirectory(t),
    save: '',
    appendonly: 'no',
  }
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
  await startDaemon(t, 'redis-server', args, [port])
  return port
}

/** nginx with these servers, which are of its `http`; they listen on `ports`. */
export async function startNginx(
  t: Scope,
  servers: string,
  ports: readonly number[],
  directory = temporaryDirectory(t),
): Promise<void> {
  chmodSync(directory, 0o755) // root's workers are somebody else
  const spools = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  const paths = spools.map((name) => `${name}_temp_path ${join(directory, name)};`)
  const file = join(directory, 'nginx.conf')
  const text = `
    daemon off;
    pid ${join(directory, 'nginx.pid')};
    error_log stderr;
    events {}
    http { access_log off; ${paths.join(' ')} ${servers} }`
  writeFileSync(file, text)
  await startDaemon(t, 'nginx', ['-e', 'stderr', '-p', directory, '-c', file], ports)
}

/** HAProxy that passes on what comes to the port it gives, with a PROXY header before it. */
export async function startHaproxy(t: Scope, to: number, header: string): Promise<number> {
  const port = await closedPort()
  const file = join(temporaryDirectory(t), 'haproxy.cfg')
  const text = `
defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
listen balancer
  bind 127.0.0.1:${port}
  server gateway 127.0.0.1:${to} ${header}
`
  writeFileSync(file, text)
  await startDaemon(t, 'haproxy', ['-db', '-f', file], [port])
  return port
}

/** An HTTP proxy that wants these credentials, and lets through what goes to the port. */
export async function startTinyproxy(
  t: Scope,
  credentials: string,
  toPort: number,
): Promise<number> {
  const port = await closedPort()
  const file = join(temporaryDirectory(t), 'tinyproxy.conf')
  const lines = [
    `Port ${port}`,
    'Listen 127.0.0.1',
    'Timeout 600',
    `ConnectPort ${toPort}`,
    `BasicAuth ${credentials.replace(':', ' ')}`,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  await startDaemon(t, 'tinyproxy', ['-d', '-c', file], [port])
  return port
}

/** A SOCKS5 proxy that wants these credentials. */
export async function startMicrosocks(t: Scope, credentials: string): Promise<number> {
  const port = await closedPort()
  const [user = '', password = ''] = credentials.split(':')
  const args = ['-i', '127.0.0.1', '-p', String(port), '-u', user, '-P', password]
  await startDaemon(t, 'microsocks', args, [port])
  return port
}
