import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { Test } from 'tap'
import { AcmeIssuer, type AcmeIssuerOptions } from '../../../src/certs/acme/acme-issuer.ts'
import { Challenges } from '../../../src/certs/acme/challenges.ts'
import { closeServer, listen } from '../../../src/net/listen.ts'
import { TlsAcceptor } from '../../../src/transport/tls-acceptor.ts'
import { startAcmeProxy } from '../../support/acme-proxy.ts'
import { type Pebble, type PebbleOptions, startPebble } from '../../support/pebble.ts'
import { RecordingLog } from '../support.ts'

/** The built one: a loader for TypeScript would make each start seconds long. */
export const workerFile = new URL('../../../dist/cli/worker.js', import.meta.url)

/** A CA that counts, the answers it may find, and an issuer that uses them. */
export async function setUp(t: Test, options: PebbleOptions = {}) {
  const pebble = await startPebble(t, options)
  const proxy = await startAcmeProxy(t, pebble)
  const challenges = new Challenges()
  const doors = await openDoors(t, pebble, challenges)
  const log = new RecordingLog()
  const directory = t.testdir()
  const open = (more: Partial<AcmeIssuerOptions> = {}) =>
    AcmeIssuer.open({
      ...{ id: 'pebble', userAgent: 'gotunnel/test', directory, challenges, workerFile, log },
      directoryUrl: proxy.directoryUrl,
      ca: readFileSync(proxy.caFile, 'utf8'),
      ...more,
    })
  const issuer = await open()
  return { pebble, proxy, challenges, doors, log, directory, open, issuer }
}

async function openDoors(t: Test, pebble: Pebble, challenges: Challenges) {
  const http: Server = createServer((request, response) => {
    const [host = ''] = (request.headers.host ?? '').split(':')
    const token = request.url?.replace('/.well-known/acme-challenge/', '') ?? ''
    const body = challenges.httpAnswer(host, token)
    response.writeHead(body ? 200 : 404, { connection: 'close' }).end(body)
  })
  const tls = new TlsAcceptor({
    certificateFor: async (name) => challenges.tlsAnswer(name),
    defaultName: 'none.test',
    alpn: (_name, offered) => offered.find((protocol) => protocol === 'acme-tls/1'),
    onConnection: (socket) => void socket.on('error', () => {}).end(),
    onError: () => {},
  })
  await listen(http, { host: pebble.address, port: pebble.httpPort })
  await listen(tls, { host: pebble.address, port: pebble.tlsPort })
  t.teardown(() => Promise.all([closeServer(http), closeServer(tls)]))
  return { http, tls }
}
