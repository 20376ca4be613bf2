import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import type { Duplex, Readable } from 'node:stream'
import tls from 'node:tls'
import { X509CertificateGenerator } from '@peculiar/x509'
import type { Test } from 'tap'
import { type MuxOptions, type MuxStream, Session } from '../../src/mux/index.ts'
import { duplexPair } from '../support/duplex-pair.ts'
import { destroyAfter } from './destroy-after.ts'

export interface SessionPair {
  client: Session
  server: Session
  /** Streams that the server was given, in order; likewise the client. */
  atServer: MuxStream[]
  atClient: MuxStream[]
}

/** Two sessions over a pair (or over the ends given), destroyed when the test ends. Pings are off unless asked for. */
export function sessionPair(
  t: Test,
  options: { both?: Partial<MuxOptions>; ends?: readonly [Duplex, Duplex] } = {},
): SessionPair {
  const [a, b] = options.ends ?? duplexPair()
  const common = { pingIntervalMs: 0, ...options.both }
  const client = new Session(a, { ...common, role: 'client' })
  const server = new Session(b, { ...common, role: 'server' })
  t.teardown(() => [a.destroy(), b.destroy()])
  for (const session of [client, server]) destroyAfter(t, session)
  return { client, server, atServer: collect(server), atClient: collect(client) }
}

/** Two streams joined over a new pair of sessions: one opened by the client, and what the server got. */
export async function streamPair(
  t: Test,
  options: Parameters<typeof sessionPair>[1] = {},
): Promise<SessionPair & { near: MuxStream; far: MuxStream }> {
  const pair = sessionPair(t, options)
  const arrived = once(pair.server, 'stream')
  const near = pair.client.open()
  const [far] = (await arrived) as [MuxStream]
  return { ...pair, near, far }
}

/**
 * All that a stream brings, to its end; what it still writes is left alone. (`buffer()` and `text()`
 * of node:stream/consumers destroy a Duplex when its readable half ends.)
 */
export function readAll(stream: Readable): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    stream.on('data', (piece: Buffer) => pieces.push(piece))
    stream.once('end', () => resolve(Buffer.concat(pieces)))
    stream.once('error', reject)
    stream.once('close', () => reject(new Error('closed before its end')))
  })
}

/** The same as text. */
export async function readText(stream: Readable): Promise<string> {
  return (await readAll(stream)).toString()
}

/** The five ways that the reference runs its ⑤ tests over: `connect` gives the client's end first. */
export const transports: readonly { name: string; connect: Connect }[] = [
  { name: 'a pair', connect: async () => duplexPair() },
  { name: 'TCP', connect: overTcp },
  { name: 'TCP, dialled by the server', connect: reversed(overTcp) },
  { name: 'TLS', connect: overTls },
  { name: 'TLS, dialled by the server', connect: reversed(overTls) },
]

type Connect = (t: Test) => Promise<[client: Duplex, server: Duplex]>

function collect(session: Session): MuxStream[] {
  const streams: MuxStream[] = []
  session.on('stream', (stream) => streams.push(stream))
  return streams
}

function reversed(connect: Connect): Connect {
  return async (t) => {
    const [dialling, listening] = await connect(t)
    return [listening, dialling]
  }
}

async function overTcp(t: Test): Promise<[Duplex, Duplex]> {
  const listener = net.createServer({ allowHalfOpen: true })
  const port = await listen(t, listener)
  const accepted = once(listener, 'connection')
  const dialling = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const [listening] = (await accepted) as [net.Socket]
  return [dialling, listening]
}

async function overTls(t: Test): Promise<[Duplex, Duplex]> {
  const listener = tls.createServer({ ...(await certificate()), allowHalfOpen: true })
  const port = await listen(t, listener)
  const accepted = once(listener, 'secureConnection')
  const dialling = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  const [[listening]] = (await Promise.all([accepted, once(dialling, 'secureConnect')])) as [
    [tls.TLSSocket],
    unknown,
  ]
  return [dialling, listening]
}

async function listen(t: Test, listener: net.Server): Promise<number> {
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => listener.close())
  return (listener.address() as net.AddressInfo).port
}

/** A key and a certificate for nobody, made anew in each process. */
async function certificate(): Promise<{ key: string; cert: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  const made = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=mux test',
    keys,
    signingAlgorithm: algorithm,
  })
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.toString('base64')}\n-----END PRIVATE KEY-----\n`
  return { key, cert: made.toString('pem') }
}
