import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { startAgent, startGateway } from '../support/programs.ts'
import { ambiguousRequests } from './ambiguous-requests.ts'
import { readRequests } from './strict-reader.ts'
import { serveTcp } from './targets.ts'
import { connectTo } from './visitor.ts'

// Malformed and ambiguous requests, byte for byte, through a gateway and an agent, to a service that records
// what arrives: one well-formed request, as it was meant, or nothing. A second one inside the first,
// under `/…-smuggled`, never arrives.

const received: string[] = []
const origin = await serveTcp(t, (socket: Socket) => {
  const index = received.push('') - 1
  let answered = 0
  socket.on('data', (chunk) => {
    received[index] += chunk.toString('latin1')
    const { messages } = readRequests(received[index] ?? '')
    for (; answered < messages.length; answered += 1) {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    }
  })
})
// Nothing is waited for longer than this: what is incomplete is over soon.
const gateway = await startGateway(t, { env: { HEADER_TIMEOUT_SEC: '2', IDLE_TIMEOUT_SEC: '2' } })
await startAgent(t, gateway, [{ hostname: 'app.localhost', target: origin }])

t.test('a request arrives as it was meant, or not at all', async (t) => {
  const answers = await inTurns(ambiguousRequests, 24, ([, bytes], index) =>
    send(t, bytes(`c${index}`)),
  )
  const arrived = received.flatMap((bytes) => readRequests(bytes).messages)
  for (const [index, [name, , expected]] of ambiguousRequests.entries()) {
    const id = `c${index}`
    const seen = arrived
      .filter(({ start }) => new RegExp(`\\b${id}\\b`).test(start))
      .map(({ start, body }) => ({ start, body }))
    const wanted = expected?.(id) ?? 'nothing'
    t.strictSame(seen, wanted === 'nothing' ? [] : [{ body: '', ...wanted }], name)
    const statuses = [...(answers[index] ?? '').matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) =>
      Number(status),
    )
    if (wanted === 'nothing') t.notMatch(statuses, [200], `${name}: ${statuses}`)
    else t.equal(statuses[0], 200, `${name}: ${statuses}`)
  }
})

/** All that comes back until the gateway closes, as it does after some silence. */
async function send(t: Test, bytes: string): Promise<string> {
  const socket = await connectTo(t, gateway, 'app.localhost')
  let text = ''
  socket.on('data', (chunk) => (text += chunk.toString('latin1')))
  socket.on('end', () => socket.end())
  socket.write(bytes, 'latin1')
  await new Promise<void>((resolve) => socket.once('close', () => resolve()))
  return text
}

/** As many of them at a time. */
async function inTurns<Item, Result>(
  items: readonly Item[],
  width: number,
  work: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  let next = 0
  const lane = async () => {
    for (let index = next++; index < items.length; index = next++) {
      results[index] = await work(items[index] as Item, index)
    }
  }
  await Promise.all(Array.from({ length: width }, lane))
  return results
}
