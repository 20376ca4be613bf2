import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import net from 'node:net'
import { json } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'node:tls'
import t from 'tap'
import type { GatewayStatus } from '../../src/server/status.ts'
import { type Program, startAgent, startGateway } from '../support/programs.ts'
import { bytesUpTo, serveHttp, serveTcp } from './targets.ts'
import { visit } from './visitor.ts'

// What is left of 500 visitors, most of whom leave in the midst of something: nothing.

const downloadBytes = 4 << 20
const uploadBytes = 4 << 20
const site = await serveHttp(t, (request, response) => {
  if (request.method === 'POST') pipeline(request, response).catch(() => {})
  else if (request.url === '/large') pipeline(bytesUpTo(downloadBytes), response).catch(() => {})
  else if (request.url === '/never') response.write('no more than this')
  else response.end('hello')
})
const echo = await serveTcp(t, (socket) => socket.pipe(socket))
const gateway = await startGateway(t)
const agent = await startAgent(t, gateway, [
  { hostname: 'app.localhost', target: site },
  { hostname: 'tcp.localhost', target: echo, mode: 'tcp' },
])
const programs = [gateway.program, agent]

interface Errand {
  readonly host: string
  readonly says: string
  readonly uploads?: boolean
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: app.localhost\r\n\r\n`
const errands: readonly Errand[] = [
  { host: 'app.localhost', says: get('/') },
  { host: 'app.localhost', says: get('/large') },
  { host: 'app.localhost', says: get('/never') },
  { host: 'app.localhost', says: get('/').slice(0, -2) },
  {
    host: 'app.localhost',
    says: `POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: ${uploadBytes}\r\n\r\n`,
    uploads: true,
  },
  { host: 'app.localhost', says: 'no HTTP\r\n\r\n' },
  { host: 'other.localhost', says: '' },
  { host: 'tcp.localhost', says: 'hello' },
  { host: 'tcp.localhost', says: '', uploads: true },
]
const ways = ['end', 'destroy', 'reset'] as const

const skip = process.platform !== 'linux' && 'no /proc here: sockets are NOT counted'

t.test('500 visitors leave nothing behind', { skip }, async (t) => {
  await Promise.all(errands.map((errand) => comeAndGo(errand, 'reset', 100)))
  await untilIdle()
  const before = programs.map(sockets)

  const visitors = Array.from({ length: 500 }, (_, index) => ({
    errand: errands[index % errands.length] as Errand,
    way: ways[index % ways.length] as (typeof ways)[number],
  }))
  const next = visitors.values()
  await Promise.all(
    Array.from({ length: 25 }, async () => {
      for (const { errand, way } of next) await comeAndGo(errand, way, Math.random() * 120)
    }),
  )
  await untilIdle()
  await until('as few sockets as before', () =>
    programs.map(sockets).every((count, index) => count <= (before[index] ?? 0)),
  )
  t.match(await visit(gateway, 'app.localhost'), { status: 200 })
  for (const program of programs) {
    t.equal(program.stderr, '')
    t.strictSame(
      program.log.filter(({ level }) => level === 'error'),
      [],
    )
  }
})

/** Begins the errand and leaves after that time, whatever has come of it by then. */
async function comeAndGo(
  { host, says, uploads }: Errand,
  way: 'end' | 'destroy' | 'reset',
  afterMs: number,
): Promise<void> {
  const tcp = net.connect({ host: '127.0.0.1', port: gateway.ports.public })
  const closed = new Promise((resolve) => tcp.once('close', resolve))
  const socket = connect({ socket: tcp, servername: host, ca: gateway.ca })
  for (const each of [tcp, socket]) each.on('error', () => {})
  socket.resume().write(says)
  if (uploads) pipeline(bytesUpTo(uploadBytes), socket, { end: false }).catch(() => {})
  await delay(afterMs)
  if (way === 'end') socket.end(() => tcp.destroy())
  else if (way === 'destroy') tcp.destroy()
  else tcp.resetAndDestroy()
  await closed
}

/** No visitor, and no stream that is kept for the next one: targets end those after 5 s. */
function untilIdle(): Promise<void> {
  return until('neither visitors nor streams', async () => {
    const { gateway, sessions } = await status()
    const { openConnections, openRequests } = gateway.counters
    return openConnections + openRequests + (sessions[0]?.streams ?? 0) === 0
  })
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 30_000
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) {
      throw new Error(`not ${what}: ${programs.map(sockets)}, ${JSON.stringify(await status())}`)
    }
    await delay(100)
  }
}

async function status(): Promise<GatewayStatus> {
  const asking = request({
    host: '127.0.0.1',
    port: gateway.ports.dashboard,
    path: '/api/v1/status',
    agent: false,
  })
  const [response] = (await once(asking.end(), 'response')) as [IncomingMessage]
  return (await json(response)) as GatewayStatus
}

function sockets(program: Program): number {
  const directory = `/proc/${program.pid}/fd`
  return readdirSync(directory).filter((fd) => {
    try {
      return readlinkSync(`${directory}/${fd}`).startsWith('socket:')
    } catch {
      return false // closed meanwhile
    }
  }).length
}
