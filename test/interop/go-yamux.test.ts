import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { type Role, Session } from '../../src/mux/index.ts'
import { driveEcho, echo } from '../support/drive.ts'

// github.com/hashicorp/yamux v0.1.2 itself, in the program beside this file. Not everywhere is there a
// Go toolchain; this is the one test that may be skipped in CI for that.

const hasGo = spawnSync('go', ['version']).status === 0
const skip = hasGo ? false : 'no Go toolchain: interop with hashicorp/yamux is NOT tested'
if (!hasGo) t.comment(skip)

const directory = mkdtempSync(path.join(tmpdir(), 'go-yamux-'))
const program = path.join(directory, 'peer')
t.teardown(() => rmSync(directory, { recursive: true }))
if (hasGo) {
  const source = path.join(import.meta.dirname, 'go')
  await promisify(execFile)('go', ['build', '-o', program, '.'], { cwd: source })
}

const roles: readonly { ours: Role; theirs: Role }[] = [
  { ours: 'server', theirs: 'client' },
  { ours: 'client', theirs: 'server' },
]

for (const { ours, theirs } of roles) {
  t.test(`as ${ours} to hashicorp/yamux as ${theirs}`, { skip }, async (t) => {
    t.test('echoes 64 MiB on 200 of its streams, with pings meanwhile', async (t) => {
      const peer = await startPeer(t, theirs, ['-do', 'drive', '-pings', '50'])
      const session = new Session(peer.socket, { role: ours })
      session.on('stream', echo)
      t.equal(await peer.exit(), 'ok')
      t.equal(session.streamCount, 0)
    })

    t.test('gets 64 MiB echoed on 200 streams of ours, and measures the distance', async (t) => {
      const peer = await startPeer(t, theirs, ['-do', 'echo'])
      const session = new Session(peer.socket, { role: ours })
      await Promise.all([driveEcho(session, { streams: 200, bytes: 64 << 20 }), session.ping()])
      t.ok((session.rttMs as number) > 0)
      await session.close()
      t.equal(await peer.exit(), 'ok')
    })

    t.test('opens in both directions at once', async (t) => {
      const peer = await startPeer(t, theirs, ['-do', 'both', '-bytes', '8000000'])
      const session = new Session(peer.socket, { role: ours })
      session.on('stream', echo)
      await driveEcho(session, { streams: 100, bytes: 4_000_000 })
      t.equal(await peer.exit(), 'ok')
    })

    t.test('answers in full after the peer has said FIN', async (t) => {
      const peer = await startPeer(t, theirs, [
        ...['-do', 'drive', '-read-last'],
        ...['-streams', '50', '-bytes', '5000000'],
      ])
      new Session(peer.socket, { role: ours }).on('stream', echo)
      t.equal(await peer.exit(), 'ok')
    })

    t.test('sends in full after the peer has said FIN first', async (t) => {
      const peer = await startPeer(t, theirs, ['-do', 'echo', '-fin-first'])
      const session = new Session(peer.socket, { role: ours })
      const stream = session.open()
      const ended = once(stream.resume(), 'end')
      stream.write('x')
      await ended
      stream.end(Buffer.alloc(3_000_000))
      await once(stream, 'close')
      await session.close()
      t.match(await peer.exit(), 'read 3000001')
    })

    t.test('finishes its streams after it went away, and opens none', async (t) => {
      const peer = await startPeer(t, theirs, ['-do', 'drive', '-go-away'])
      const session = new Session(peer.socket, { role: ours })
      session.on('stream', echo)
      await once(session, 'goAway')
      t.throws(() => session.open(), { code: 'MUX_REMOTE_GO_AWAY' })
      t.equal(await peer.exit(), 'ok')
    })

    t.test('survives a stream that is reset in the middle', async (t) => {
      const peer = await startPeer(t, theirs, ['-do', 'echo'])
      const session = new Session(peer.socket, { role: ours })
      for (let i = 0; i < 20; i++) {
        const stream = session.open()
        stream.write(Buffer.alloc(200_000))
        await once(stream, 'data')
        stream.destroy()
      }
      await driveEcho(session, { streams: 10, bytes: 1 << 20 })
      await session.close()
      t.equal(await peer.exit(), 'ok')
    })
  })
}

/** The Go program, connected to us. */
async function startPeer(t: Test, role: Role, args: string[]) {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const child = spawn(program, ['-addr', `127.0.0.1:${port}`, '-role', role, ...args])
  const output = Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  const [socket] = (await once(server, 'connection')) as [net.Socket]
  server.close()
  t.teardown(() => {
    child.kill('SIGKILL')
    socket.destroy()
  })
  return {
    socket,
    /** What it printed, once it has ended well. */
    async exit(): Promise<string> {
      const [stdout, stderr, [code]] = await output
      if (code !== 0) throw new Error(`the Go peer failed (${code}): ${stderr}`)
      return stdout.trim()
    },
  }
}
