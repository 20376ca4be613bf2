import { EventEmitter, once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js'
import t from 'tap'
import { opensslPair } from '../certs/support.ts'
import { startAgent, startGateway, temporaryDirectory } from '../support/programs.ts'
import { lacks, lacksNewerNode, newerNode } from '../support/tools.js'
import { detailsKey, type Line, serveTalk, type TalkClient, talkTo } from './grpc-service.ts'
import { closedPort } from './targets.ts'

// gRPC through a gateway whose Node is one that gets HTTP/2 by default, to services that speak it
// plainly (h2c) and inside TLS.

t.test('gRPC', { skip: lacksNewerNode() || lacks('openssl') }, async (t) => {
  const heard = new EventEmitter()
  const onCancelled = (text: string) => heard.emit(`${text} is cancelled`)
  const directory = temporaryDirectory(t)
  const pair = opensslPair(directory, 'DNS:talk.internal')
  const target_ca_file = join(directory, 'target-ca.pem')
  writeFileSync(target_ca_file, pair.chain)
  const plain = await serveTalk(t, onCancelled)
  const secured = await serveTalk(t, onCancelled, pair)
  const gateway = await startGateway(t, { node: newerNode })
  await startAgent(t, gateway, [
    { hostname: 'down.localhost', target: `h2c://127.0.0.1:${await closedPort()}` },
    { hostname: 'plain.localhost', target: `h2c://127.0.0.1:${plain}` },
    {
      hostname: 'secured.localhost',
      target: `https://127.0.0.1:${secured}`,
      target_http2: true,
      target_sni: 'talk.internal',
      target_ca_file,
    },
  ])

  for (const host of ['plain.localhost', 'secured.localhost']) {
    t.test(host, async (t) => {
      const client = talkTo(t, gateway, host)
      // Long enough to arrive there; its end is awaited below.
      const expiring = { text: `the deadline of ${host}` }
      const call = client.recite(expiring, { deadline: new Date(Date.now() + 2_000) }).resume()
      const expired = once(call, 'error')
      const expiredThere = once(heard, `${expiring.text} is cancelled`)

      t.test('one answer to one question, with metadata both ways', async (t) => {
        const { line, trailers } = await answer(client, { text: 'hello' }, { 'x-asked': 'kindly' })
        t.equal(line.text, 'hello!')
        t.strictSame(trailers.get('x-asked'), ['kindly'])
      })

      t.test('an error, with its code, its words and its details', async (t) => {
        const error = await answer(client, { text: 'fail' }).catch((error: ServiceError) => error)
        t.match(error, {
          code: status.FAILED_PRECONDITION,
          details: 'nothing like that – 何もない',
        })
        const { metadata } = error as ServiceError
        t.strictSame(metadata.get(detailsKey), [Buffer.from([0, 1, 2, 255])])
        t.strictSame(metadata.get('x-reason'), ['a test'])
        const unknown = await unimplemented(client)
        t.equal(unknown.code, status.UNIMPLEMENTED)
      })

      t.test('8 MiB in one message, there and back', async (t) => {
        const attachment = Buffer.alloc(8 << 20, 'attached ')
        const { line } = await answer(client, { text: 'large', attachment })
        t.ok(line.attachment?.equals(attachment))
      })

      t.test('many answers, and a trailer behind the last', async (t) => {
        const call = client.recite({ number: 1_000 })
        const ended = once(call, 'status') as Promise<[StatusObject]>
        const numbers: number[] = []
        for await (const { number = 0 } of call as AsyncIterable<Line>) numbers.push(number)
        t.strictSame(numbers, [...Array(1_000).keys()])
        const [{ code, metadata }] = await ended
        t.equal(code, status.OK)
        t.strictSame(metadata.get('x-recited'), ['1000'])
      })

      t.test('many questions, then an answer', async (t) => {
        const attachment = Buffer.alloc(100_000)
        const number = await new Promise((resolve, reject) => {
          const call = client.listen((error, line) =>
            error ? reject(error) : resolve(line?.number),
          )
          for (let each = 0; each < 50; each += 1) call.write({ attachment })
          call.end()
        })
        t.equal(number, 5_000_000)
      })

      t.test('questions and answers in turn', async (t) => {
        const call = client.converse()
        for (const text of ['one', 'two', 'three']) {
          call.write({ text })
          t.match(await once(call, 'data'), [{ text: `${text}, you say` }])
        }
        const ended = once(call, 'status') as Promise<[StatusObject]>
        call.resume().end()
        t.match(await ended, [{ code: status.OK }])
      })

      t.test('a call that is given up, of which the service hears', async (t) => {
        const text = `the call to ${host}`
        const cancelled = once(heard, `${text} is cancelled`)
        const call = client.recite({ text })
        await once(call, 'metadata')
        call.resume().cancel()
        t.match(await once(call, 'error'), [{ code: status.CANCELLED }])
        await cancelled
      })

      t.test('a deadline, of which the service hears', async (t) => {
        t.match(await expired, [{ code: status.DEADLINE_EXCEEDED }])
        await expiredThere
      })

      t.test('100 calls at once', async (t) => {
        const asked = Array.from({ length: 100 }, (_, index) =>
          answer(client, { text: `${index}` }),
        )
        const lines = (await Promise.all(asked)).map(({ line }) => line.text)
        t.strictSame(
          lines,
          Array.from({ length: 100 }, (_, index) => `${index}!`),
        )
      })
    })
  }

  t.test('a service that is down is UNAVAILABLE', async (t) => {
    const client = talkTo(t, gateway, 'down.localhost')
    const error = await answer(client, { text: 'hello' }).catch((error: ServiceError) => error)
    t.equal((error as ServiceError).code, status.UNAVAILABLE)
  })
})

/** The service's line, and the trailers behind it. */
async function answer(client: TalkClient, line: Line, values: Record<string, string> = {}) {
  const metadata = new Metadata()
  for (const [key, value] of Object.entries(values)) metadata.set(key, value)
  return new Promise<{ line: Line; trailers: Metadata }>((resolve, reject) => {
    let received: Line = {}
    const call = client.answer(line, metadata, (error, line) => {
      if (error) reject(error)
      else received = line as Line
    })
    call.once('status', ({ metadata: trailers }) => resolve({ line: received, trailers }))
  })
}

/** What becomes of a call that the service does not know. */
function unimplemented(client: TalkClient): Promise<ServiceError> {
  const asIs = (bytes: Buffer) => bytes
  return new Promise((resolve, reject) => {
    const path = '/gotunnel.test.Talk/Sing'
    client.makeUnaryRequest(path, asIs, asIs, Buffer.alloc(0), (error) =>
      error ? resolve(error) : reject(new Error('it was answered')),
    )
  })
}
