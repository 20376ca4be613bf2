import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { type Role, Session } from '../../src/mux/index.ts'
import { driveEcho, echo } from '../support/drive.ts'
import { drive, echoStreams, libp2pSession } from './libp2p-peer.ts'

// @chainsafe/libp2p-yamux: the other implementation in JavaScript, written by others after the same text.

const roles: readonly { ours: Role; theirs: Role }[] = [
  { ours: 'server', theirs: 'client' },
  { ours: 'client', theirs: 'server' },
]

for (const { ours, theirs } of roles) {
  t.test(`as ${ours} to libp2p as ${theirs}`, async (t) => {
    t.test('echoes 64 MiB on 200 of its streams', async (t) => {
      const { session, peer } = await connect(t, ours, theirs)
      session.on('stream', echo)
      await drive(peer, { streams: 200, bytes: 64 << 20 })
      t.ok((await peer.ping()) >= 0, 'answers its pings')
      t.equal(session.streamCount, 0)
    })

    t.test('gets 64 MiB echoed on 200 streams of ours, with pings meanwhile', async (t) => {
      const { session, peer } = await connect(t, ours, theirs)
      echoStreams(peer)
      const pings = Promise.all([session.ping(), session.ping(), session.ping()])
      await driveEcho(session, { streams: 200, bytes: 64 << 20 })
      for (const rttMs of await pings) t.ok(rttMs > 0)
      t.equal(session.streamCount, 0)
    })

    t.test('opens in both directions at once', async (t) => {
      const { session, peer } = await connect(t, ours, theirs)
      session.on('stream', echo)
      echoStreams(peer)
      await Promise.all([
        drive(peer, { streams: 100, bytes: 4 << 20 }),
        driveEcho(session, { streams: 100, bytes: 4 << 20 }),
      ])
      t.equal(session.streamCount, 0)
    })

    t.test('sees its reset, and it sees ours', async (t) => {
      const { session, peer } = await connect(t, ours, theirs)
      const arrived = once(peer, 'stream')
      const stream = session.open()
      stream.write('hello')
      const [{ detail: theirStream }] = await arrived
      theirStream.abort(new Error('enough'))
      await t.rejects(once(stream, 'end'), { code: 'MUX_STREAM_RESET' })

      const second = once(peer, 'stream')
      const other = session.open()
      other.write('hello')
      const [{ detail: theirOther }] = await second
      const closed = once(theirOther, 'close')
      other.destroy()
      await closed
      t.equal(theirOther.status, 'reset')
    })

    // The other order cannot be tried: this peer drops its streams when it is told to go away.
    t.test('hears that it goes away, after its streams have finished', async (t) => {
      const { session, peer } = await connect(t, ours, theirs)
      session.on('stream', echo)
      const away = once(session, 'goAway')
      await drive(peer, { streams: 20, bytes: 8 << 20 })
      await peer.close()
      await away
      t.throws(() => session.open(), { code: 'MUX_REMOTE_GO_AWAY' })
    })
  })
}

async function connect(t: Test, ours: Role, theirs: Role) {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const dialled = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [accepted] = (await once(server, 'connection')) as [net.Socket]
  server.close()
  t.teardown(() => {
    dialled.destroy()
    accepted.destroy()
  })
  return {
    session: new Session(accepted, { role: ours }),
    peer: libp2pSession(dialled, theirs),
  }
}
