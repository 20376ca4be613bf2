import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { DevelopmentIssuer } from '../../src/certs/development-issuer.ts'
import type { Logger } from '../../src/log.ts'
import { duplexPair } from '../../test/support/duplex-pair.ts'

export const transportNames = ['pair', 'tcp', 'tls'] as const
export type TransportName = (typeof transportNames)[number]

/** Two connected ends, both in this process. */
export async function connect(kind: TransportName): Promise<[Duplex, Duplex]> {
  if (kind === 'pair') return duplexPair({ highWaterMark: 256 * 1024 })
  const server = kind === 'tcp' ? net.createServer() : tls.createServer(await certificate())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const options = {
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    noDelay: true,
    rejectUnauthorized: false,
  }
  const client = kind === 'tcp' ? net.connect(options) : tls.connect(options)
  const [accepted] = await once(server, kind === 'tcp' ? 'connection' : 'secureConnection')
  server.close()
  return [client, (accepted as net.Socket).setNoDelay()]
}

let made: Promise<{ key: string; cert: string }> | undefined

function certificate() {
  made ??= (async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'bench-'))
    const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }
    const issuer = await DevelopmentIssuer.load({ directory, log: silent })
    const { key, chain } = await issuer.issue('localhost')
    await rm(directory, { recursive: true })
    return { key, cert: chain }
  })()
  return made
}
