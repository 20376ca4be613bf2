import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import type { Test } from 'tap'
import { DevelopmentIssuer } from '../../src/certs/development-issuer.ts'
import { duplexPair } from '../support/duplex-pair.ts'

/** Two ends of one connection: who is far away, and what we hold of it. */
export interface Wire {
  far: Duplex
  near: Duplex
}

export type Lay = (t: Test) => Promise<Wire>

const quiet = { debug() {}, info() {}, warn() {}, error() {} }

export async function pairWire(_: Test): Promise<Wire> {
  const [far, near] = duplexPair()
  return { far: tolerant(far), near }
}

export async function tcpWire(t: Test): Promise<Wire> {
  const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const far = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  return { far: tolerant(far), near: await accepted(t, server, far, 'connection') }
}

export async function unixWire(t: Test): Promise<Wire> {
  const directory = mkdtempSync(join(tmpdir(), 'wire-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'socket')
  const server = net.createServer({ allowHalfOpen: true }).listen(path)
  await once(server, 'listening')
  t.teardown(() => server.close())
  const far = net.connect({ path, allowHalfOpen: true })
  return { far: tolerant(far), near: await accepted(t, server, far, 'connection') }
}

let credentials: Promise<{ key: string; cert: string }> | undefined

export function testCredentials(): Promise<{ key: string; cert: string }> {
  credentials ??= makeCredentials()
  return credentials
}

/** The far end is TLS as well: a client that does not check whom it talks to. */
export async function tlsWire(t: Test): Promise<Wire> {
  const server = tls.createServer({ ...(await testCredentials()), allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const far = tls.connect(local(port))
  far.allowHalfOpen = true
  return { far: tolerant(far), near: await accepted(t, server, far, 'secureConnection') }
}

/** For `tls.connect`. */
export function local(port: number): { host: string; port: number; rejectUnauthorized: boolean } {
  return { host: '127.0.0.1', port, rejectUnauthorized: false }
}

export function tolerant<S extends Duplex>(stream: S): S {
  return stream.on('error', ignore)
}

function ignore(): void {}

async function accepted(
  t: Test,
  server: net.Server,
  far: net.Socket,
  event: 'connection' | 'secureConnection',
): Promise<net.Socket> {
  const [near] = await once(server, event)
  t.teardown(() => {
    far.destroy()
    near.destroy()
  })
  return near
}

async function makeCredentials(): Promise<{ key: string; cert: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'wire-ca-'))
  try {
    const issuer = await DevelopmentIssuer.load({ directory, log: quiet })
    const { key, chain } = await issuer.issue('localhost')
    return { key, cert: chain }
  } finally {
    rmSync(directory, { recursive: true })
  }
}
