import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { startAgent, startGateway } from '../support/programs.ts'
import { lacks } from '../support/tools.js'
import { ambiguousRequests } from './ambiguous-requests.ts'
import { inTurns } from './in-turns.ts'
import { startNginx } from './nginx.ts'
import { type Message, readRequests } from './strict-reader.ts'
import { serveHttp, serveTcp } from './targets.ts'
import { connectTo } from './visitor.ts'

// Malformed and ambiguous requests, byte for byte, through a gateway and an agent, to a service that records
// what arrives: one well-formed request, as it was meant, or nothing. A second one inside the first,
// under `/…-smuggled`, never arrives.

/** What the service got whole. What can be no request is an error, thrown where nothing catches it. */
const received: Message[] = []
const raw = await serveTcp(t, (socket: Socket) => {
  let bytes = ''
  socket.on('data', (chunk) => {
    const { messages, rest } = readRequests(bytes + chunk.toString('latin1'))
    bytes = rest
    received.push(...messages)
    for (const _ of messages) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
})
/** The same of one that reads as Node does. */
const receivedByNode: string[] = []
const node = await serveHttp(t, (request, response) => {
  request.resume().on('end', () => {
    receivedByNode.push(`${request.method} ${request.url}`)
    response.end('ok')
  })
})
const nginx = lacks('nginx') ? undefined : await startNginx(t)
// Nothing is waited for longer than this: what is incomplete is over soon.
const gateway = await startGateway(t, { env: { HEADER_TIMEOUT_SEC: '2', IDLE_TIMEOUT_SEC: '2' } })
await startAgent(t, gateway, [
  { hostname: 'app.localhost', target: raw },
  { hostname: 'node.localhost', target: node },
  ...(nginx ? [{ hostname: 'nginx.localhost', target: nginx.port }] : []),
])

t.test('a request arrives as it was meant, or not at all', async (t) => {
  const answers = await inTurns(ambiguousRequests, 24, ([, bytes], index) =>
    send(t, 'app.localhost', bytes(`c${index}`)),
  )
  for (const [index, [name, , expected]] of ambiguousRequests.entries()) {
    const id = `c${index}`
    const seen = received
      .filter(({ start }) => new RegExp(`\\b${id}\\b`).test(start))
      .map(({ start, body }) => ({ start, body }))
    const wanted = expected?.(id) ?? 'nothing'
    const statuses = [...(answers[index] ?? '').matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(
      ([, code]) => code,
    )
    const title = `${name}: ${statuses}`
    t.strictSame(seen, wanted === 'nothing' ? [] : [{ body: '', ...wanted }], title)
    if (wanted === 'nothing') t.ok(statuses.length < 2 && statuses[0] !== '200', title)
    else t.equal(statuses[0], '200', title)
  }
})

/** `SMUGGLING_MUTATIONS=Infinity npx tap --timeout=0 …` for all there are, some 20,000. */
const limit = Number(process.env.SMUGGLING_MUTATIONS ?? 450)
const seed = Number(process.env.SMUGGLING_SEED ?? Date.now() & 0x7fff_ffff)

t.test('of a request that was changed in one place, services get what we forwarded', async (t) => {
  t.comment(`SMUGGLING_SEED=${seed}`)
  const services = [
    {
      name: 'app.localhost',
      seen: () => received.map(({ start }) => start.replace(/ HTTP.*/, '')),
    },
    { name: 'node.localhost', seen: () => receivedByNode },
    ...(nginx ? [{ name: 'nginx.localhost', seen: () => nginx.served() }] : []),
  ]
  received.length = 0
  const mutants = [...sample(limit)]
  await inTurns(mutants, 64, (mutant, index) => {
    const { name } = services[index % services.length] as { name: string }
    return send(t, name, mutant.replaceAll('app.localhost', name))
  })
  for (const { name, seen } of services) {
    const forwarded = gateway.program
      .logged('request', { host: name })
      .filter(({ session, path }) => session !== undefined && !/\/c\d+\b/.test(String(path)))
    const lines = forwarded.map(({ method, path }) => `${method} ${path}`)
    const answered = lines.filter((_, index) => forwarded[index]?.status === 200)
    const served = seen().map((line) => line.replace(/\?.*/s, ''))
    t.strictSame(without(served, lines), [], `${name}: ${served.length} came of us`)
    t.strictSame(without(answered, served), [], `${name}: and none of ${answered.length} got lost`)
    t.ok(answered.length > 0)
  }
})

/** What is more in the one than in the other, each as often as it is there. */
function without(some: readonly string[], others: readonly string[]): string[] {
  const left = [...others]
  return some.filter((item) => {
    const index = left.indexOf(item)
    if (index >= 0) left.splice(index, 1)
    return index < 0
  })
}

/** Requests with one byte more, less, or another. */
function* mutants(): Generator<string> {
  const inside = 'GET /inside HTTP/1.1\r\nHost: app.localhost\r\n\r\n'
  const hosts = 'Host: app.localhost\r\nX: y\r\n'
  const chunk = `${inside.length.toString(16)}\r\n${inside}\r\n0\r\n\r\n`
  const whole = [
    `GET /get HTTP/1.1\r\n${hosts}Accept: a\r\n\r\n`,
    `POST /length HTTP/1.1\r\n${hosts}Content-Length: ${inside.length}\r\n\r\n${inside}`,
    `POST /chunks HTTP/1.1\r\n${hosts}Transfer-Encoding: chunked\r\n\r\n${chunk}`,
  ]
  const bytes = '\0\t\n\r\x0b \x7f\x80\xa0:;,/"+-0f\\'
  for (const request of whole) {
    for (let at = 0; at <= request.length; at += 1) {
      const [before, after] = [request.slice(0, at), request.slice(at)]
      yield before + after.slice(1)
      for (const byte of bytes) {
        yield before + byte + after
        yield before + byte + after.slice(1)
      }
    }
  }
}

/** As many of them, chosen by the seed. */
function sample(count: number): string[] {
  const all = [...mutants()]
  if (count >= all.length) return all
  let state = seed
  const next = () => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) / 2 ** 32
  return Array.from({ length: count }, () => all[Math.floor(next() * all.length)] as string)
}

/** All that comes back until the gateway closes, as it does after some silence. */
async function send(t: Test, name: string, bytes: string): Promise<string> {
  const socket = await connectTo(t, gateway, name)
  let text = ''
  socket.on('data', (chunk) => (text += chunk.toString('latin1')))
  socket.on('end', () => socket.end())
  socket.write(bytes, 'latin1')
  await new Promise<void>((resolve) => socket.once('close', () => resolve()))
  return text
}
