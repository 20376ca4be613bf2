import { once } from 'node:events'
import { createServer } from 'node:http'
import { buffer } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { type ClientOptions, type RawData, WebSocket, WebSocketServer } from 'ws'
import { startAgent, startGateway } from '../support/programs.ts'
import { bytesUpTo, listen } from './targets.ts'

// WebSockets by the package that Node programs use, at both ends.

/** `E2E_WEBSOCKETS=1000` for what a release has to show. */
const crowd = Number(process.env.E2E_WEBSOCKETS ?? 100)
const messagesEach = 1_000

/** Whom the target has last heard from. */
let accepted: WebSocket | undefined
const site = createServer((_request, response) => response.end('a page'))
const compressing = new WebSocketServer({
  ...{ noServer: true, perMessageDeflate: { threshold: 0 }, maxPayload: 1 << 30 },
  handleProtocols: (protocols) => (protocols.has('chat.v2') ? 'chat.v2' : false),
})
site.on('upgrade', (request, socket, head) => {
  if (request.url === '/refused') {
    const body = 'not you\n'
    socket.end(`HTTP/1.1 401 Unauthorized\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    return
  }
  compressing.handleUpgrade(request, socket, head, (webSocket) => {
    accepted = webSocket
    webSocket.on('error', () => {})
    webSocket.on('message', (data, isBinary) => {
      if (request.url === '/echo') webSocket.send(data, { binary: isBinary })
    })
  })
})
const gateway = await startGateway(t)
const agent = await startAgent(t, gateway, [
  { hostname: 'app.localhost', target: await listen(t, site) },
])

t.test('text and bytes come back as they were, compressed or not', async (t) => {
  for (const perMessageDeflate of [false, true]) {
    const { webSocket } = await open(t, '/echo', { perMessageDeflate })
    const deflate = perMessageDeflate ? 'permessage-deflate' : ''
    t.equal(webSocket.extensions, deflate)
    for (const text of ['', 'hello', 'äöü 何もない 🚇', 'x'.repeat(70_000)]) {
      webSocket.send(text)
      t.strictSame(await message(webSocket), text)
    }
    const bytes = await buffer(bytesUpTo(4 << 20))
    webSocket.send(bytes)
    const echoed = (await message(webSocket)) as Buffer
    t.ok(echoed.equals(bytes), '4 MiB in one message')
    for (const [part, fin] of [
      ['in ', false],
      ['three ', false],
      ['parts', true],
    ] as const) {
      webSocket.send(part, { fin })
    }
    t.equal(await message(webSocket), 'in three parts')
  }
})

t.test('each end pings the other', async (t) => {
  const { webSocket, target } = await open(t, '/silent')
  for (const [from, to] of [
    [webSocket, target],
    [target, webSocket],
  ] as const) {
    const ping = once(to, 'ping')
    const pong = once(from, 'pong')
    from.ping('are you there?')
    t.equal(String((await ping)[0]), 'are you there?')
    t.equal(String((await pong)[0]), 'are you there?')
  }
})

t.test('the protocol is agreed on by the ends', async (t) => {
  const { webSocket } = await open(t, '/echo', {}, ['chat.v1', 'chat.v2'])
  t.equal(webSocket.protocol, 'chat.v2')
})

t.test('who closes says why, and the other end hears it', async (t) => {
  for (const isVisitor of [true, false]) {
    const { webSocket, target } = await open(t, '/silent')
    const [from, to] = isVisitor ? [webSocket, target] : [target, webSocket]
    const closed = [once(from, 'close'), once(to, 'close')]
    from.close(4001, 'enough of it')
    for (const [code, reason] of await Promise.all(closed)) {
      t.strictSame([code, String(reason)], [4001, 'enough of it'])
    }
  }
})

t.test('who breaks off is not taken for one who closes', async (t) => {
  for (const isVisitor of [true, false]) {
    const { webSocket, target } = await open(t, '/silent')
    const [from, to] = isVisitor ? [webSocket, target] : [target, webSocket]
    const closed = once(to, 'close')
    from.terminate()
    t.equal((await closed)[0], 1006)
  }
})

t.test('a target that refuses is heard', async (t) => {
  const webSocket = connect('/refused')
  const [request, response] = await once(webSocket, 'unexpected-response')
  t.equal(response.statusCode, 401)
  t.equal(String(await buffer(response)), 'not you\n')
  request.destroy()
})

t.test(`${crowd} at once, with ${messagesEach} messages each`, async (t) => {
  const startMs = performance.now()
  const webSockets: WebSocket[] = []
  while (webSockets.length < crowd) {
    const group = Array.from({ length: 20 }, () => open(t, '/echo', { perMessageDeflate: false }))
    for (const { webSocket } of await Promise.all(group)) webSockets.push(webSocket)
  }
  const openMs = performance.now() - startMs
  const counts = await Promise.all(webSockets.map((each, index) => talk(each, index)))
  t.strictSame(new Set(counts), new Set([messagesEach]))
  const tookMs = Math.round(performance.now() - startMs - openMs)
  t.comment(`opened in ${Math.round(openMs)} ms, ${crowd * messagesEach} echoed in ${tookMs} ms`)
  for (const each of webSockets) each.terminate()
})

t.test('nothing of all this was worth a warning', { buffered: false }, async (t) => {
  for (const program of [gateway.program, agent]) {
    t.strictSame(program.warnings, [])
    t.equal(program.stderr, '')
  }
})

/** Sends all, and counts those that come back in order and byte for byte, until one does not. */
function talk(webSocket: WebSocket, index: number): Promise<number> {
  const line = (count: number) => `${index}:${count}:${'x'.repeat(count % 50)}`
  for (let count = 0; count < messagesEach; count += 1) webSocket.send(line(count))
  return new Promise((resolve) => {
    let count = 0
    webSocket.on('message', (data) => {
      if (String(data) !== line(count)) return resolve(count)
      count += 1
      if (count === messagesEach) resolve(count)
    })
    webSocket.once('close', () => resolve(count))
  })
}

/** Both ends of a WebSocket. */
async function open(t: Test, path: string, options?: ClientOptions, protocols?: string[]) {
  const webSocket = connect(path, options, protocols)
  t.teardown(() => webSocket.terminate())
  await once(webSocket, 'open')
  return { webSocket, target: accepted as WebSocket }
}

function connect(path: string, options: ClientOptions = {}, protocols: string[] = []): WebSocket {
  const { ports, ca } = gateway
  const host = `app.localhost:${ports.public}`
  const webSocket = new WebSocket(`wss://127.0.0.1:${ports.public}${path}`, protocols, {
    ...{ ca, servername: 'app.localhost', headers: { host }, maxPayload: 1 << 30 },
    ...options,
  })
  return webSocket.on('error', () => {})
}

/** The next message: text, or bytes. */
async function message(webSocket: WebSocket): Promise<string | Buffer> {
  const [data, isBinary] = (await once(webSocket, 'message')) as [RawData, boolean]
  return isBinary ? (data as Buffer) : String(data)
}
