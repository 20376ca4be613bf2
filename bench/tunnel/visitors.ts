import { once } from 'node:events'
import { Agent, request } from 'node:https'
import { connect, type TLSSocket } from 'node:tls'
import { WebSocket } from 'ws'
import { hostname, type Way } from './ways.ts'

/** Messages of 100 bytes that came back, a second, with one on its way on each connection. */
export async function webSocketEcho(
  { port }: Way,
  { connections, seconds }: { connections: number; seconds: number },
): Promise<number> {
  const url = `wss://${hostname}:${port}/behind/echo`
  const sockets = Array.from(
    { length: connections },
    () => new WebSocket(url, { rejectUnauthorized: false, perMessageDeflate: false }),
  )
  await Promise.all(sockets.map((socket) => once(socket, 'open')))
  const message = Buffer.alloc(100, 'x')
  let [echoed, isOver] = [0, false]
  const startMs = performance.now()
  for (const socket of sockets) {
    socket.on('message', () => {
      echoed += 1
      if (!isOver) socket.send(message)
    })
    socket.send(message)
  }
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  isOver = true
  const perSecond = echoed / ((performance.now() - startMs) / 1000)
  for (const socket of sockets) socket.close()
  await Promise.all(sockets.map((socket) => once(socket, 'close')))
  return perSecond
}

/** Milliseconds to the first byte of each answer, in order of size, of requests that come one by one. */
export async function firstByteMs({ port }: Way, times: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, rejectUnauthorized: false })
  const seen: number[] = []
  for (let turn = 0; turn < times; turn++) {
    const startMs = performance.now()
    const asked = request({ host: hostname, port, agent }).end()
    const [response] = await once(asked, 'response')
    seen.push(performance.now() - startMs)
    await once(response.resume(), 'end')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  agent.destroy()
  return seen.sort((a, b) => a - b)
}

/** Visitors who have had one answer, and stay. */
export async function idleVisitors({ port }: Way, count: number): Promise<TLSSocket[]> {
  const sockets: TLSSocket[] = []
  const open = async () => {
    while (sockets.length < count) {
      const socket = connect({
        port,
        host: '127.0.0.1',
        servername: hostname,
        rejectUnauthorized: false,
      })
      sockets.push(socket)
      await once(socket, 'secureConnect')
      socket.write(`GET / HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`)
      await once(socket, 'data')
    }
  }
  await Promise.all(Array.from({ length: 32 }, open))
  return sockets
}
