import { createHash } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { reset } from '../../src/net/reset.ts'
import { opensslPair } from '../certs/support.ts'
import { startAgent, startGateway } from '../support/programs.ts'
import { bytesUpTo, listen, serveTcp, sha256 } from './targets.ts'

// How connections end, by each of the ways that bytes take through the two programs: nothing is lost at a
// close, half-closed ones go on, and what was cut off does not look ended.

const connections = 50
const bytes = 1024 * 1024

t.setTimeout(180_000)

/** What became of a target's connection; by the word that its visitor began with. */
const outcomes = new EventEmitter().setMaxListeners(0)

/** Does what the visitor's first word says. */
function serve(socket: Duplex): void {
  socket.on('error', () => {})
  socket.once('data', (first: Buffer) => {
    const [word = ''] = first.toString().split('\n', 1)
    socket.unshift(first.subarray(word.length + 1))
    services[word]?.(socket, word)
  })
}

const services: Record<string, (socket: Duplex, word: string) => void> = {
  async download(socket) {
    await pipeline(bytesUpTo(bytes), socket)
  },
  async upload(socket) {
    socket.end(await hashOf(socket))
  },
  async farewell(socket, word) {
    socket.end('all I have to say')
    outcomes.emit(word, String(await heard(socket)))
  },
  'cut me off'(socket) {
    socket.write('cut')
    socket.once('data', () => reset(socket, new Error('the target cuts off')))
  },
  'I leave'(socket, word) {
    socket.resume()
    socket.write('leave')
    socket.once('end', () => outcomes.emit(word, 'end'))
    socket.once('error', (error: Error & { code?: string }) => outcomes.emit(word, error.code))
  },
}

const own = opensslPair(t.testdir(), 'DNS:own.localhost')
const tlsTarget = tls.createServer({ key: own.key, cert: own.chain, allowHalfOpen: true }, serve)
const gateway = await startGateway(t, { env: { TCP_PORTS: '20000-29999' } })
const agent = await startAgent(t, gateway, [
  { hostname: 'tcp.localhost', target: await serveTcp(t, serve), mode: 'tcp', listen_port: 0 },
  { hostname: 'own.localhost', target: await listen(t, tlsTarget), mode: 'tls' },
])
const { ports } = (await agent.waitFor('connected')) as unknown as {
  ports: { 'tcp.localhost': number }
}

const ways: Record<string, (t: Test) => Promise<Duplex>> = {
  'mode tcp': (t) => visitTls(t, 'tcp.localhost', gateway.ca),
  'mode tls': (t) => visitTls(t, 'own.localhost', own.chain),
  listen_port: (t) => visit(t, ports['tcp.localhost']),
}

for (const [way, knock] of Object.entries(ways)) {
  t.test(way, async (t) => {
    const begin = async (word: string) => {
      const socket = await knock(t)
      socket.write(`${word}\n`)
      return socket
    }
    const many = <T>(one: () => Promise<T>) => Promise.all(Array.from({ length: connections }, one))

    t.test(`${connections} targets send a mebibyte and close at once: all arrives`, async (t) => {
      const hashes = await many(async () => {
        const socket = await begin('download')
        socket.end()
        return hashOf(socket)
      })
      t.strictSame(new Set(hashes), new Set([await sha256(bytesUpTo(bytes))]))
    })

    t.test(`${connections} visitors send a mebibyte and close at once: all arrives`, async (t) => {
      const hashes = await many(async () => {
        const socket = await begin('upload')
        const sending = pipeline(bytesUpTo(bytes), socket, { end: false }).then(() => socket.end())
        const answer = String(await heard(socket))
        await sending
        return answer
      })
      t.strictSame(new Set(hashes), new Set([await sha256(bytesUpTo(bytes))]))
    })

    t.test('a target that has ended its half still hears the visitor', async (t) => {
      const told = once(outcomes, 'farewell')
      const socket = await begin('farewell')
      t.equal(String(await heard(socket)), 'all I have to say')
      socket.end('and what I say to that')
      t.strictSame(await told, ['and what I say to that'])
    })

    t.test('a target that cuts off is a reset for the visitor', async (t) => {
      const socket = await begin('cut me off')
      t.equal(String((await once(socket, 'data'))[0]), 'cut')
      socket.write('now')
      const ended = new Promise((resolve) => socket.once('end', resolve).once('error', resolve))
      t.match(await ended, { code: 'ECONNRESET' })
    })

    t.test('a visitor who cuts off is a reset for the target', async (t) => {
      const told = once(outcomes, 'I leave')
      const socket = await begin('I leave')
      t.equal(String((await once(socket, 'data'))[0]), 'leave')
      reset(socket, new Error('the visitor cuts off'))
      t.strictSame(await told, ['ECONNRESET'])
    })
  })
}

/** All that comes before the end. Iterating over a stream would close its other half too. */
function heard(socket: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  return once(socket, 'end').then(() => Buffer.concat(chunks))
}

async function hashOf(socket: Duplex): Promise<string> {
  return createHash('sha256')
    .update(await heard(socket))
    .digest('hex')
}

async function visit(t: Test, port: number): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

async function visitTls(t: Test, servername: string, ca: string): Promise<tls.TLSSocket> {
  const socket = tls.connect({ socket: await visit(t, gateway.ports.public), servername, ca })
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  return socket
}
