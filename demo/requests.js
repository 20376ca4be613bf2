// @ts-check
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:https'
import { createInterface } from 'node:readline'
import { connect } from 'node:tls'

/**
 * Where the gateway is: always 127.0.0.1, since not every resolver knows `*.localhost`.
 * @typedef {{ port: number, ca: Buffer, siteName: string, echoName: string }} Gateway
 */

const DEADLINE_MS = 5000

/**
 * Sends one request of each kind through the tunnel and prints what came back.
 * Returns whether all of it was right.
 * @param {Gateway} gateway
 */
export async function tryEverything(gateway) {
  const tries = [
    { what: `GET https://${gateway.siteName}/`, attempt: getFront },
    { what: 'server-sent event', attempt: readEvent },
    { what: 'upload of 1 MiB', attempt: upload },
    { what: 'download of 4 MiB', attempt: download },
    { what: `TCP echo at ${gateway.echoName}`, attempt: echo },
  ]
  let isAllRight = true
  for (const { what, attempt } of tries) {
    const startedAt = performance.now()
    try {
      const said = await attempt(gateway, AbortSignal.timeout(DEADLINE_MS))
      console.log(`ok      ${what} (${Math.round(performance.now() - startedAt)} ms): ${said}`)
    } catch (error) {
      isAllRight = false
      console.log(`FAILED  ${what}: ${error instanceof Error ? error.message : error}`)
    }
  }
  return isAllRight
}

/**
 * @param {Gateway} gateway
 * @param {AbortSignal} signal
 */
async function getFront(gateway, signal) {
  const response = await ask(gateway, '/', signal)
  const [firstLine] = (await read(response)).toString().split('\n')
  return `${response.statusCode} ${response.statusMessage}, "${firstLine}"`
}

/**
 * @param {Gateway} gateway
 * @param {AbortSignal} signal
 */
async function readEvent(gateway, signal) {
  const response = await ask(gateway, '/events', signal)
  let events = 0
  // Two of them, a second apart: the first could have come with the headers.
  for await (const line of createInterface({ input: response })) {
    if (line.startsWith('data: ')) events += 1
    if (events === 2) {
      response.destroy()
      return line
    }
  }
  throw new Error(`the events ended after ${events}`)
}

/**
 * @param {Gateway} gateway
 * @param {AbortSignal} signal
 */
async function upload(gateway, signal) {
  const body = randomBytes(1024 * 1024)
  const response = await ask(gateway, '/upload', signal, body)
  const { bytes, sha256 } = JSON.parse((await read(response)).toString())
  const expected = createHash('sha256').update(body).digest('hex')
  if (sha256 !== expected) throw new Error(`sha256 ${sha256} of ${bytes} bytes, not ${expected}`)
  return `${bytes} bytes arrived, sha256 ${sha256}`
}

/**
 * @param {Gateway} gateway
 * @param {AbortSignal} signal
 */
async function download(gateway, signal) {
  const checksum = await read(await ask(gateway, '/checksum?mb=4', signal))
  const body = await read(await ask(gateway, '/download?mb=4', signal))
  const sha256 = createHash('sha256').update(body).digest('hex')
  const expected = JSON.parse(checksum.toString()).sha256
  if (sha256 !== expected) throw new Error(`sha256 ${sha256}, not ${expected}`)
  return `${body.length} bytes came, sha256 ${sha256}`
}

/**
 * @param {Gateway} gateway
 * @param {AbortSignal} signal
 */
async function echo({ port, ca, echoName }, signal) {
  const socket = connect({ host: '127.0.0.1', port, servername: echoName, ca })
  const abort = () => socket.destroy(new Error(`no answer within ${DEADLINE_MS} ms`))
  signal.addEventListener('abort', abort)
  try {
    await once(socket, 'secureConnect')
    socket.end('hello through the tunnel\n')
    const lines = (await read(socket)).toString().trim().split('\n')
    if (lines.at(-1) !== 'hello through the tunnel') throw new Error(`it said ${lines.join(' / ')}`)
    return lines.join(' / ')
  } finally {
    signal.removeEventListener('abort', abort)
    socket.destroy()
  }
}

/**
 * @param {Gateway} gateway
 * @param {string} path
 * @param {AbortSignal} signal
 * @param {Buffer} [body]
 * @returns {Promise<import('node:http').IncomingMessage>}
 */
async function ask({ port, ca, siteName }, path, signal, body) {
  const sent = request({
    host: '127.0.0.1',
    port,
    path,
    ca,
    servername: siteName,
    method: body ? 'POST' : 'GET',
    headers: {
      host: `${siteName}:${port}`,
      ...(body && { 'content-length': body.length }),
    },
    agent: false,
    signal,
  })
  sent.end(body)
  const [response] = await once(sent, 'response')
  if (response.statusCode !== 200) {
    throw new Error(`${response.statusCode} ${(await read(response)).toString().slice(0, 200)}`)
  }
  return response
}

/** @param {AsyncIterable<Buffer>} stream */
async function read(stream) {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}
