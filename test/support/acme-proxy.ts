import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import type { Test } from 'tap'
import type { Pebble } from './pebble.ts'

/** What was asked of the CA. */
export interface Asked {
  readonly method: string
  readonly path: string
  /** Of a signed request. */
  readonly payload: Readonly<Record<string, unknown>> | undefined
  /** Of the answer, once there is one. */
  status?: number
}

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

export type Intercepted = Answer | 'silence' | undefined

export interface AcmeProxy {
  readonly directoryUrl: string
  readonly caFile: string
  readonly asked: Asked[]
  /** How many orders were made, or were for one name: without those whose nonce was refused. */
  orders(hostname?: string): number
  /** How often an account was registered or asked for. */
  registrations(): number
  /**
   * May answer in the place of the CA; `silence` answers never, `undefined` lets it through. Nothing
   * happens before it has decided.
   */
  intercept: (asked: Asked) => Intercepted | Promise<Intercepted>
  /** May change the directory. */
  describe: (directory: Record<string, unknown>) => Record<string, unknown>
}

/** A CA with Pebble behind it: knows what was asked, and does what Pebble cannot (limits, ARI, profiles, hanging). */
export async function startAcmeProxy(t: Test, pebble: Pebble): Promise<AcmeProxy> {
  const ca = readFileSync(pebble.caFile)
  const key = readFileSync(join(dirname(pebble.caFile), 'api.key'))
  const upstream = new URL(pebble.directoryUrl)
  const server = createServer({ key, cert: ca }, (incoming, response) => {
    serve(incoming, response).catch(() => response.destroy())
  })
  server.listen(0, pebble.address)
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const proxy: AcmeProxy = {
    directoryUrl: `https://${pebble.address}:${(server.address() as AddressInfo).port}/dir`,
    caFile: pebble.caFile,
    asked: [],
    orders: (hostname) =>
      taken('/order-plz').filter((asked) => !hostname || nameOf(asked) === hostname).length,
    registrations: () => taken('/sign-me-up').length,
    intercept: () => undefined,
    describe: (directory) => directory,
  }
  return proxy

  function taken(path: string): Asked[] {
    return proxy.asked.filter((asked) => asked.path === path && asked.status !== 400)
  }

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(incoming)
    const { method = '', url: path = '' } = incoming
    const asked: Asked = { method, path, payload: payloadOf(body) }
    proxy.asked.push(asked)
    const own = await proxy.intercept(asked)
    if (own === 'silence') return
    if (own !== undefined) {
      response.writeHead(own.status, own.headers)
      response.end(typeof own.body === 'string' ? own.body : JSON.stringify(own.body))
      return
    }
    const outgoing = request({
      ...{ host: upstream.hostname, port: upstream.port, ca, method, path, agent: false },
      headers: incoming.headers, // Pebble makes its URLs of the Host
    })
    outgoing.on('error', () => response.destroy())
    outgoing.end(body)
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
    asked.status = answer.statusCode ?? 0
    let content = await buffer(answer)
    if (path === '/dir') {
      content = Buffer.from(JSON.stringify(proxy.describe(JSON.parse(content.toString()))))
    }
    const { 'content-length': _, ...headers } = answer.headers
    response.writeHead(asked.status, headers)
    response.end(content)
  }
}

/** Of an order. */
export function nameOf({ payload }: Asked): string | undefined {
  return (payload?.identifiers as { value: string }[] | undefined)?.[0]?.value
}

function payloadOf(body: Buffer): Record<string, unknown> | undefined {
  try {
    const { payload } = JSON.parse(body.toString())
    return JSON.parse(Buffer.from(payload, 'base64url').toString())
  } catch {
    return undefined
  }
}
