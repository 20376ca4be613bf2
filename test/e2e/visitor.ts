import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { type RequestOptions, request } from 'node:https'
import net from 'node:net'
import type { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { connect, type TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import type { Gateway } from '../support/programs.ts'

// Whoever comes to the public port: our own clients, and those that a person has at hand. All of them
// verify the gateway's certificate, and none asks a resolver, since not every one knows `*.localhost`.

type Door = Pick<Gateway, 'ports' | 'ca' | 'caFile'>

export interface Visit {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface VisitOptions extends Pick<RequestOptions, 'method' | 'headers' | 'agent'> {
  readonly body?: string | Buffer
}

/** A whole response; fails where it breaks off. Over a connection of its own, unless there is an `agent`. */
export async function visit(
  gateway: Door,
  host: string,
  path = '/',
  { body: sent, ...options }: VisitOptions = {},
): Promise<Visit> {
  const outgoing = ask(gateway, host, path, options)
  outgoing.on('error', () => {}) // while the body comes, the body has it too
  outgoing.end(sent)
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  const { statusCode = 0, headers } = response
  return { status: statusCode, headers, body: await buffer(response) }
}

/** A request that the caller ends, and whose response is the caller's. */
export function ask(gateway: Door, host: string, path: string, options: RequestOptions = {}) {
  return request({
    agent: false,
    ...options,
    host: '127.0.0.1',
    port: gateway.ports.public,
    servername: host,
    ca: gateway.ca,
    path,
    headers: { host: `${host}:${gateway.ports.public}`, ...options.headers },
  })
}

/** A TLS connection to the name, half-open allowed; ends with the test. */
export async function connectTo(t: Test, gateway: Door, servername: string): Promise<TLSSocket> {
  return (await dial(t, gateway, servername)).socket
}

/** The same, with the TCP connection under it at hand. */
export async function dial(t: Test, { ports, ca }: Door, servername: string) {
  const tcp = net.connect({ host: '127.0.0.1', port: ports.public, allowHalfOpen: true })
  const socket = connect({ socket: tcp, servername, ca })
  socket.allowHalfOpen = true
  t.teardown(() => socket.destroy())
  await once(socket, 'secureConnect')
  for (const each of [tcp, socket]) each.on('error', () => {})
  connections.set(socket, { socket, tcp })
  return { socket, tcp }
}

const connections = new WeakMap<Readable, { socket: TLSSocket; tcp: net.Socket }>()

/** All that comes before the end, which leaves our own half open; fails when the connection breaks off. */
export function heard(socket: Readable): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk))
    socket.once('end', () => {
      const { socket: tls, tcp } = connections.get(socket) ?? {}
      // See `wasReset`: that there is no peer any more is all that tells.
      const isReset = tls?.writableEnded === false && tcp?.remoteAddress === undefined
      if (isReset) reject(Object.assign(new Error('reset, not ended'), { code: 'ECONNRESET' }))
      else resolve(text)
    })
    const lost = () => reject(socket.errored ?? new Error(`closed without an end, after: ${text}`))
    if (socket.destroyed) lost()
    socket.once('error', reject)
    socket.once('close', lost)
  })
}

export interface Outcome {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

/** `curl --cacert … https://<host>:<port><path>`, to its end. */
export function curl(
  gateway: Door,
  url: string,
  args: readonly string[] = [],
  { onOutput = () => {} } = {},
): Promise<Outcome> {
  const { hostname, port } = new URL(url)
  const resolved = `${hostname}:${port}:127.0.0.1`
  const trust = ['--cacert', gateway.caFile, '--resolve', resolved, '--noproxy', '*']
  const all = ['--silent', '--show-error', '--max-time', '60', ...trust, ...args, url]
  return run('curl', all, (child) => {
    child.stdin.end()
    child.stdout.once('data', onOutput)
  })
}

/** `openssl s_client` for a tcp name: sends the text, and leaves once as many bytes have come back. */
export function sClient(gateway: Door, name: string, sent: string): Promise<Outcome> {
  const args = [
    ...['s_client', '-quiet', '-verify_quiet', '-verify_return_error', '-no_ign_eof'],
    ...['-CAfile', gateway.caFile, '-verify_hostname', name, '-servername', name],
    ...['-connect', `127.0.0.1:${gateway.ports.public}`],
  ]
  return run('openssl', args, (child) => {
    let bytes = 0
    child.stdin.write(sent)
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes >= Buffer.byteLength(sent)) child.stdin.end()
    })
  })
}

/** A program to its end; without `talk`, with nothing to read. */
export async function run(
  program: string,
  args: readonly string[],
  talk: (child: ChildProcessWithoutNullStreams) => void = ({ stdin }) => void stdin.end(),
): Promise<Outcome> {
  const child = spawn(program, args)
  child.stdin.on('error', () => {}) // it may have ended already
  talk(child)
  const [stdout, stderr, [code]] = await Promise.all([
    buffer(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  return { code, stdout, stderr }
}
